"""A zip without a program for Linux: what is it then, and how does it become one?"""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final

from pipeline.errors import BuildRejectedError
from pipeline.rules.zip_entries import Entries

LINUX: Final = "In Unity's Build Settings choose the target platform Linux, architecture x86_64, and build again."

_DATA_SUFFIX = "_Data"
_WEB: Final = (".wasm", ".wasm.gz", ".wasm.br", ".wasm.unityweb", ".loader.js", ".unityweb")
_ARCHIVES: Final = (".zip", ".7z", ".rar", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".unitypackage")
_PROGRAM: Final = (".x86_64", ".x86")


def explain_no_program(entries: Entries) -> BuildRejectedError:
    """The likeliest reason."""
    for explain in (_other_platform, _project, _nested, _torn_apart):
        if error := explain(entries):
            return error
    return BuildRejectedError(
        "The zip holds no executable: no <Name>.x86_64 beside a <Name>_Data folder.",
        "Zip the folder that Unity wrote for Linux x86-64, with <Name>.x86_64, <Name>_Data and UnityPlayer.so in it.",
    )


def _other_platform(entries: Entries) -> BuildRejectedError | None:
    files = entries.files
    if ios := _first(entries, lambda path: path.suffix == ".ipa" or path.parts[0] == "Payload"):
        return BuildRejectedError(f"This is an iOS build ({ios}).", LINUX)
    if mac := next((part for path in entries.folders for part in path.parts if part.endswith(".app")), None):
        return BuildRejectedError(f"This is a macOS build ({mac}).", LINUX)
    if windows := _first(entries, lambda path: path.suffix == ".exe" and "UnityCrashHandler" not in path.name):
        return BuildRejectedError(f"This is a Windows build ({windows}).", LINUX)
    if android := _first(entries, lambda path: path.suffix in (".apk", ".aab") or path.name == "AndroidManifest.xml"):
        return BuildRejectedError(f"This is an Android build ({android}).", LINUX)
    if web := _first(entries, lambda path: path.name.endswith(_WEB)):
        return BuildRejectedError(f"This is a WebGL build ({web}).", LINUX)
    if PurePosixPath("UnityPlayer.dll") in files:
        return BuildRejectedError("This is a Windows build without its program (UnityPlayer.dll).", LINUX)
    return None


def _project(entries: Entries) -> BuildRejectedError | None:
    roots = [path.parent for path in entries.folders if path.name == "ProjectSettings"]
    if any(root / "Assets" in entries.folders for root in roots):
        return BuildRejectedError(
            "This is a Unity project, not a build of it.",
            "Build it in Unity for Linux x86_64 (File > Build Settings), and zip the folder that the build is in.",
        )
    return None


def _nested(entries: Entries) -> BuildRejectedError | None:
    if nested := _first(entries, lambda path: path.name.lower().endswith(_ARCHIVES)):
        return BuildRejectedError(
            f"The zip holds no executable, but another archive ({nested}).",
            "Unpack it, and zip the folder in it with <Name>.x86_64, <Name>_Data and UnityPlayer.so.",
        )
    return None


def _torn_apart(entries: Entries) -> BuildRejectedError | None:
    if lonely := _first(entries, lambda path: path.suffix in _PROGRAM):
        return BuildRejectedError(
            f"{lonely} has no folder {lonely.stem}{_DATA_SUFFIX} beside it.",
            "Zip the whole folder that Unity wrote, not the program alone.",
        )
    datas = (path for path in entries.folders if path.name.endswith(_DATA_SUFFIX) and path.name != _DATA_SUFFIX)
    if data := min(datas, default=None):
        program = f"{data.name.removesuffix(_DATA_SUFFIX)}.x86_64"
        return BuildRejectedError(
            f"The zip holds no executable: there is no {program} beside the folder {data}.",
            "Zip the whole folder that Unity wrote, not the data alone; the program has the folder's name.",
        )
    if engine := _first(entries, lambda path: path.name == "UnityPlayer.so"):
        return BuildRejectedError(
            f"The zip holds no executable beside {engine}.",
            "Zip the whole folder that Unity wrote, with <Name>.x86_64 and <Name>_Data in it.",
        )
    return None


def _first(entries: Entries, fits: Callable[[PurePosixPath], bool]) -> PurePosixPath | None:
    return next(filter(fits, entries.files), None)
