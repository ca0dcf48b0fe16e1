"""What training and evaluation share: signals, the failure file, the build, the player's user."""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from container.failures import failure_text
from container.opt_ml import FAILURE_CHARACTERS, OptMl
from rl_src.envs.build import unpack_build
from rl_src.envs.player import PlayerUser

PLAYER_UID = 10_001
"""A user that owns nothing in the image; `GAMEDOJO_PLAYER_UID` names another."""

_SAGEMAKERS_WORDS = 40
"""Room in FailureReason for what SageMaker writes around our text: "AlgorithmError: …, exit code: 1"."""

log = logging.getLogger(__name__)


class StopSignal:
    """True from SIGTERM on: SageMaker's stop, a spot interruption or the end of the job's time.

    SIGKILL follows 120 s later (docs: "StopTrainingJob").
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        """Whether the job was asked to stop."""
        return self._event.is_set()

    def listen(self) -> None:
        """Note the signal instead of dying of it."""
        signal.signal(signal.SIGTERM, lambda *_: self._event.set())


def run(job: Callable[[OptMl, StopSignal], None]) -> int:
    """Run a job as SageMaker expects it: exit code 0, or 1 and the failure file."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    opt_ml, stop = OptMl.from_environment(), StopSignal()
    stop.listen()
    try:
        job(opt_ml, stop)
    except BaseException as error:
        log.exception("the job failed")
        opt_ml.write_failure(failure_text(error, FAILURE_CHARACTERS - _SAGEMAKERS_WORDS))
        return 1
    return 0


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the job's own use. The player may write its log into it, and find nothing else there."""
    folder = Path(tempfile.mkdtemp(prefix="gd-"))
    folder.chmod(0o1733)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare_build(zip_path: Path, folder: Path, executable: str | None) -> Path:
    """Unpack the build where the player's user may read it; returns the program.

    Raises:
        rl_src.envs.errors.BuildError: what is wrong with the zip.
    """
    build = folder / "build"
    program = unpack_build(zip_path, build, executable)
    for path in (build, *build.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    return program


def player_user(folder: Path, program: Path) -> PlayerUser | None:
    """The user that the player is dropped to.

    None, said in the log, where we are not root, and where a build that is a script asks `env` for an interpreter that
    the user could not reach: that of a virtual environment in root's home, say. The image has neither.
    """
    if os.geteuid() != 0:
        log.warning("not root: the build runs as the trainer's own user")
        return None
    closed = _closed_to_others(program)
    if closed is not None:
        log.warning("other users cannot reach %s: the build runs as the trainer's own user", closed)
        return None
    uid = int(os.environ.get("GAMEDOJO_PLAYER_UID") or PLAYER_UID)
    home = folder / "player-home"
    home.mkdir()
    os.chown(home, uid, uid)
    return PlayerUser(uid=uid, gid=uid, home=home)


def _closed_to_others(program: Path) -> Path | None:
    """The first folder on the way to a script's interpreter that other users may not pass.

    Only of one that `PATH` names: a build must not stay root by a path of its choice (`#!/proc/1/fd/3`, say).
    """
    with program.open("rb") as file:
        first_line = file.readline(4096)
    if not first_line.startswith(b"#!"):
        return None
    words = first_line[2:].decode("utf-8", errors="replace").split() or [""]
    name = words[1] if words[0].endswith("/env") and len(words) > 1 else words[0]
    interpreter = shutil.which(name) if "/" not in name else None
    if interpreter is None:
        return None
    ways = [Path(interpreter), Path(interpreter).resolve()]
    folders = (folder for way in ways for folder in reversed(way.parents))
    return next((folder for folder in folders if not folder.stat().st_mode & 0o001), None)


def identity() -> tuple[str, str]:
    """Run id and policy, as the pipeline put them into the job's environment."""
    return os.environ.get("GAMEDOJO_RUN_ID") or "local", os.environ.get("GAMEDOJO_POLICY") or "policy"
