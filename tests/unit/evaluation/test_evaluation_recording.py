"""What is kept of episodes, and that it reads back as it was."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.evaluation import recording as recording_module
from rl_src.evaluation.episodes import Ending
from rl_src.evaluation.recording import Recording
from rl_src.evaluation.replay_channel import MAX_SKETCH_BYTES, MAX_SKETCHES, ReplayChannel
from rl_src.evaluation.replay_pictures import picture, source_of
from rl_src.evaluation.replays import MAX_FILM_BYTES, MAX_FRAMES, write_replays
from rl_src.evaluation.trajectories import packed, unpacked

SPEC = BehaviorSpec("Ball?team=0", (ObservationSpec("Vector", (2,)),), ActionSpec(1, (3,)))
SEES = BehaviorSpec("Eye?team=1", (ObservationSpec("Camera", (3, 4, 6)),), ActionSpec(0, (2,)))
SKETCH = b'{"size": [4, 2], "shapes": [["circle", 1, 1, 0.5, "#ff0000"]]}'


def decisions(spec: BehaviorSpec, agents: dict[int, float], reward: float = 0.0) -> DecisionBatch:
    """Each agent sees its value everywhere."""
    ids = np.array(list(agents), np.int64)
    seen = tuple(
        np.stack([np.full(sensor.shape, value, np.float32) for value in agents.values()])
        if agents
        else np.zeros((0, *sensor.shape), np.float32)
        for sensor in spec.observations
    )
    rewards, nothing = np.full(len(ids), reward, np.float32), np.zeros(len(ids), np.float32)
    return DecisionBatch(ids, seen, rewards, None, np.zeros(len(ids), np.int64), nothing)


def terminals(spec: BehaviorSpec, agents: dict[int, float], reward: float, truncated: bool) -> TerminalBatch:
    made = decisions(spec, agents, reward)
    flags = np.full(len(agents), truncated)
    return TerminalBatch(made.agent_ids, made.observations, made.rewards, flags, made.group_ids, made.group_rewards)


def tell(
    recording: Recording,
    waiting: dict[int, float],
    ended: dict[int, float] | None = None,
    *,
    spec: BehaviorSpec = SPEC,
    reward: float = 0.0,
    last_reward: float = 0.0,
    truncated: bool = False,
) -> None:
    """One exchange; an agent's continuous action is its own number, its choice 1."""
    step = BehaviorStep(decisions(spec, waiting, reward), terminals(spec, ended or {}, last_reward, truncated))
    numbers = np.array(list(waiting), np.float32)[:, None].repeat(spec.actions.continuous_size, axis=1)
    done = Actions(numbers, np.ones((len(waiting), len(spec.actions.discrete_branches)), np.int32))
    recording.see({spec.name: step}, {spec.name: done} if waiting else {}, {spec.name: spec})


def sent(recording: Recording, *sketches: bytes) -> ReplayChannel:
    channel = recording.channel()
    assert channel is not None
    for sketch in sketches:
        channel.receive(len(sketch).to_bytes(4, "little") + sketch)
    return channel


def test_one_agent_is_followed_from_its_first_decision_to_its_end(tmp_path: Path) -> None:
    recording = Recording(2, ["Ball"])
    tell(recording, {7: 0.0, 8: 9.0}, reward=5.0)  # what comes with a first decision belongs to none
    tell(recording, {7: 0.1, 8: 9.0}, reward=1.0)
    tell(recording, {9: 0.5}, {7: 0.2, 8: 9.0}, last_reward=2.0)
    tell(recording, {}, {9: 0.6}, last_reward=-1.0, truncated=True)
    assert write_replays(recording, tmp_path, {"run_id": "run-1"}).warnings == []

    with np.load(tmp_path / "Ball.trajectory.npz") as kept:
        header = json.loads(str(kept["header"]))
        np.testing.assert_array_equal(kept["episode0_observation0"], np.float32([[0, 0], [0.1, 0.1], [0.2, 0.2]]))
        assert kept["episode0_continuous"].tolist() == [[7], [7]]
        assert kept["episode0_discrete"].tolist() == [[1], [1]]
        assert kept["episode0_rewards"].tolist() == [1, 2]
        assert kept["episode0_terminated"].tolist() == [False, True]
        assert kept["episode0_truncated"].tolist() == [False, False]
        assert kept["episode1_truncated"].tolist() == [True]
        assert kept["episode1_continuous"].tolist() == [[9]]
    assert (header["run_id"], header["behavior"], header["continuous_size"]) == ("run-1", "Ball", 1)
    assert header["observations"] == [{"name": "Vector", "shape": [2]}]
    assert [(item["agent"], item["episode_return"], item["ending"]) for item in header["episodes"]] == [
        (7, 3, "terminated"),
        (9, -1, "truncated"),
    ]


