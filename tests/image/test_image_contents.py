"""What the built images hold: their size, their users, no rights that their base has not, nothing of the build."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from container.job import PLAYER_UID
from local.images.build import TARGETS, Images, build_target, cache_folder, fingerprint
from local.images.wheels import fetched_wheels
from local.progress import Progress
from tests.fakes import dockerfile, image_files
from tests.fakes.image_files import differences
from tests.fakes.inspected_images import MEGABYTE, inspected, layers, python
from tests.fakes.started_containers import ROOT

MOST_MEGABYTES = 250
"""Of the inference image: a serverless endpoint fetches it whenever it wakes."""

FILES = "import json, pathlib, image_files; print(json.dumps(image_files.described(pathlib.Path('/'))))"
FILES_WITH_RIGHTS = (
    "import json, pathlib, dockerfile; print(json.dumps([*dockerfile.files_with_rights(pathlib.Path('/'))]))"
)


def isolated_checks(*modules: ModuleType) -> list[str]:
    """Options of a container that imports them, without the rest of the checkout."""
    mounts = [f"{path}:/checks/{path.name}:ro" for path in (Path(str(module.__file__)) for module in modules)]
    return [*(word for mount in mounts for word in ("--volume", mount)), "--env", "PYTHONPATH=/checks", "--user", "0"]


def test_the_inference_image_is_small(images: Images, measure: Callable[[str, str], None]) -> None:
    sizes = {target: inspected(images, getattr(images, target))["Size"] / MEGABYTE for target in TARGETS}
    for target, size in sizes.items():
        measure(f"{target} image", f"{size:,.0f} MB")
    assert sizes["inference"] < MOST_MEGABYTES


@pytest.mark.parametrize(("target", "user"), [("training", ""), ("inference", "server")])
def test_how_it_starts_is_written_into_the_image(images: Images, target: str, user: str) -> None:
    config = inspected(images, getattr(images, target))["Config"]
    assert config.get("Entrypoint") is None
    assert config["Cmd"] == [{"training": "train", "inference": "serve"}[target]]
    assert config.get("User", "") == user
    assert not config.get("Healthcheck")
    assert config["Labels"]["org.opencontainers.image.title"] == f"gamedojo-{target}"


@pytest.mark.parametrize("target", TARGETS)
def test_no_file_has_more_rights_than_in_the_base(images: Images, target: str) -> None:
    found = {
        name: set(json.loads(python(images, name, FILES_WITH_RIGHTS, *isolated_checks(dockerfile))))
        for name in (images.base, getattr(images, target))
    }
    assert "usr/bin/su" in found[images.base]
    assert found[getattr(images, target)] <= found[images.base]


@pytest.mark.parametrize(("target", "absent"), [("training", {"pip", "boto3"}), ("inference", {"pip", "ray", "torch"})])
def test_neither_pip_nor_packages_for_something_else_are_there(images: Images, target: str, absent: set[str]) -> None:
    code = f"import importlib.util as u; print([n for n in {sorted(absent)!r} if u.find_spec(n)])"
    assert python(images, getattr(images, target), code) == "[]\n"


@pytest.mark.parametrize("target", TARGETS)
def test_onnx_runtime_tells_nobody_of_its_use(images: Images, target: str) -> None:
    """Its telemetry makes a name for the machine as it is imported, and warns where that cannot be kept."""
    isolated = ["--network", "none", "--read-only"]
    command = ["python", "-c", "import onnxruntime; onnxruntime.SessionOptions()"]
    done = subprocess.run(
        images.engine.run_command(getattr(images, target), command, options=isolated),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_of_the_build_stays(images: Images, target: str) -> None:
    code = (
        "import os, pathlib; print(sorted(os.environ), [*pathlib.Path('/tmp').iterdir()], "
        "[*pathlib.Path('/opt').glob('wheels/*')], [*pathlib.Path('/').glob('root/.*/*')])"
    )
    told = python(images, getattr(images, target), code, "--user", "0")
    assert "[] [] []" in told
    assert "PIP" not in told
    history = images.engine.call("history", "--no-trunc", "--format", "{{.CreatedBy}}", getattr(images, target))
    assert "://" not in history


@pytest.mark.parametrize("target", TARGETS)
def test_bytecode_is_there_for_every_module_and_knows_no_time(images: Images, target: str) -> None:
    """A process of a job compiles nothing, and the same sources make the same image."""
    code = (
        "import pathlib, importlib.util as u\n"
        "modules = [p for r in ('/opt/gamedojo', '/opt/venv/lib') for p in pathlib.Path(r).rglob('*.py')]\n"
        "caches = {p: pathlib.Path(u.cache_from_source(str(p))) for p in modules}\n"
        "print(len(modules), sum(not c.exists() for c in caches.values()))\n"
        "print({c.read_bytes()[4] for c in caches.values() if c.exists()})\n"
    )
    counts, kinds = python(images, getattr(images, target), code).splitlines()
    modules, without = map(int, counts.split())
    assert modules > 100
    assert without <= 2  # torch has some for later versions of Python
    assert kinds == "{1}"  # PEP 552: by hash, unchecked


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("target", TARGETS)
def test_the_same_sources_make_the_same_image(images: Images, target: str, measure: Callable[[str, str], None]) -> None:
    """Built again without a cache: the same files with the same modes, owners and bytes; by Podman, with no times."""
    name = getattr(images, target)
    again, quiet = f"{name}-again", Progress(lambda _line: None)
    wheels = fetched_wheels(ROOT, cache_folder(os.environ), images.torch, os.environ, quiet)
    assert name.endswith(fingerprint(ROOT, images.base, images.torch)), "sources were changed since it was built"
    began = time.monotonic()
    build_target(images.engine, ROOT, target, again, images.base, images.torch, wheels, options=["--no-cache"])
    measure(f"{target} image, built without a cache", f"{time.monotonic() - began:.0f} s")
    try:
        is_same = layers(images, name) == layers(images, again)
        trees = [] if is_same else [json.loads(files_of(images, one)) for one in (name, again)]
    finally:
        images.engine.call("rmi", again)
    assert not trees or differences(*trees) == []
    assert is_same or images.engine.name == "docker"


def files_of(images: Images, name: str) -> str:
    return python(images, name, FILES, *isolated_checks(image_files))


def test_users_are_those_of_the_cage(images: Images) -> None:
    code = "import os, pwd; print(os.getuid(), [p.pw_uid for p in pwd.getpwall() if 10000 <= p.pw_uid < 20000])"
    assert python(images, images.training, code) == f"0 [{PLAYER_UID}]\n"
    assert python(images, images.inference, code) == "10002 [10002]\n"
