"""The whole job once, on a stack that stands: Basic goes in, its policy acts as it was evaluated, and is taken down."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo.corridor import CELLS, STEP_OF_ACTION, one_hot, walk
from demo.errors import DemoError
from demo.sample import pack_basic
from deploy.errors import DeploymentError
from gamedojo import Connection, GamedojoClient, GamedojoError, Patience, Run
from local.progress import Progress

REQUIRED_RETURN = 0.90
TRAJECTORY = ".trajectory.npz"


@dataclass(frozen=True)
class Smoked:
    """What came of it. `usd`: what both jobs cost at the list's prices; None, if the list has no price."""

    run: Run
    mean_return: float
    walked_return: float
    compared: int
    usd: float | None


def smoke(connection: Connection, progress: Progress, *, poll_seconds: float = 5.0, policy: str = "") -> Smoked:
    """Upload, train, evaluate, serve, predict, compare, clean up; also cleans up after what failed.

    The run's record and files stay, as those of every run do.

    Args:
        connection: of the stack.
        progress: is told.
        poll_seconds: between two looks at the run.
        policy: its name; or else one that nobody has.

    Raises:
        DeploymentError: the run failed, or its policy does not do what its evaluation says.
    """
    policy = policy or f"smoke-{uuid.uuid4().hex[:8]}"
    with (
        GamedojoClient(connection) as client,
        tempfile.TemporaryDirectory(prefix="gamedojo-smoke-") as directory,
        _told_as_ours(),
    ):
        with progress.step("Uploading the sample build Basic"):
            key = client.upload_build(pack_basic(Path(directory)))
        run_id = ""
        try:
            run_id = client.create_run({"policy": policy, "build": {"key": key}}).run_id
            with progress.step(f"Training, evaluating and serving it: run {run_id}"):
                run = _finished(client, run_id, poll_seconds)
            with progress.step("Comparing the policy in service with its evaluation"):
                walked = _walked_return(client, policy, run_id)
                compared = _compare(client, policy, run_id, Path(directory))
        finally:
            with progress.step("Taking it down"):
                _clean_up(client, policy, run_id, key)
    assert run.evaluation is not None  # noqa: S101 - _finished has seen to it
    return Smoked(run, run.evaluation.mean_return, walked, compared, _usd(run))


def _finished(client: GamedojoClient, run_id: str, poll_seconds: float) -> Run:
    *_, run = client.follow(run_id, Patience(poll_seconds=poll_seconds, appear_seconds=60))
    if run.status != "SUCCEEDED" or run.evaluation is None:
        raise DeploymentError(f"The run {run_id} ended as {run.status}: {run.failure or run.promotion or 'no reason'}.")
    if run.evaluation.mean_return < REQUIRED_RETURN:
        raise DeploymentError(
            f"The run {run_id} has learned too little: its mean return is {run.evaluation.mean_return:.3f}, and "
            f"{REQUIRED_RETURN} is what Basic allows."
        )
    return run


def _walked_return(client: GamedojoClient, policy: str, run_id: str) -> float:
    """What the served policy's moves earn from the start."""
    prediction = client.predict(policy, [[one_hot(cell) for cell in range(CELLS)]])
    if prediction.version != run_id:
        raise DeploymentError(f"The version {prediction.version} answers for {policy}, rather than {run_id}.")
    moves = [action.discrete[0] for action in prediction.actions or ()]
    if len(moves) != CELLS or not set(moves) <= set(STEP_OF_ACTION):
        raise DeploymentError(f"The policy answered {moves}, which are no moves in {CELLS} cells.")
    earned = walk(moves).total_reward
    if earned < REQUIRED_RETURN:
        raise DeploymentError(f"The served policy's moves earn {earned:.2f}, below {REQUIRED_RETURN}.")
    return earned


def _compare(client: GamedojoClient, policy: str, run_id: str, folder: Path) -> int:
    """The number of decisions that were recorded in the evaluation; the policy in service takes each of them again."""
    compared = 0
    for path in client.download_artifacts(run_id, folder):
        if path.name.endswith(TRAJECTORY):
            for seen, done in _recorded(path):
                answered = client.predict(policy, [seen.tolist()]).actions or ()
                if [action.discrete for action in answered] != [tuple(one) for one in done.tolist()]:
                    raise DeploymentError(f"The policy in service acts otherwise than it was evaluated: {path.name}.")
                compared += len(done)
    if not compared:
        raise DeploymentError(f"The evaluation of {run_id} has recorded no decision.")
    return compared


def _recorded(path: Path) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32]]]:
    """Of each episode: observations [T, 20] and discrete actions [T, 1]."""
    with np.load(path, allow_pickle=False) as file:
        episode = 0
        while f"episode{episode}_discrete" in file:
            done = file[f"episode{episode}_discrete"]
            if len(done):
                yield file[f"episode{episode}_observation0"][: len(done)], done
            episode += 1


def _clean_up(client: GamedojoClient, policy: str, run_id: str, key: str) -> None:
    if run_id and not client.run(run_id).is_final:
        client.cancel(run_id)
        *_, _ = client.follow(run_id)
    if policy in {one.policy for one in client.policies()}:
        client.delete_policy(policy)
    for build_id in [one.build_id for one in client.iterate_builds() if one.key == key and one.build_id]:
        client.delete_build(build_id)
    if left := [one.policy for one in client.policies() if one.policy == policy]:
        raise DeploymentError(f"The policy {left[0]} is in service still, though it was deleted.")


def _usd(run: Run) -> float | None:
    if run.estimate is None:
        return None
    total = 0.0
    for job, cost in ((run.training_job, run.estimate.training), (run.evaluation_job, run.estimate.evaluation)):
        if job is None or job.started_at is None or job.ended_at is None or cost.usd_per_hour is None:
            return None
        total += (job.ended_at - job.started_at).total_seconds() / 3600 * cost.usd_per_hour * cost.instance_count
    return total


@contextmanager
def _told_as_ours() -> Iterator[None]:
    try:
        yield
    except GamedojoError as error:
        raise DeploymentError(f"{error} {error.remedy}".strip()) from error
    except DemoError as error:
        raise DeploymentError(str(error)) from error
