"""The packages of both images, fetched by this machine's pip with this machine's configuration.

A build then needs no index, so that neither an index's address nor a proxy's certificate comes near an image.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from local.errors import ImageError
from local.progress import Progress

LOCKS = ("requirements/training.txt", "requirements/inference.txt")
TORCH_LOCKS = {"cpu": "requirements/torch-cpu.txt", "cuda": "requirements/torch-cuda.txt"}
"""By build of torch."""

_FETCH_SECONDS = 1800


def torch_build(environment: Mapping[str, str]) -> str:
    """A key of TORCH_LOCKS: TORCH_BUILD, or else the build that is installed here, whose wheel can be had here then.

    Raises:
        ImageError: TORCH_BUILD is none.
    """
    named = environment.get("TORCH_BUILD")
    if named and named not in TORCH_LOCKS:
        raise ImageError(f"TORCH_BUILD is {named!r}; known are {' and '.join(TORCH_LOCKS)}.")
    return named or ("cpu" if version("torch").endswith("+cpu") else "cuda")


def fetched_wheels(checkout: Path, cache: Path, torch: str, environment: Mapping[str, str], progress: Progress) -> Path:
    """The folder that has them all; those of earlier lock files are removed.

    Args:
        checkout: has LOCKS and TORCH_LOCKS.
        cache: where the folder lies.
        torch: its build, a key of TORCH_LOCKS.
        environment: of pip. TORCH_INDEX names another index for torch.
        progress: is told.

    Raises:
        ImageError: pip fails, or fetches for another system than the images'.
    """
    index = environment.get("TORCH_INDEX", "")
    locks = [checkout / name for name in (*LOCKS, TORCH_LOCKS[torch])]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in locks)).hexdigest()[:12]
    folder = cache / "wheels" / torch / key
    if folder.is_dir():
        return folder
    if not sys.platform.startswith("linux") or sys.version_info[:2] != (3, 11):
        raise ImageError("The images' packages are fetched by a Python 3.11 of Linux only.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.iterdir():
        shutil.rmtree(old)
    with progress.step("Fetching the packages of both images"):
        fetching = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
        try:
            for lock in locks[:-1]:
                _fetch(fetching, environment, lock)
            with tempfile.TemporaryDirectory(prefix="gd-lock-") as scratch:
                exact = _to_the_letter(locks[-1], Path(scratch))
                # what torch needs is in the other locks, or in this one
                _fetch(fetching, environment, exact, "--no-deps", *(["--index-url", index] if index else []))
            fetching.replace(folder)
        except BaseException:
            shutil.rmtree(fetching)
            raise
    return folder


def _to_the_letter(lock: Path, folder: Path) -> Path:
    """The same lock with torch===: torch== takes `+cpu` too, and as a later version, where both builds can be had."""
    exact = folder / lock.name
    exact.write_text(re.sub(r"^torch==", "torch===", lock.read_text(encoding="utf-8"), flags=re.MULTILINE), "utf-8")
    return exact


def _fetch(folder: Path, environment: Mapping[str, str], lock: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--only-binary=:all:"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), *options, "--require-hashes", "-r", str(lock)],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"Fetching the packages took longer than {_FETCH_SECONDS} s.") from error
    if done.returncode != 0:
        raise ImageError(f"The packages could not be fetched: {done.stderr.strip()[-2000:]}")
