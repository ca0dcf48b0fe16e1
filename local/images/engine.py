"""Docker or Podman, by its command line: what of it is used here is the same of both."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from local.errors import ImageError

ENGINE_VARIABLE = "GAMEDOJO_ENGINE"
"""Names one of KNOWN, where both are there and the second is wanted."""
KNOWN = ("docker", "podman")

_CALL_SECONDS = 120
_SAID_CHARACTERS = 2000
_VARIABLES = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST")
"""What an engine's command line finds its images and its daemon by."""
_RUNTIMES = ("", "crun", "runc")
"""Of Podman; "" is its own choice. crun 1.8 starts nothing where version 1 and 2 of control groups are mixed."""


@dataclass(frozen=True)
class Engine:
    """`command`: the program and its own options. The others: what `build` and `run` need on this machine."""

    command: tuple[str, ...]
    build_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Engine":
        """Of JSON, as `dataclasses.asdict` makes it."""
        return cls(
            command=tuple(document["command"]),
            build_options=tuple(document.get("build_options", ())),
            run_options=tuple(document.get("run_options", ())),
            environment=dict(document.get("environment", {})),
        )

    @property
    def name(self) -> str:
        """`docker` or `podman`."""
        return self.command[0]

    def run_command(self, image: str, arguments: Sequence[str] = (), *, options: Iterable[str] = ()) -> list[str]:
        """The command that runs a container in the foreground, and leaves nothing of it.

        SIGTERM goes on to the container's process 1, whose exit status the command ends with.
        """
        return [*self.command, "run", "--rm", *self.run_options, *options, image, *arguments]

    def call(self, *arguments: str, timeout_seconds: float = _CALL_SECONDS) -> str:
        """Run one of its commands; returns what that prints.

        Raises:
            ImageError: it fails, or takes too long.
        """
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ImageError(f"`{self.name} {arguments[0]}` failed: {error}") from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-_SAID_CHARACTERS:]
            raise ImageError(f"`{self.name} {arguments[0]}` failed: {said}")
        return done.stdout

    def has_image(self, image: str) -> bool:
        """Whether the image is on this machine."""
        return self._succeeds("image", "inspect", image)

    def pull(self, image: str, timeout_seconds: float) -> bool:
        """Whether a registry has given the image."""
        return self._succeeds("pull", "--quiet", image, timeout_seconds=timeout_seconds)

    def versions(self, repository: str) -> list[str]:
        """Names, with tags, of the images of a repository."""
        listed = self.call("images", "--format", "{{.Repository}}:{{.Tag}}", repository)
        return [line for line in listed.split() if not line.endswith(":<none>")]

    def _succeeds(self, *arguments: str, timeout_seconds: float = _CALL_SECONDS) -> bool:
        try:
            self.call(*arguments, timeout_seconds=timeout_seconds)
        except ImageError:
            return False
        return True


def find_engine(environment: Mapping[str, str] = os.environ) -> Engine:
    """The first that can run a container.

    Raises:
        ImageError: there is none; the message says of each why.
    """
    wanted = environment.get(ENGINE_VARIABLE)
    if wanted and wanted not in KNOWN:
        raise ImageError(f"{ENGINE_VARIABLE} is {wanted!r}; known are {' and '.join(KNOWN)}.")
    reasons = []
    for name in [wanted] if wanted else KNOWN:
        try:
            engine = _docker() if name == "docker" else _podman()
            known = {name: environment[name] for name in _VARIABLES if environment.get(name)}
            return replace(engine, environment=known)
        except ImageError as error:
            reasons.append(str(error))
    raise ImageError(
        "No container can be run here. "
        + " ".join(reasons)
        + " On Debian: apt-get install podman runc containernetworking-plugins mmdebstrap."
    )


def _docker() -> Engine:
    engine = Engine(("docker",))
    if shutil.which("docker") is None:
        raise ImageError("Docker is not installed.")
    engine.call("version", "--format", "{{.Server.Version}}", timeout_seconds=20)
    return engine


def _podman() -> Engine:
    if shutil.which("podman") is None:
        raise ImageError("Podman is not installed.")
    # As root, a build needs no runtime but chroot(2). Files have no times of their own: two builds are the same image.
    isolation = ("--isolation", "chroot") if os.geteuid() == 0 else ()
    first = Engine(("podman",), build_options=(*isolation, "--timestamp", "0"))
    reason = ""
    for runtime in _RUNTIMES:
        command = ("podman", "--runtime", runtime) if runtime else ("podman",)
        for limits in ((), _own_limits()):
            engine = replace(first, command=command, run_options=limits)
            try:
                _start_something(engine)
            except ImageError as error:
                reason = reason or str(error)
            else:
                return engine
    raise ImageError(reason)


def _own_limits() -> tuple[str, ...]:
    """No more than we have ourselves: Podman asks for a million, which a root without CAP_SYS_RESOURCE may not."""
    options = []
    for name, number, most in (("nofile", resource.RLIMIT_NOFILE, 2**20), ("nproc", resource.RLIMIT_NPROC, 2**15)):
        _, hard = resource.getrlimit(number)
        limit = most if hard == resource.RLIM_INFINITY else min(hard, most)
        options += ["--ulimit", f"{name}={limit}:{limit}"]
    return tuple(options)


def _start_something(engine: Engine) -> None:
    """Run `true` of this machine in a container without an image."""
    with _root_without_image() as root:
        engine.call(
            "run", "--rm", *engine.run_options, "--network", "none", "--volume", "/usr:/usr:ro", "--rootfs", str(root),
            "/usr/bin/true",
        )  # fmt: skip


@contextmanager
def _root_without_image() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gd-root-") as folder:
        root = Path(folder)
        for name in ("lib", "lib64", "bin"):
            (root / name).symlink_to(f"usr/{name}")
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp"):
            (root / name).mkdir()
        yield root
