"""What the Dockerfile promises, read from it: no image is built here."""

import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from container.job import PLAYER_UID
from local.images.build import SOURCES, fingerprint
from local.images.wheels import TORCH_LOCKS
from tests.fakes import dockerfile
from tests.fakes.dockerfile import Instruction, Stage, files_with_rights

ROOT = Path(__file__).parents[2]
FILE = dockerfile.read(ROOT / "container" / "Dockerfile")
IMAGES = ("training", "inference")
ALL = [one for stage in FILE.stages.values() for one in stage.instructions]


def made_users(image: str) -> dict[str, int]:
    """Users by name, of a stage's `useradd`."""
    runs = " && ".join(one.text for one in FILE.stages[image].of("RUN"))
    commands = [command.split() for command in runs.split("&&") if command.strip().startswith("useradd ")]
    assert all({"--no-create-home", "/usr/sbin/nologin"} <= set(words) for words in commands)
    return {words[-1]: int(words[words.index("--uid") + 1]) for words in commands}


def test_the_base_image_is_an_argument_with_a_version() -> None:
    bases = {stage.base for stage in FILE.stages.values()} - set(FILE.stages)
    assert bases == {"${BASE_IMAGE}", "scratch"}
    assert FILE.stages["wheels"] == Stage("wheels", "scratch", ())
    assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", FILE.arguments["BASE_IMAGE"])


def test_the_player_has_a_user_that_owns_nothing() -> None:
    """The training image starts as root: it has to, to drop the player to that user."""
    assert made_users("training") == {"player": PLAYER_UID}
    assert FILE.stages["training"].of("USER") == FILE.stages["base"].of("USER") == []
    assert not [one for one in ALL if "chown" in one.text]


def test_the_server_is_not_root_and_nothing_is_installed_as_it() -> None:
    users = made_users("inference")
    *before, user = [one for one in FILE.stages["inference"].instructions if one.name in {"USER", "RUN", "COPY"}]
    assert user.name == "USER"
    assert users[user.text] not in {0, PLAYER_UID}
    assert "USER" not in {one.name for one in before}


@pytest.mark.parametrize("image", IMAGES)
def test_what_starts_is_a_program_of_ours_without_a_shell_around_it(image: str) -> None:
    """A signal reaches it, then; SageMaker brings its own health check."""
    lineage = FILE.lineage(image)
    commands = [one for one in lineage if one.name in {"CMD", "ENTRYPOINT"}]
    assert [one.command and len(one.command) for one in commands] == [1]
    assert os.access(ROOT / "container" / str((commands[0].command or [""])[0]), os.X_OK)
    assert not [one for one in lineage if one.name in {"HEALTHCHECK", "SHELL", "ONBUILD", "VOLUME", "ADD"}]


@pytest.mark.parametrize("word", ["chmod", "setcap", "sudo", "su-exec", "gosu", "curl", "wget", "--mount=type=secret"])
def test_no_instruction_gives_rights_away_or_fetches_what_is_not_locked(word: str) -> None:
    assert not [one for one in ALL if word in one.text]


@pytest.mark.parametrize("image", IMAGES)
def test_onnx_runtime_s_telemetry_is_off(image: str) -> None:
    assert any("ORT_DISABLE_TELEMETRY=1" in one.words for one in FILE.lineage(image) if one.name == "ENV")


def test_no_secret_is_baked_in() -> None:
    named = [one.text for one in ALL if one.name in {"ENV", "ARG", "LABEL"}]
    assert not [text for text in named if re.search(r"(?i)secret|token|password|credential|aws_|_key", text)]


def test_packages_are_installed_by_hash_and_debian_s_without_more_than_asked_for() -> None:
    commands = [command.strip() for one in ALL if one.name == "RUN" for command in one.text.split("&&")]
    installs = [command for command in commands if "/pip " in command]
    assert len(installs) == 3
    assert all(" install " in command for command in installs)
    assert all("--require-hashes" in command for command in installs)
    debian = [command for command in commands if "apt-get install" in command]
    assert all("--no-install-recommends" in command for command in debian)
    assert len(debian) == len([one for one in commands if one.startswith("rm -rf /var/lib/apt/lists/* ")])


@pytest.mark.parametrize("image", IMAGES)
def test_pip_and_what_it_installed_from_stay_out_of_the_image(image: str) -> None:
    (packages,) = [one for one in FILE.stages[image].of("RUN") if "/pip " in one.text]
    assert packages.text.startswith("--mount=type=bind,from=wheels,")
    assert "venv --without-pip /opt/venv" in packages.text
    assert packages.text.endswith("rm -r /tmp/installer")


