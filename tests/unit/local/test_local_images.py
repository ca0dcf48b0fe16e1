"""Images of this machine's engine, whose command line a script stands for: which is taken, and what it is told."""

import json
import os
import resource
import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from local.errors import ImageError
from local.images.base import base_image
from local.images.build import SOURCES, build_images, remove_images
from local.images.engine import Engine, find_engine
from local.progress import Progress

QUIET = Progress(lambda _line: None)

Write = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts a shell script on an otherwise empty PATH; returns the file of the commands that it was given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, script: str) -> Path:
        log, path = tmp_path / f"{name}.log", folder / name
        path.write_text(f'#!/bin/sh\necho "$*" >> {shlex.quote(str(log))}\n{script}\n')
        path.chmod(0o755)
        log.touch()
        return log

    return write


def calls(log: Path) -> list[str]:
    return log.read_text().splitlines()


def test_docker_is_taken_where_its_daemon_answers(program: Write) -> None:
    program("docker", "echo 28.2")
    program("podman", "true")
    assert find_engine({}).command == ("docker",)
    assert find_engine({"GAMEDOJO_ENGINE": "podman"}).command == ("podman",)


def test_podman_is_taken_with_a_runtime_that_starts_something(program: Write) -> None:
    program("docker", "echo no daemon >&2; exit 1")
    log = program("podman", 'case "$*" in *"--runtime runc"*) ;; *) echo mixed groups >&2; exit 1;; esac')
    engine = find_engine({"HOME": "/home/me", "SECRET": "x"})
    assert engine.command == ("podman", "--runtime", "runc")
    assert engine.run_options == ()
    assert engine.environment == {"HOME": "/home/me"}
    assert all("run --rm" in call and "--network none" in call for call in calls(log))


def test_limits_are_our_own_where_podmans_are_refused(program: Write) -> None:
    program("podman", 'case "$*" in *ulimit*) ;; *) echo setrlimit >&2; exit 1;; esac')
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert f"nofile={min(hard, 2**20)}:{min(hard, 2**20)}" in find_engine({"GAMEDOJO_ENGINE": "podman"}).run_options


def test_where_nothing_runs_a_container_each_is_told_why(program: Write) -> None:
    program("podman", "echo cgroups in hybrid mode >&2; exit 1")
    with pytest.raises(ImageError, match=r"(?s)Docker is not installed.*cgroups in hybrid mode.*apt-get install"):
        find_engine({})


def test_an_engine_that_is_not_known_is_named() -> None:
    with pytest.raises(ImageError, match="GAMEDOJO_ENGINE is 'lxc'; known are docker and podman"):
        find_engine({"GAMEDOJO_ENGINE": "lxc"})


def test_an_engine_is_the_same_after_a_way_through_json() -> None:
    engine = Engine(("podman", "--runtime", "runc"), ("--isolation", "chroot"), ("--ulimit", "nofile=1:1"), {"A": "b"})
    assert Engine.from_document(json.loads(json.dumps(asdict(engine)))) == engine
    options = ["--network", "none"]
    assert engine.run_command("image:1", ["train"], options=options) == shlex.split(
        "podman --runtime runc run --rm --ulimit nofile=1:1 --network none image:1 train"
    )


def checkout(folder: Path) -> Path:
    for name in SOURCES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    (folder / "container" / "Dockerfile").write_text("ARG BASE_IMAGE=registry/python:3\n")
    return folder


def test_what_is_there_is_not_built_again(program: Write, tmp_path: Path) -> None:
    log = program("podman", "true")
    images = build_images(checkout(tmp_path), QUIET, base="base:1", environment={}, engine=Engine(("podman",)))
    assert images.training.removeprefix("localhost/gamedojo-training:") == images.inference.rpartition(":")[2]
    assert calls(log) == [f"image inspect {name}" for name in (images.training, images.inference)]


def test_a_build_asks_no_index_and_is_given_the_proxy(program: Write, tmp_path: Path) -> None:
    log = program("podman", 'case "$*" in "image inspect"*inference*) exit 1;; esac')
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "GAMEDOJO_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "BASE_IMAGE": "base:2",
        "TORCH_BUILD": "cuda",
        "http_proxy": "http://proxy:3128",
    }
    images = build_images(checkout(tmp_path), QUIET, environment=environment, engine=Engine(("podman",)))
    (build,) = [call for call in calls(log) if call.startswith("build ")]
    assert f"--target inference --tag {images.inference}" in build
    assert "--build-arg BASE_IMAGE=base:2 --build-arg TORCH_BUILD=cuda --build-arg PIP_NO_INDEX=1" in build
    assert "--build-arg http_proxy=http://proxy:3128" in build
    assert f"--build-context wheels={tmp_path / 'cache' / 'wheels' / 'cuda'}/" in build


