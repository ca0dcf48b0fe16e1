"""The sample build, with a request of its own inside."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from demo.errors import DemoError


def pack_basic(directory: Path) -> Path:
    """Pack the sample build Basic as a Linux build; answers the zip."""
    command = [sys.executable, "-m", "sample_builds", "pack", "Basic", "--output", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    packed = directory / "Basic.zip"
    if done.returncode or not packed.is_file():
        raise DemoError(f"The sample build could not be packed:\n{done.stdout}{done.stderr}")
    return packed


def with_request(build: Path, request: dict[str, object], into: Path) -> Path:
    """Copy a build and add `gamedojo.json` at its root, which configures a zip that is just dropped into the bucket."""
    copy = into / build.name
    copy.write_bytes(build.read_bytes())
    with zipfile.ZipFile(copy, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gamedojo.json", json.dumps(request, indent=2))
    return copy