def locked(name: str) -> dict[str, str]:
    """Versions by package."""
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {canonicalize_name(found[1]): found[2] for found in re.finditer(r"(?m)^([\w.-]+)==([^\s;]+)", lock)}


def test_all_builds_of_torch_are_of_one_version_and_bring_no_other_version_of_what_is_locked() -> None:
    assert {build: f"requirements/torch-{build}.txt" for build in ("cpu", "cuda")} == TORCH_LOCKS
    pinned, cpu, cuda, training = map(locked, ("torch", "torch-cpu", "torch-cuda", "training"))
    assert cpu == {"torch": f"{pinned['torch']}+cpu"}
    assert cuda["torch"] == pinned["torch"]
    more = set(cuda) - set(training) - {"torch"}
    assert {name: cuda[name] for name in cuda.keys() & training} == {
        name: training[name] for name in cuda.keys() & training
    }
    assert {name for name in more if not name.startswith(("nvidia-", "cuda-"))} == {"triton"}


def test_what_torch_needs_is_locked_too() -> None:
    """The lock of its CPU build has torch alone."""
    needed = [Requirement(text) for text in requires("torch") or []]
    of_any_build = {one.name for one in needed if not one.marker or one.marker.evaluate({"extra": ""})}
    own = {name for name in of_any_build if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert {canonicalize_name(name) for name in of_any_build - own} <= locked("training").keys()


def test_what_a_build_reads_is_what_its_name_is_made_of() -> None:
    """Else a change of the sources would leave an image of the earlier ones."""
    copied = {word for one in ALL if one.name == "COPY" for word in one.words[:-1]}
    sources = [Path(name) for name in SOURCES]
    assert not [name for name in copied if not any(Path(name).is_relative_to(source) for source in sources)]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line.removeprefix("!") for line in lines if line.startswith("!")] == sorted(SOURCES)


def test_another_name_is_made_of_other_sources(tmp_path: Path) -> None:
    dockerfile.copy_into(tmp_path, ROOT, tuple(Instruction("COPY", f"{name} {name}") for name in SOURCES))
    seen = {fingerprint(tmp_path, "base:1", "cpu")}
    (tmp_path / "rl_src" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "rl_src" / "__pycache__" / "left.pyc").touch()
    assert fingerprint(tmp_path, "base:1", "cpu") in seen
    seen |= {fingerprint(tmp_path, "base:2", "cpu"), fingerprint(tmp_path, "base:1", "cuda")}
    (tmp_path / "rl_src" / "new.py").touch()
    seen.add(fingerprint(tmp_path, "base:1", "cpu"))
    (tmp_path / "container" / "serve").chmod(0o644)
    seen.add(fingerprint(tmp_path, "base:1", "cpu"))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("image", "modules"),
    [("training", ("training_job", "evaluation_job")), ("inference", ("endpoint",))],
)
def test_what_is_copied_is_enough_to_start(tmp_path: Path, image: str, modules: tuple[str, ...]) -> None:
    """The tree as COPY makes it, alone on the path."""
    dockerfile.copy_into(tmp_path, ROOT, FILE.lineage(image))
    names = [f"container.{name}" for name in modules]
    checks = [f"import {name}; assert {name}.__file__.startswith({str(tmp_path)!r})" for name in names]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(checks)],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.defpath},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files_with_rights(tmp_path) == frozenset()


def test_files_with_more_rights_than_their_caller_are_found(tmp_path: Path) -> None:
    for name, mode in {
        "plain": 0o755,
        "deep/uid": 0o4755,
        "gid": 0o2755,
        "both": 0o6711,
        "deep/sticky": 0o1644,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.chmod(mode)
    (tmp_path / "deep").chmod(0o2755)  # of a folder it says who owns new files
    (tmp_path / "link").symlink_to("both")
    assert files_with_rights(tmp_path) == {"deep/uid", "gid", "both"}
    listed = subprocess.run(
        ["find", ".", "-xdev", "-type", "f", "-perm", "/6000"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert {line.removeprefix("./") for line in listed.stdout.split()} == files_with_rights(tmp_path)


def test_the_reader_takes_a_dockerfile_apart(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text(
        "# first\nARG A=x:1\nFROM ${A} AS one\nRUN a \\\n # between\n  && b\n"
        'from one AS two\nCMD ["run", "it"]\nCMD run\n'
    )
    found = dockerfile.read(path)
    assert found.arguments == {"A": "x:1"}
    assert found.lineage("two")[0] == Instruction("RUN", "a && b")
    assert [one.command for one in found.stages["two"].of("CMD")] == [["run", "it"], None]