def test_packages_that_cannot_be_fetched_are_told_and_leave_no_folder(program: Write, tmp_path: Path) -> None:
    program("podman", 'case "$*" in "image inspect"*) exit 1;; esac')
    root = checkout(tmp_path)
    (root / "requirements" / "training.txt").write_text("gamedojo-none-such==1 --hash=sha256:00\n")
    environment = {"PATH": os.defpath, "GAMEDOJO_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    with pytest.raises(ImageError, match="gamedojo-none-such"):
        build_images(root, QUIET, base="base:1", environment=environment, engine=Engine(("podman",)))
    (folder,) = (tmp_path / "cache" / "wheels").iterdir()
    assert list(folder.iterdir()) == []


def test_a_build_that_fails_says_how(program: Write, tmp_path: Path) -> None:
    program("podman", 'case "$*" in *inspect*) exit 1;; build*) echo no space left >&2; exit 125;; esac')
    environment = {"PATH": os.defpath, "GAMEDOJO_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    with pytest.raises(ImageError, match="`podman build` failed: no space left"):
        build_images(checkout(tmp_path), QUIET, base="base:1", environment=environment, engine=Engine(("podman",)))


def test_without_registry_and_bootstrap_a_base_is_to_be_named(program: Write, tmp_path: Path) -> None:
    log = program("podman", "exit 1")
    with pytest.raises(ImageError, match=r"No registry gives registry/python:3, .*--base IMAGE"):
        base_image(Engine(("podman",)), checkout(tmp_path) / "container" / "Dockerfile", QUIET, {})
    assert calls(log)[-1] == "pull --quiet registry/python:3"


MIRRORS = {"GAMEDOJO_DEBIAN_MIRROR": "http://near/debian", "GAMEDOJO_DEBIAN_SECURITY_MIRROR": "http://near/security"}


@pytest.mark.parametrize(
    ("mirrors", "sources"),
    [
        ({}, ""),
        (MIRRORS, " deb http://near/debian bookworm main deb http://near/security bookworm-security main"),
    ],
)
def test_a_debian_is_made_of_the_mirrors_that_are_named_and_else_of_mmdebstraps_own(
    program: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirrors: dict[str, str], sources: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    podman = program("podman", 'case "$*" in import*) ;; *) exit 1;; esac')
    log = program("mmdebstrap", 'test "$SOURCE_DATE_EPOCH" = 0')
    environment = mirrors | {"PATH": os.environ["PATH"]}
    name = base_image(Engine(("podman",)), checkout(tmp_path) / "container" / "Dockerfile", QUIET, environment)
    (made,) = calls(log)
    tree = calls(podman)[-1].removeprefix("import ").removesuffix(f" {name}")
    assert made.endswith(f" bookworm {tree}{sources}")


def test_two_debians_of_other_mirrors_are_two_images(program: Write, tmp_path: Path) -> None:
    log = program("podman", "exit 1")
    for environment in ({}, MIRRORS):
        with pytest.raises(ImageError):
            base_image(Engine(("podman",)), checkout(tmp_path) / "container" / "Dockerfile", QUIET, environment)
    asked = {call for call in calls(log) if call.startswith("image inspect localhost/gamedojo-base:bookworm-")}
    assert len(asked) == 2


@pytest.mark.parametrize("name", MIRRORS)
def test_one_mirror_without_the_other_is_refused(program: Write, tmp_path: Path, name: str) -> None:
    program("podman", "exit 1")
    with pytest.raises(ImageError, match="Name two mirrors, GAMEDOJO_DEBIAN_MIRROR and GAMEDOJO_DEBIAN_SECURITY_MIRR"):
        base_image(Engine(("podman",)), checkout(tmp_path) / "container" / "Dockerfile", QUIET, {name: MIRRORS[name]})


def test_images_in_use_stay(program: Write) -> None:
    script = 'case "$*" in images*training) echo t:1; echo t:2;; images*) ;; "rmi t:1") exit 1;; esac'
    log = program("docker", script)
    assert remove_images(Engine(("docker",))) == ["t:2"]
    assert [call for call in calls(log) if call.startswith("rmi")] == ["rmi t:1", "rmi t:2"]
