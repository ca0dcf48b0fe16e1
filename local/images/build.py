"""Builds the targets of `container/Dockerfile`, each at most once for each state of what goes into it."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.errors import ImageError
from local.images.base import base_image
from local.images.engine import Engine, find_engine
from local.images.wheels import fetched_wheels, torch_build
from local.progress import Progress

TARGETS = ("training", "inference")
SOURCES = (
    "container",
    "functions/pipeline/__init__.py",
    "functions/pipeline/contracts",
    "requirements/inference.txt",
    "requirements/torch-cpu.txt",
    "requirements/torch-cuda.txt",
    "requirements/training.txt",
    "rl_src",
)
"""What both builds read of the checkout; `.dockerignore` shows them no more."""

CACHE_VARIABLE = "GAMEDOJO_CACHE"
"""The folder of the fetched packages; ~/.cache/gamedojo by default."""

_BUILD_SECONDS = 3600
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Docker and Podman keep these arguments out of the image."""


@dataclass(frozen=True)
class Images:
    """Names of the two images and their base, the engine that has them, and the build of torch in the first."""

    engine: Engine
    base: str
    training: str
    inference: str
    torch: str


def build_images(
    checkout: Path,
    progress: Progress,
    *,
    base: str | None = None,
    environment: Mapping[str, str] = os.environ,
    engine: Engine | None = None,
) -> Images:
    """Build what is not there yet.

    Args:
        checkout: the repository.
        progress: is told.
        base: another base image than the Dockerfile's; or else `BASE_IMAGE` of the environment.
        environment: for pip and the engine; TORCH_BUILD names the build of torch.
        engine: or else the first that is found.

    Raises:
        ImageError: there is no engine, TORCH_BUILD is unknown, or a build failed.
    """
    torch = torch_build(environment)
    engine = engine or find_engine(environment)
    base = base or environment.get("BASE_IMAGE") or base_image(engine, checkout / "container" / "Dockerfile", progress)
    key = fingerprint(checkout, base, torch)
    names = {target: f"localhost/gamedojo-{target}:{key}" for target in TARGETS}
    missing = [target for target in TARGETS if not engine.has_image(names[target])]
    if missing:
        wheels = fetched_wheels(checkout, cache_folder(environment), torch, environment, progress)
        for target in missing:
            with progress.step(f"Building the {target} image with {engine.name.capitalize()}"):
                build_target(engine, checkout, target, names[target], base, torch, wheels, environment=environment)
    return Images(engine, base, names["training"], names["inference"], torch)


def build_target(
    engine: Engine,
    checkout: Path,
    target: str,
    name: str,
    base: str,
    torch: str,
    wheels: Path,
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Build one target, of a base that is there and packages that were fetched.

    Raises:
        ImageError: the build failed; the message has the end of what it printed.
    """
    arguments = {"BASE_IMAGE": base, "TORCH_BUILD": torch, "PIP_NO_INDEX": "1"}
    arguments |= {proxy: environment[proxy] for proxy in _PROXIES if environment.get(proxy)}
    engine.call(
        "build",
        *engine.build_options,
        *options,
        "--file", str(checkout / "container" / "Dockerfile"),
        "--target", target,
        "--tag", name,
        "--build-context", f"wheels={wheels}",
        *(word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")),
        str(checkout),
        timeout_seconds=_BUILD_SECONDS,
    )  # fmt: skip


def fingerprint(checkout: Path, base: str, torch: str) -> str:
    """Of all that a build reads."""
    digest = hashlib.sha256(f"{base}\0{torch}\0".encode())
    for path in sorted(_files(checkout)):
        mode = path.stat().st_mode & 0o111
        digest.update(f"{path.relative_to(checkout)}\0{mode}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def remove_images(engine: Engine) -> list[str]:
    """Remove the images of all builds that no container uses, and their base; returns their names."""
    return [
        name
        for repository in (*(f"localhost/gamedojo-{target}" for target in TARGETS), "localhost/gamedojo-base")
        for name in _removed(engine, engine.versions(repository))
    ]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where fetched packages lie."""
    return Path(environment.get(CACHE_VARIABLE) or "~/.cache/gamedojo").expanduser()


def _files(checkout: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = checkout / name
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (one for one in found if one.is_file() and "__pycache__" not in one.parts)


def _removed(engine: Engine, images: Iterable[str]) -> list[str]:
    removed = []
    for image in images:
        with contextlib.suppress(ImageError):  # a container runs from it
            engine.call("rmi", image)
            removed.append(image)
    return removed
