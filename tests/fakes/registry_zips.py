"""Zips as ML-Agents' registry has them."""

import io
import zipfile


def as_the_registry_zips(build: bytes, folder: str = "Startup/") -> bytes:
    """A build as zips of ML-Agents' registry are: in a folder, beside what macOS adds, no file with its run bit."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(build)) as own, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(zipfile.ZipInfo(folder), b"")
        for info in own.infolist():
            if not info.is_dir() and not info.filename.endswith((".json", ".yaml")):
                made.writestr(zipfile.ZipInfo(f"{folder}{info.filename}"), own.read(info), zipfile.ZIP_DEFLATED)
        made.writestr(f"__MACOSX/{folder}._Basic.x86_64", b"\x00\x05\x16\x07")
        made.writestr(f"{folder}.DS_Store", b"\x00")
        made.writestr(f"{folder}LinuxPlayer_s.debug", b"")
    return packed.getvalue()
