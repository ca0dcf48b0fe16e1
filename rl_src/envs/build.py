"""From an uploaded zip to a program that can be started."""

import shutil
from pathlib import Path, PurePosixPath

from rl_src.envs.binary_format import identify
from rl_src.envs.errors import NoExecutableError, SeveralExecutablesError, WrongPlatformError
from rl_src.envs.unpack import UnpackLimits, unpack_zip

_PROGRAM_SUFFIXES = ("", ".x86_64", ".x86")
_RUNNABLE_MODE = 0o755
_DATA_SUFFIX = "_Data"
_NO_NAMES = frozenset({"", ".", ".."})
_MOST_CANDIDATES = 100
_MOST_SHOWN = 5


def unpack_build(zip_path: Path, into: Path, executable: str | None = None, limits: UnpackLimits | None = None) -> Path:
    """Unpack a Linux build safely and make its program runnable.

    Args:
        zip_path: the uploaded zip; the build may lie at its root or in folders.
        into: an empty or absent folder. After an error it is gone.
        executable: path inside the zip of the program, where there are several.
        limits: of unpacked bytes and files.

    Returns:
        The program: `<Name>.x86_64` (or without suffix) beside `<Name>_Data`, an ELF x86-64 or a script with a shebang.

    Raises:
        BuildError: a subclass that names what is wrong with the zip.
    """
    unpack_zip(zip_path, into, limits or UnpackLimits())
    try:
        program = _named(into, executable) if executable is not None else _find(into)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    program.chmod(_RUNNABLE_MODE)
    return program


def _named(root: Path, executable: str) -> Path:
    path = PurePosixPath(executable.replace("\\", "/"))
    program = root / path
    if path.is_absolute() or ".." in path.parts or not program.is_file():
        candidates = ", ".join(_relative(root, _candidates(root))) or "none"
        raise NoExecutableError(
            f"The zip holds no file {executable!r}. Programs found in it: {candidates}.",
            "Give the program's path inside the zip as `environment.executable`, or leave it out.",
        )
    _require_linux(root, program)
    return program


def _find(root: Path) -> Path:
    candidates = _candidates(root)
    if not candidates:
        raise _explain_none(root)
    if len(candidates) > _MOST_CANDIDATES:
        raise SeveralExecutablesError(f"The zip holds {len(candidates):,} files that could be the program.")
    runnable = [program for program in candidates if identify(program).runs_on_linux_x86_64]
    if not runnable:
        _require_linux(root, candidates[0])
    if len(runnable) > 1:
        names = ", ".join(_relative(root, runnable[:_MOST_SHOWN])) + (", …" if len(runnable) > _MOST_SHOWN else "")
        raise SeveralExecutablesError(f"The zip holds {len(runnable)} programs that could be the build: {names}.")
    return runnable[0]


def _candidates(root: Path) -> list[Path]:
    """Every file that has its `<Name>_Data` folder beside it, as Unity's Linux player needs it."""
    return sorted(
        program
        for data in root.rglob(f"*{_DATA_SUFFIX}")
        if data.is_dir() and (stem := data.name.removesuffix(_DATA_SUFFIX)) not in _NO_NAMES
        for suffix in _PROGRAM_SUFFIXES
        if (program := data.with_name(stem + suffix)).is_file()
    )


def _require_linux(root: Path, program: Path) -> None:
    found = identify(program)
    if not found.runs_on_linux_x86_64:
        name = program.relative_to(root).as_posix()
        raise WrongPlatformError(f"{name} is {found.description}; a Linux x86-64 program is needed.", found.remedy)


def _explain_none(root: Path) -> NoExecutableError:
    """No program beside its data folder: what is it then?"""
    files = [path for path in root.rglob("*") if path.is_file()]
    names = [path.relative_to(root).as_posix() for path in files]
    windows = next((name for name in names if name.endswith(".exe") and "UnityCrashHandler" not in name), None)
    macos = next((name for name in names if ".app/Contents/" in name), None)
    mobile = next((name for name in names if name.endswith((".apk", ".aab", ".ipa"))), None)
    web = next((name for name in names if name.endswith((".wasm", ".wasm.gz", ".wasm.br", ".unityweb"))), None)
    if macos:
        return WrongPlatformError(f"This is a macOS build ({macos.split('.app/')[0]}.app).")
    if windows:
        return WrongPlatformError(f"This is a Windows build ({windows}).")
    if mobile or web:
        return WrongPlatformError(f"This is {'a mobile' if mobile else 'a web'} build ({mobile or web}).")
    lonely = next((name for name in names if name.endswith((".x86_64", ".x86"))), None)
    if lonely:
        data = PurePosixPath(lonely).with_suffix("").name + _DATA_SUFFIX
        return NoExecutableError(
            f"{lonely} has no folder {data} beside it.", "Zip the whole folder that Unity wrote, not the program alone."
        )
    shown = ", ".join(sorted(names)[:5]) + (", …" if len(names) > 5 else "")
    return NoExecutableError(f"The zip holds no Linux program. It holds: {shown or 'nothing'}.")


def _relative(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]