def test_an_agent_that_was_met_in_the_middle_is_not_followed() -> None:
    recording = Recording(3, ["Ball"])
    tell(recording, {1: 0.0, 2: 0.0})
    tell(recording, {2: 0.0}, {1: 0.0})
    tell(recording, {2: 0.0, 3: 0.0})
    tell(recording, {}, {2: 0.0, 3: 0.0})
    assert [episode.agent for episode in recording.behaviors["Ball"].episodes] == [1, 3]


def test_what_is_open_at_a_reset_is_dropped_and_at_the_end_is_cut() -> None:
    recording = Recording(3, ["Ball"])
    tell(recording, {1: 0.0})
    recording.forget_running()
    tell(recording, {2: 0.0})
    tell(recording, {2: 0.5}, reward=1.0)
    recording.finish()
    (episode,) = recording.behaviors["Ball"].episodes
    assert (episode.agent, episode.length, episode.rewards, episode.ending) == (2, 1, [1.0], None)
    assert len(episode.observations) == 2
    tell(recording, {3: 0.0})
    assert len(recording.behaviors["Ball"].episodes) == 1


@pytest.mark.parametrize(("limit", "value"), [("MAX_DECISIONS", 5), ("MAX_BYTES", 5 * 8)])
def test_a_long_episode_is_kept_up_to_the_bounds(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(recording_module, limit, value)
    recording = Recording(3, ["Ball"])
    for _ in range(50):
        tell(recording, {1: 0.0}, reward=1.0)
    (episode,) = recording.behaviors["Ball"].episodes
    assert (episode.length, len(episode.rewards), len(episode.observations), episode.ending) == (5, 5, 6, None)


def test_nothing_is_recorded_or_asked_for_where_nobody_wants_it(tmp_path: Path) -> None:
    recording = Recording(0, ["Ball"])
    assert recording.channel() is None
    tell(recording, {1: 0.0})
    assert write_replays(recording, tmp_path, {}) == ([], [])


def test_what_goes_wrong_ends_the_recording_alone_and_is_told(tmp_path: Path) -> None:
    recording = Recording(1, ["Ball"])
    recording.see({"Ball?team=0": None}, {}, {"Ball?team=0": SPEC})  # type: ignore[dict-item]
    tell(recording, {1: 0.0})
    documents, warnings = write_replays(recording, tmp_path, {})
    assert documents == []
    assert [warning["code"] for warning in warnings] == ["ReplayIncomplete"]


def test_pictures_are_kept_as_bytes_only_where_that_loses_nothing() -> None:
    shades = (np.arange(256, dtype=np.float32) / np.float32(255)).reshape(1, 1, 16, 16)
    (kept,) = packed((shades,), 0)
    assert kept.dtype == np.uint8
    np.testing.assert_array_equal(unpacked(kept), shades[0])
    (finer,) = packed((shades + np.float32(0.001),), 0)
    assert finer.dtype == np.float32
    np.testing.assert_array_equal(finer, shades[0] + np.float32(0.001))


def test_a_camera_is_filmed_and_a_vector_is_charted() -> None:
    recording = Recording(1, ["Eye", "Ball"])
    for spec in (SEES, SPEC):
        tell(recording, {1: 0.5}, spec=spec)
        tell(recording, {}, {1: 1.0}, spec=spec)
    eye = recording.behaviors["Eye"]
    assert eye.spec is not None
    source = source_of(eye.spec, eye.episodes)
    assert source.name == "camera"
    assert [shot.decisions for shot in source.shots[0]] == [0, 1]
    seen = source.shots[0][1].draw()
    assert seen.size == (6 * 60, 4 * 60)
    assert seen.getpixel((0, 0)) == (255, 255, 255)
    ball = recording.behaviors["Ball"]
    assert ball.spec is not None
    assert source_of(ball.spec, ball.episodes).name == "chart"


def test_a_grid_sensor_has_a_colour_for_each_of_its_channels() -> None:
    grid = np.zeros((5, 2, 2), np.float32)
    grid[0, 0, 0] = grid[1, 0, 1] = 1
    drawn = picture(grid).resize((2, 2), Image.Resampling.NEAREST)
    first, second, empty = (drawn.getpixel(place) for place in ((0, 0), (1, 0), (0, 1)))
    assert empty == (255, 255, 255)
    assert len({first, second, empty}) == 3


def test_a_builds_own_sketch_comes_before_anything_else_and_a_wrong_one_is_told() -> None:
    for last, name in ((SKETCH, "sketch"), (b"{}", "camera")):
        recording = Recording(1, ["Eye"])
        channel = sent(recording, SKETCH)
        tell(recording, {1: 0.5}, spec=SEES)
        channel.receive(len(last).to_bytes(4, "little") + last)
        channel.receive(len(SKETCH).to_bytes(4, "little") + SKETCH)
        tell(recording, {}, {1: 1.0}, spec=SEES)
        eye = recording.behaviors["Eye"]
        assert eye.spec is not None
        source = source_of(eye.spec, eye.episodes)
        assert source.name == name
        assert (source.problem is None) == (name == "sketch")


def test_the_channel_asks_once_stops_once_and_is_not_flooded() -> None:
    recording = Recording(1, ["Ball"])
    channel = sent(recording, *[SKETCH] * (2 * MAX_SKETCHES), b"x" * (MAX_SKETCH_BYTES + 1))
    assert channel.drain() == [b"\1\0\0\0"]
    assert channel.take() == [SKETCH] * MAX_SKETCHES
    for broken in (b"", b"\1\0", b"\xff\xff\xff\xff", b"\xff\0\0\0short"):
        channel.receive(broken)
    assert channel.take() == []
    tell(recording, {1: 0.0})
    tell(recording, {}, {1: 0.0})
    tell(recording, {2: 0.0})
    assert channel.drain() == [b"\0\0\0\0"]


def test_a_film_of_noise_stays_within_its_bounds(tmp_path: Path) -> None:
    recording = Recording(1, ["Eye"])
    numbers = np.random.default_rng(0)
    spec = BehaviorSpec("Eye", (ObservationSpec("Camera", (3, 120, 160)),), ActionSpec(0, (2,)))
    actions = Actions(np.zeros((1, 0), np.float32), np.zeros((1, 1), np.int32))
    for _ in range(MAX_FRAMES + 20):
        batch = decisions(spec, {1: 0.0})
        batch.observations[0][:] = numbers.integers(0, 256, (1, 3, 120, 160)).astype(np.float32) / np.float32(255)
        step = BehaviorStep(batch, terminals(spec, {}, 0.0, False))
        recording.see({"Eye": step}, {"Eye": actions}, {"Eye": spec})
    recording.finish()
    ((document,), warnings) = write_replays(recording, tmp_path, {})
    assert warnings == []
    film = tmp_path / document["film"]
    assert film.stat().st_size <= MAX_FILM_BYTES
    with Image.open(film) as image:
        assert 2 <= image.n_frames <= MAX_FRAMES
        assert image.size == (document["width"], document["height"])
        assert image.info["duration"] >= 100
    assert document["decisions_per_frame"] > 1
    assert document["episodes"][0]["ending"] is None


def test_names_of_behaviors_become_names_of_files_that_differ(tmp_path: Path) -> None:
    names = ["a/b", "a:b", "../../x", "Ball"]
    recording = Recording(1, names)
    for name in names:
        spec = BehaviorSpec(name, SPEC.observations, SPEC.actions)
        tell(recording, {1: 0.0}, spec=spec)
        tell(recording, {}, {1: 0.0}, spec=spec)
    documents, warnings = write_replays(recording, tmp_path, {})
    assert warnings == []
    films = [document["film"] for document in documents]
    assert len(set(films)) == len(names)
    assert films[-1] == "Ball.replay.gif"
    assert {path.name for path in tmp_path.iterdir()} == {
        name for document in documents for name in (document["film"], document["trajectory"])
    }


def test_an_ending_is_told_as_the_contract_has_it() -> None:
    recording = Recording(1, ["Ball"])
    tell(recording, {1: 0.0})
    tell(recording, {}, {1: 0.0}, truncated=True)
    assert recording.behaviors["Ball"].episodes[0].ending is Ending.TRUNCATED
