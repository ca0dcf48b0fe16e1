"""Packs a sample build as a zip that looks like a Linux build from Unity, and plays anywhere with Python 3.11.

    Basic.zip
    ├── Basic.x86_64                     the program: a script with a shebang
    ├── Basic_Data/
    │   ├── globalgamemanagers           a header that names a Unity version
    │   ├── boot.config
    │   ├── Managed/Unity.ML-Agents.dll  placeholder; shows that the toolkit is in the build
    │   └── StreamingAssets/player/      the code
    └── UnityPlayer.so                   placeholder

The same code gives the same bytes: entries are sorted, times fixed, nothing depends on the machine.
"""

import zipfile
from pathlib import Path

from sample_builds.catalog import SAMPLE_BUILDS, SampleBuild
from sample_builds.descriptors import packed_descriptors
from sample_builds.player.messages import DESCRIPTORS_FILE

UNITY_VERSION = "2022.3.62f1"
"""The version that the build's header names, so that inspection has something to find."""

_ROOT = Path(__file__).parent
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_UNIX = 3
_PROGRAM_MODE, _FILE_MODE = 0o100755, 0o100644

_LAUNCHER = """\
#!/usr/bin/env python3
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent / "{name}_Data" / "StreamingAssets" / "player"))

from sample_builds.player.main import play

sys.exit(play("{scene}", sys.argv[1:]))
"""


class UnknownSampleBuildError(ValueError):
    """No sample build has that name."""


def pack(name: str, output: Path) -> Path:
    """Write `<output>/<name>.zip` and return its path.

    Raises:
        UnknownSampleBuildError: with the names that there are.
    """
    build = SAMPLE_BUILDS.get(name)
    if build is None:
        raise UnknownSampleBuildError(f"No sample build {name!r}; there are {', '.join(SAMPLE_BUILDS)}.")
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in sorted(_contents(build).items()):
            archive.writestr(_zip_info(entry, f"{name}.x86_64"), content, compresslevel=9)
    return path


def _contents(build: SampleBuild) -> dict[str, bytes]:
    data = f"{build.name}_Data"
    code = f"{data}/StreamingAssets/player/sample_builds"
    placeholder = b"Placeholder: sample builds have no engine.\n"
    contents = {
        f"{build.name}.x86_64": _LAUNCHER.format(name=build.name, scene=build.scene).encode(),
        "UnityPlayer.so": placeholder,
        f"{data}/boot.config": b"wait-for-native-debugger=0\n",
        f"{data}/globalgamemanagers": _globalgamemanagers(),
        f"{data}/Managed/Assembly-CSharp.dll": placeholder,
        f"{data}/Managed/Unity.ML-Agents.dll": placeholder,
        f"{code}/player/{DESCRIPTORS_FILE}": packed_descriptors(),
    }
    sources = ["__init__.py", "scenes/__init__.py", *(f"scenes/{module}.py" for module in build.modules)]
    sources += [str(path.relative_to(_ROOT)) for path in sorted((_ROOT / "player").glob("*.py"))]
    for source in sources:
        contents[f"{code}/{source}"] = (_ROOT / source).read_bytes()
    return contents


def _globalgamemanagers() -> bytes:
    """The start of a Unity serialized file, format 22: 48 bytes of header, then the version as a C string."""
    header = bytearray(48)
    header[8:12] = (22).to_bytes(4, "big")
    return bytes(header) + UNITY_VERSION.encode() + b"\0"


def _zip_info(name: str, program: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = _UNIX
    info.external_attr = (_PROGRAM_MODE if name == program else _FILE_MODE) << 16
    return info
