"""The unmodified `mlagents-learn` 1.1.0 trains on sample builds, with ML-Agents' own settings for the examples."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import yaml

from tests.peers.reference import Builds, free_port, players, run

LEARN_SECONDS = 900
SEED = 1
pytestmark = pytest.mark.timeout(LEARN_SECONDS + 60)

_PROGRESS = re.compile(r"Step: (?P<step>\d+)\..*Mean Reward: (?P<reward>-?\d+\.\d+)\.")


@dataclass(frozen=True)
class Lesson:
    """What to train, for how long, and what must come of it.

    `rewards`: the mean reward that the untrained policy must not exceed, and the one that the trained must reach.
    `settings`: of ML-Agents' own trainer file for the example; steps to train, and between two lines of progress.
    """

    build: str
    steps: int
    summary_steps: int
    rewards: tuple[float, float]
    hyperparameters: dict[str, float]
    network: dict[str, Any]
    gamma: float
    horizon: int
    arguments: tuple[str, ...] = field(default=())
    parameters: dict[str, float] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """The trainer file."""
        common = {"learning_rate": 3e-4, "epsilon": 0.2, "num_epoch": 3, "learning_rate_schedule": "linear"}
        return {
            "behaviors": {
                self.build: {
                    "trainer_type": "ppo",
                    "hyperparameters": common | {"lambd": 0.95} | self.hyperparameters,
                    "network_settings": self.network,
                    "reward_signals": {"extrinsic": {"gamma": self.gamma, "strength": 1.0}},
                    "max_steps": self.steps,
                    "time_horizon": self.horizon,
                    "summary_freq": self.summary_steps,
                }
            },
            "environment_parameters": self.parameters,
        }


LESSONS = [
    Lesson(
        "Basic",
        steps=24_000,
        summary_steps=4_000,
        rewards=(0.5, 0.9),
        hyperparameters={"batch_size": 32, "buffer_size": 256, "beta": 0.005},
        network={"normalize": False, "hidden_units": 20, "num_layers": 1},
        gamma=0.9,
        horizon=3,
        arguments=("--agents", "8"),
    ),
    Lesson(
        "3DBall",
        steps=96_000,
        summary_steps=12_000,
        rewards=(1.5, 8.0),
        hyperparameters={"batch_size": 64, "buffer_size": 12_000, "beta": 0.001, "lambd": 0.99},
        network={"normalize": True, "hidden_units": 128, "num_layers": 2},
        gamma=0.99,
        horizon=1000,
    ),
    # On grids of 3 x 3, by the example's own environment parameter: of 5 x 5 the reference made nothing within 50,000
    # steps. Larger batches than the example's, because updates of its convolutions take most of the time.
    Lesson(
        "GridWorld",
        steps=25_000,
        summary_steps=5_000,
        rewards=(0.4, 0.8),
        hyperparameters={"batch_size": 256, "buffer_size": 2304, "beta": 0.005, "learning_rate": 1e-3},
        network={"normalize": False, "hidden_units": 128, "num_layers": 1},
        gamma=0.9,
        horizon=5,
        parameters={"gridSize": 3.0},
    ),
]


@dataclass
class Trained:
    """What `mlagents-learn` left behind."""

    printed: str
    results: Path
    left_over: list[int]


@pytest.fixture(scope="module", params=LESSONS, ids=lambda lesson: lesson.build)
def lesson(request: pytest.FixtureRequest) -> Lesson:
    chosen: Lesson = request.param
    return chosen


@pytest.fixture(scope="module")
def trained(lesson: Lesson, builds: Builds, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, program, port = tmp_path_factory.mktemp("learn"), builds.program(lesson.build), free_port()
    settings = folder / "trainer.yaml"
    settings.write_text(yaml.safe_dump(lesson.settings()), "utf-8")
    options = {"--env": program, "--run-id": "run", "--results-dir": folder, "--base-port": port, "--seed": SEED}
    command = [str(settings), "--no-graphics", *(str(word) for option in options.items() for word in option)]
    if lesson.arguments:
        command += ["--env-args", *lesson.arguments]
    printed = run("tests.peers.scripts.learn", command, LEARN_SECONDS)
    return Trained(printed, folder / "run", players(program, port))


def test_it_learns(lesson: Lesson, trained: Trained) -> None:
    rewards = [float(match["reward"]) for match in _PROGRESS.finditer(trained.printed)]
    untrained, solved = lesson.rewards
    assert rewards[0] <= untrained, trained.printed
    assert rewards[-1] >= solved, trained.printed
    gauges = json.loads((trained.results / "run_logs" / "timers.json").read_text())["gauges"]
    assert gauges[f"{lesson.build}.Environment.CumulativeReward.mean"]["value"] == pytest.approx(rewards[-1], abs=1e-3)
    assert gauges[f"{lesson.build}.Step.mean"]["value"] >= lesson.steps - lesson.summary_steps


def test_it_leaves_a_policy_and_no_process(lesson: Lesson, trained: Trained) -> None:
    assert trained.left_over == []
    policy = onnxruntime.InferenceSession(trained.results / f"{lesson.build}.onnx")
    outputs = {output.name for output in policy.get_outputs()}
    assert {"version_number", "memory_size"} < outputs
    assert outputs & {"continuous_actions", "discrete_actions"}


def test_the_build_was_told_and_ended_by_itself(trained: Trained) -> None:
    log = (trained.results / "run_logs" / "Player-0.log").read_text()
    assert "Connected: trainer 1.1.0" in log
    assert "Engine: time_scale 20" in log
    assert "Quitting" in log
