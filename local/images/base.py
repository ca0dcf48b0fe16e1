"""The base image: the Dockerfile's own, from a registry, or a Debian of the same kind where no registry is at hand."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.errors import ImageError
from local.images.engine import Engine
from local.progress import Progress

MIRROR_VARIABLE = "GAMEDOJO_DEBIAN_MIRROR"
SECURITY_MIRROR_VARIABLE = "GAMEDOJO_DEBIAN_SECURITY_MIRROR"

_REPOSITORY = "gamedojo-base"
_RELEASE = "bookworm"
_PULL_SECONDS = 300
_BOOTSTRAP_SECONDS = 1800
_OPTIONS = (
    "--variant=minbase",
    "--include=python3,python3-venv,python-is-python3",
    # /bin is a link into /usr from the start; else usrmerge makes it one, and brings all of Perl for that
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    # of the machine that makes it; an engine brings a container its own
    '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
)


def base_image(
    engine: Engine, dockerfile: Path, progress: Progress, environment: Mapping[str, str] = os.environ
) -> str:
    """The name of an image that is on this machine.

    Raises:
        ImageError: no registry gives the Dockerfile's, and no Debian can be made; or one of its two mirrors is named.
    """
    named = _default(dockerfile)
    debian = f"localhost/{_REPOSITORY}:{_RELEASE}-{_recipe(environment)}"
    for image in (named, debian):
        if engine.has_image(image):
            return image
    with progress.step(f"Asking a registry for {named}"):
        if engine.pull(named, _PULL_SECONDS):
            return named
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        raise ImageError(
            f"No registry gives {named}, and a Debian can be made by root with mmdebstrap only. "
            "Name a base image that is on this machine: --base IMAGE."
        )
    with progress.step(f"No registry has it: making a Debian {_RELEASE} of packages"):
        _import_debian(engine, debian, environment)
    return debian


def _default(dockerfile: Path) -> str:
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ImageError(f"{dockerfile} has no line ARG BASE_IMAGE=….")
    return found[1]


def _sources(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Lines for apt; none where no mirror is named: mmdebstrap knows those of a release."""
    mirror, security = (environment.get(name) for name in (MIRROR_VARIABLE, SECURITY_MIRROR_VARIABLE))
    if bool(mirror) != bool(security):
        raise ImageError(f"Name two mirrors, {MIRROR_VARIABLE} and {SECURITY_MIRROR_VARIABLE}, or none of them.")
    return (f"deb {mirror} {_RELEASE} main", f"deb {security} {_RELEASE}-security main") if mirror else ()


def _recipe(environment: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join([*_OPTIONS, *_sources(environment)]).encode()).hexdigest()[:12]


def _import_debian(engine: Engine, name: str, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gd-base-") as folder:
        tree = Path(folder) / "base.tar"
        command = ["mmdebstrap", *_OPTIONS, _RELEASE, str(tree), *_sources(environment)]
        try:
            done = subprocess.run(
                command,
                env={**environment, "SOURCE_DATE_EPOCH": "0"},  # the same packages make the same tree
                capture_output=True,
                text=True,
                timeout=_BOOTSTRAP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ImageError(f"mmdebstrap took longer than {_BOOTSTRAP_SECONDS} s.") from error
        if done.returncode != 0:
            raise ImageError(f"mmdebstrap failed: {done.stderr.strip()[-2000:]}")
        engine.call("import", str(tree), name, timeout_seconds=300)
