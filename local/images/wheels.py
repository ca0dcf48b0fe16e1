"""The packages of both images, fetched by this machine's pip with this machine's configuration.

A build then needs no index, so that neither an index's address nor a proxy's certificate comes near an image.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.errors import ImageError
from local.progress import Progress

LOCKS = ("requirements/training.txt", "requirements/inference.txt")
TORCH = "requirements/torch.txt"

_FETCH_SECONDS = 1800


def fetched_wheels(checkout: Path, cache: Path, environment: Mapping[str, str], progress: Progress) -> Path:
    """The folder that has them all; those of earlier lock files are removed.

    Args:
        checkout: has LOCKS and TORCH.
        cache: where the folder lies.
        environment: of pip. TORCH_INDEX names another index for torch.
        progress: is told.

    Raises:
        ImageError: pip fails, or fetches for another system than the images'.
    """
    index = environment.get("TORCH_INDEX", "")
    locks = [checkout / name for name in (*LOCKS, TORCH)]
    key = hashlib.sha256(b"\0".join([*(path.read_bytes() for path in locks), index.encode()])).hexdigest()[:12]
    folder = cache / "wheels" / key
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
                _fetch(fetching, environment, "--require-hashes", "-r", str(lock))
            _fetch(fetching, environment, *(["--index-url", index] if index else []), "-r", str(locks[-1]))
            fetching.replace(folder)
        except BaseException:
            shutil.rmtree(fetching)
            raise
    return folder


def _fetch(folder: Path, environment: Mapping[str, str], *what: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--only-binary=:all:"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), *what],
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
