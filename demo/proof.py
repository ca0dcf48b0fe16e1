"""The whole job for one seed: drop, watch, ask, fetch."""

import json
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from demo.corridor import CELLS, STEP_OF_ACTION, Walk, one_hot, picture, walk, words
from demo.drop import drop_build, runs_of, wait_for_new_run
from demo.errors import DemoError
from demo.sample import with_request
from gamedojo import Connection, GamedojoClient, Run
from gamedojo.following import Patience
from gamedojo.views import view_for, watch_run

POLICY = "basic"
REQUIRED_FILES = ("learning_curve.png", "evaluation_report.json", "Basic.onnx")
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Proof:
    """What came of one seed. `seconds` runs from the drop to the last file fetched."""

    seed: int
    run: Run
    seconds: float
    mean_return: float
    path: Walk
    milliseconds_per_prediction: float
    files: tuple[Path, ...]

    def shortfall(self, required_return: float) -> str:
        """Why this is not good enough; "" if it is."""
        if self.mean_return < required_return:
            what = f"the evaluated mean return is {self.mean_return:.3f}"
        elif self.path.total_reward < required_return:
            what = f"the served policy's moves earn {self.path.total_reward:.2f}"
        else:
            return ""
        return f"seed {self.seed}: {what}, below {required_return:.2f}"


def prove(connection: Connection, build: Path, seed: int, output: Path, console: Console) -> Proof:
    """Train, evaluate, serve and ask the sample build's policy once.

    Raises:
        DemoError: the run failed, or a file is missing.
        GamedojoError: the APIs do not answer.
    """
    with GamedojoClient(connection) as client, tempfile.TemporaryDirectory(prefix="gamedojo-demo-") as directory:
        known = runs_of(client, POLICY)
        began = time.monotonic()
        zip_path = with_request(build, {"seed": seed}, Path(directory))
        where = f"s3://{connection.bucket}/builds/{POLICY}.zip"
        console.print(f"Dropping {build.name} (seed {seed}) into {where}", highlight=False, soft_wrap=True)
        drop_build(connection, zip_path, f"builds/{POLICY}.zip")
        run_id = wait_for_new_run(client, POLICY, known)
        run = watch_run(client.run, run_id, view_for(console), Patience(poll_seconds=POLL_SECONDS))
        if run.has_failed or run.evaluation is None:
            raise DemoError(f"The run {run_id} ended as {run.status}.")
        if (used := run.document.get("options", {}).get("seed", 0)) != seed:
            raise DemoError(f"The run {run_id} went by seed {used}, though gamedojo.json in the zip says {seed}.")
        actions, milliseconds = ask_everywhere(client)
        path = walk(actions)
        console.print()
        console.print(picture(actions))
        console.print(words(path), highlight=False, soft_wrap=True)
        console.print(f"{CELLS} predictions, {milliseconds:.0f} ms each (median).", highlight=False)
        files = fetch(client, run_id, output)
        seconds = time.monotonic() - began
    return Proof(seed, run, seconds, run.evaluation.mean_return, path, milliseconds, files)


def ask_everywhere(client: GamedojoClient) -> tuple[list[int], float]:
    """The policy's move in every cell, one prediction each; and the median time of one in milliseconds."""
    actions, times = [], []
    for cell in range(CELLS):
        began = time.perf_counter()
        prediction = client.predict(POLICY, [one_hot(cell)])
        times.append(time.perf_counter() - began)
        if prediction.action is None or len(prediction.action.discrete) != 1:
            raise DemoError(f"The policy answered {json.dumps(prediction.document)}, which is no move.")
        if prediction.action.discrete[0] not in STEP_OF_ACTION:
            raise DemoError(f"The policy chose move {prediction.action.discrete[0]}, which Basic does not have.")
        actions.append(prediction.action.discrete[0])
    return actions, statistics.median(times) * 1000


def fetch(client: GamedojoClient, run_id: str, output: Path) -> tuple[Path, ...]:
    """Bring the run's files into a fresh `output`, without folders in between."""
    with tempfile.TemporaryDirectory(prefix="gamedojo-demo-") as directory:
        fetched = client.download_artifacts(run_id, Path(directory))
        names = {path.name for path in fetched}
        if missing := [name for name in REQUIRED_FILES if name not in names]:
            raise DemoError(f"The run's artifacts lack {', '.join(missing)}; there are {', '.join(sorted(names))}.")
        output.mkdir(parents=True, exist_ok=True)
        for path in fetched:
            shutil.copyfile(path, output / path.name)
    return tuple(output / name for name in sorted(names))
