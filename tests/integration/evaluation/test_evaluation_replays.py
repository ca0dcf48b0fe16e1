"""Recorded episodes of real builds: no number of the evaluation is another, and the pictures show the game."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.contracts.evaluation import Replay
from rl_src.envs.batches import Actions
from rl_src.envs.client import UnityClient
from rl_src.envs.spaces import random_actions
from rl_src.evaluation.evaluate import EvaluationConfig, evaluate
from rl_src.evaluation.recording import Recording
from rl_src.evaluation.replay_channel import ReplayChannel
from rl_src.evaluation.replays import MAX_FILM_BYTES, write_replays
from rl_src.evaluation.sketches import Sketch
from tests.docs.blocks import blocks
from tests.fakes.played_policies import chance_policies, loader, write_counting_policy
from tests.fakes.sample_players import unpacked

RIGHT = 2
BLUE, GREEN = (47, 111, 222), (47, 158, 85)
SEED = 1_000_003


def without_time(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "wall_time_seconds"}


def frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as film:
        found = []
        for number in range(getattr(film, "n_frames", 1)):
            film.seek(number)
            found.append(film.convert("RGB"))
        return found


def middle_of(picture: Image.Image, color: tuple[int, ...]) -> float | None:
    """Where along x a colour is, as a part of the width; None where it is not."""
    near = (np.abs(np.asarray(picture, np.int16) - np.array(color)) < 30).all(axis=2)
    return float(np.nonzero(near)[1].mean()) / picture.width if near.any() else None


@pytest.mark.parametrize(
    ("build", "shows", "num_builds"), [("Basic", "sketch", 1), ("Basic", "sketch", 2), ("GridWorld", "camera", 1)]
)
def test_a_recording_changes_no_number_and_repeats_on_the_build(
    tmp_path: Path, build: str, shows: str, num_builds: int
) -> None:
    program = unpacked(build, tmp_path)
    load = chance_policies(program, tmp_path / "models")
    config = EvaluationConfig(program, episodes=20, seed=SEED, num_builds=num_builds)
    plain, plain_parity = evaluate(config, load, "game-1", lambda: False)
    recording = Recording(2, load())
    report, parity = evaluate(config, load, "game-1", lambda: False, recording=recording)
    assert without_time(report) == without_time(plain)
    assert parity == plain_parity

    ((document,), warnings) = write_replays(recording, tmp_path, {"seed": SEED})
    assert warnings == []
    replay = Replay.model_validate(document | {"behavior": build}, strict=False)
    assert replay.shows == shows
    assert (tmp_path / replay.film).stat().st_size < MAX_FILM_BYTES
    with np.load(tmp_path / replay.trajectory) as kept:
        header = json.loads(str(kept["header"]))
        assert [item["episode_return"] for item in header["episodes"]] == [
            item.episode_return for item in replay.episodes
        ]
        seen = [kept[f"episode0_observation{index}"] for index in range(len(header["observations"]))]
        played = kept["episode0_discrete"], kept["episode0_rewards"]
    if build == "Basic":
        replays_itself(program, seen[0], *played)


def replays_itself(program: Path, seen: Any, discrete: Any, rewards: Any) -> None:
    """The same actions on the same build lead through the same observations and rewards."""
    with UnityClient(program, seed=SEED) as client:
        step = client.reset()["Basic?team=0"]
        for index, choice in enumerate(discrete):
            np.testing.assert_array_equal(step.decisions.observations[0][0], seen[index])
            continuous = np.zeros((1, 0), np.float32)
            step = client.step({"Basic?team=0": Actions(continuous, choice[None])})["Basic?team=0"]
            told = step.terminals if len(step.terminals) else step.decisions
            assert told.rewards[0] == rewards[index]
        np.testing.assert_array_equal(step.terminals.observations[0][0], seen[-1])


def test_basics_film_shows_the_agent_walk_to_the_large_goal(tmp_path: Path) -> None:
    program = unpacked("Basic", tmp_path)
    write_counting_policy(tmp_path / "Basic.onnx", 20, 3, [RIGHT])
    load = loader({"Basic": tmp_path / "Basic.onnx"})
    recording = Recording(1, ["Basic"])
    evaluate(EvaluationConfig(program, episodes=3), load, "game-1", lambda: False, recording=recording)
    ((document,), _) = write_replays(recording, tmp_path, {})
    shown = frames(tmp_path / document["film"])
    assert len(shown) == 8, "the start, six steps, and the goal"
    reads_as_its_page_says(tmp_path)
    places = [middle_of(picture, BLUE) for picture in shown[:-1]]
    assert places == [pytest.approx((field + 0.96) / 21, abs=0.01) for field in range(10, 17)]
    assert middle_of(shown[-1], BLUE) is None, "at the goal it has another colour"
    assert middle_of(shown[0], GREEN) is not None
    assert document["episodes"] == [
        {"length": 7, "episode_return": pytest.approx(0.93), "team": 0, "ending": "terminated"}
    ]


def reads_as_its_page_says(folder: Path) -> None:
    (program,) = [block.body for block in blocks("docs/replays.md") if block.language == "python"]
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        exec(compile(program, "docs/replays.md", "exec"), names)
    assert names["observations"].shape == (8, 20)
    assert names["actions"].tolist() == [[RIGHT]] * 7
    assert names["rewards"].tolist() == [pytest.approx(-0.01)] * 6 + [pytest.approx(0.99)]
    assert names["ended"].tolist() == [False] * 6 + [True]


def test_the_pages_sketch_is_one() -> None:
    (text,) = [block.body for block in blocks("docs/replays.md") if block.language == "json"]
    assert Sketch.read(text.encode()).draw(210).size == (210, 30)


@pytest.mark.parametrize("build", ["3DBall", "Hallway", "FoodCollector", "SoccerTwos", "WallJump"])
def test_every_sample_build_without_a_camera_draws_itself(tmp_path: Path, build: str) -> None:
    channel = ReplayChannel()
    numbers = np.random.default_rng(0)
    sketches: list[Sketch] = []
    with UnityClient(unpacked(build, tmp_path), side_channels=[channel]) as client:
        steps = client.reset()
        for asked in (True, False):
            for _ in range(20):
                waiting = {name: step.decisions for name, step in steps.items() if len(step.decisions)}
                steps = client.step(
                    {name: random_actions(client.specs[name].actions, own, numbers) for name, own in waiting.items()}
                )
                told = [Sketch.read(text) for text in channel.take()]
                assert bool(told) == asked
                sketches += told
            channel.stop()
    assert len({(sketch.width, sketch.height) for sketch in sketches}) == 1
    first, last = sketches[0].draw(120), sketches[-1].draw(120)
    colors = first.getcolors(1000)
    assert colors is not None
    assert len(colors) >= 4
    assert first.tobytes() != last.tobytes()
