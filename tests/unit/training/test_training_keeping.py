"""What is kept: the best weights, checkpoints, progress lines, the learning curve."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rl_src.training.artifacts.best import EPISODES_TO_JUDGE, BestPolicy
from rl_src.training.artifacts.checkpoint import BehaviorCheckpoint, Checkpoint, file_name, load_latest, save_checkpoint
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.progress.report import (
    ProgressLog,
    RecentEpisodes,
    draw_learning_curves,
    read_progress,
)
from rl_src.training.sampling.trajectories import FinishedEpisode


def episodes(value: float, count: int = EPISODES_TO_JUDGE) -> list[FinishedEpisode]:
    return [FinishedEpisode(value, 5)] * count


def weights(value: float) -> dict[str, np.ndarray]:
    return {"w": np.full(3, value, dtype=np.float32)}


def test_the_best_is_kept_not_the_last():
    best = BestPolicy()
    for iteration, value in enumerate([0.1, 0.9, 0.5], 1):
        best.judge(episodes(value), weights(iteration), iteration)
    assert best.best is not None
    assert (best.best.iteration, best.best.weights["w"][0]) == (2, 2)
    assert best.best.mean_return == pytest.approx(0.9)


def test_of_equals_the_later_is_kept():
    best = BestPolicy()
    best.judge(episodes(0.5), weights(1), 1)
    assert best.judge(episodes(0.5), weights(2), 2)


def test_one_lucky_episode_makes_no_best():
    best = BestPolicy()
    best.judge(episodes(0.5), weights(1), 1)
    assert not best.judge(episodes(0.4, EPISODES_TO_JUDGE - 1) + episodes(2.0, 1), weights(2), 2)
    assert not BestPolicy().judge(episodes(100.0, EPISODES_TO_JUDGE - 1), weights(1), 1)


def test_few_episodes_an_iteration_are_judged_together():
    best = BestPolicy()
    few = EPISODES_TO_JUDGE // 2
    assert not best.judge(episodes(0.0, few), weights(1), 1)
    assert best.judge(episodes(1.0, few), weights(2), 2)
    assert best.best is not None
    assert best.best.mean_return == pytest.approx(0.5)
    assert best.judge(episodes(1.0, few), weights(3), 3)  # the first iteration's no longer count
    assert best.best.mean_return == pytest.approx(1.0)


def test_later_changes_of_the_weights_do_not_reach_the_kept_ones():
    best, own = BestPolicy(), weights(1)
    best.judge(episodes(1), own, 1)
    own["w"][:] = 9
    assert best.best is not None
    assert best.best.weights["w"][0] == 1


def behavior(value: float) -> BehaviorCheckpoint:
    state = {"iterations": value, "optimizer": {"lr": 0.1}}
    return BehaviorCheckpoint(state, weights(value), {"mean": np.arange(4.0)}, weights(7))


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(
        {"number": number}, {"Basic": behavior(number), "Guard": behavior(-1)}, progress=[{"iteration": 1}]
    )


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    save_checkpoint(tmp_path, 3, checkpoint(3))
    found = load_latest(tmp_path)
    assert found is not None
    assert found.state == {"format_version": 2, "number": 3}
    assert found.progress == [{"iteration": 1}]
    assert found.behaviors.keys() == {"Basic", "Guard"}
    for name, own in checkpoint(3).behaviors.items():
        theirs = found.behaviors[name]
        assert theirs.state == own.state
        for before, after in (
            (own.weights, theirs.weights),
            (own.best, theirs.best),
            (own.optimizer, theirs.optimizer),
        ):
            assert before is not None
            assert after is not None
            assert {k: v.tolist() for k, v in after.items()} == {k: v.tolist() for k, v in before.items()}


def test_arrays_that_lie_otherwise_in_memory_are_saved_by_value(tmp_path):
    transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
    save_checkpoint(
        tmp_path, 1, Checkpoint({}, {"Basic": BehaviorCheckpoint({}, {"w": transposed}, {"m": transposed[::2]})})
    )
    found = load_latest(tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.behaviors["Basic"].weights["w"], transposed)
    np.testing.assert_array_equal(found.behaviors["Basic"].optimizer["m"], transposed[::2])


@pytest.mark.parametrize("name", ["..", "a/b", "../../etc", "My Behavior", "Größe", "x.y"])
def test_any_behavior_name_makes_one_folder_of_its_own(tmp_path, name):
    save_checkpoint(tmp_path, 1, Checkpoint({}, {name: behavior(1), "other": behavior(2)}))
    place = tmp_path / "00000001"
    assert {item.name for item in place.iterdir() if item.is_dir()} == {file_name(name), "other"}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["00000001"]
    found = load_latest(tmp_path)
    assert found is not None
    assert found.behaviors[name].weights["w"][0] == 1


def test_the_last_two_are_kept_and_the_last_is_read(tmp_path):
    for iteration in (1, 2, 10):
        save_checkpoint(tmp_path, iteration, checkpoint(iteration))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["00000002", "00000010"]
    found = load_latest(tmp_path)
    assert found is not None
    assert found.state["number"] == 10


def test_a_checkpoint_that_was_being_written_does_not_count(tmp_path):
    place = save_checkpoint(tmp_path, 1, checkpoint(1))
    place.rename(tmp_path / ".00000002.draft")
    assert load_latest(tmp_path) is None
    assert load_latest(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "name",
    [
        "Basic/weights.safetensors",
        "Guard/optimizer.safetensors",
        "state.json",
        "Basic/best.safetensors",
    ],
)
def test_a_broken_file_is_named(tmp_path, name):
    place = save_checkpoint(tmp_path, 1, checkpoint(1))
    (place / name).write_bytes(b"\0" * 20)
    with pytest.raises(InvalidCheckpointError, match="00000001 cannot be read"):
        load_latest(tmp_path)


def test_another_format_version_is_refused(tmp_path):
    place = save_checkpoint(tmp_path, 1, checkpoint(1))
    (place / "state.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(InvalidCheckpointError, match="format version 99, not 2"):
        load_latest(tmp_path)


def test_a_checkpoint_holds_no_pickle(tmp_path):
    place = save_checkpoint(tmp_path, 1, checkpoint(1))
    assert {item.suffix for item in place.rglob("*") if item.is_file()} == {".json", ".jsonl", ".safetensors"}


def line(steps: int, value: float | None, behavior: str = "Basic") -> dict[str, Any]:
    return {
        "behavior": behavior,
        "env_steps": steps,
        "mean_return": value,
        "min_return": value,
        "max_return": value,
        "entropy": 1.0,
    }


def test_progress_goes_on_after_the_lines_before(tmp_path):
    ProgressLog(tmp_path / "progress.jsonl", [line(1, None)]).add(line(2, 0.5))
    assert read_progress(tmp_path / "progress.jsonl") == [line(1, None), line(2, 0.5)]


@pytest.mark.parametrize("lines", [[], [line(1, None)], [line(1, None), line(2, 0.5), line(3, 0.7)]])
def test_a_learning_curve_is_drawn_from_any_number_of_lines(tmp_path, lines):
    path = tmp_path / "curve.png"
    draw_learning_curves(lines, path, {"Basic": 0.7 if lines else None}, title="PPO")
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (960, 540))
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10


def test_each_behavior_has_a_plot_of_its_own(tmp_path):
    path = tmp_path / "curve.png"
    lines = [line(1, 0.1), line(1, 5.0, "Guard"), line(2, 0.5), line(2, 4.0, "Guard")]
    draw_learning_curves(lines, path, {"Basic": 0.5, "Guard": None}, title="PPO")
    with Image.open(path) as image:
        assert image.size == (960, 1020)


def test_recent_episodes_are_those_of_two_batches_and_at_least_fifty():
    recent = RecentEpisodes()
    for value, count, expected in (
        (0.0, 40, 40),
        (1.0, 20, 60),
        (2.0, 5, 50),
        (3.0, 60, 65),
        (4.0, 0, 60),
        (5.0, 1, 50),
    ):
        recent.add(episodes(value, count))
        assert len(recent) == expected, value
    assert recent.mean_return() == (49 * 3.0 + 5.0) / 50
    again = RecentEpisodes.from_document(json.loads(json.dumps(recent.to_document())))
    for each in (recent, again):
        each.add(episodes(6.0, 70))
        assert (len(each), each.mean_return()) == (71, (70 * 6.0 + 5.0) / 71)


def test_recent_episodes_are_the_last_hundred():
    recent = RecentEpisodes()
    assert recent.mean_return() is None
    recent.add(episodes(0.0, 60))
    recent.add(episodes(1.0, 80))
    assert (len(recent), recent.mean_return()) == (100, 0.8)
    again = RecentEpisodes.from_document(json.loads(json.dumps(recent.to_document())))
    assert again.summary() == recent.summary()
    assert recent.summary()["mean_episode_length"] == 5
