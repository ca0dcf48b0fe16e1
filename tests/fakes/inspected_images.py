"""What an image says of itself, and what a program prints in a container of it."""

import json
import subprocess
from typing import Any

from local.images.build import Images

MEGABYTE = 1_000_000


def inspected(images: Images, name: str) -> dict[str, Any]:
    """The engine's description."""
    (found,) = json.loads(images.engine.call("image", "inspect", name))
    return found


def layers(images: Images, name: str) -> list[str]:
    """Their digests: files with all that they are, times too."""
    found: list[str] = inspected(images, name)["RootFS"]["Layers"]
    return found


def python(images: Images, name: str, code: str, *options: str) -> str:
    """What a program prints in a container without a network."""
    isolated = ["--network", "none", *options]
    done = subprocess.run(
        images.engine.run_command(name, ["python", "-c", code], options=isolated),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
