"""The unmodified loader of `mlagents` 1.1.0 takes the recordings that the tests make, and reads the same numbers."""

from pathlib import Path

import numpy as np
import pytest

from rl_src.training.imitation.demonstrations import Demonstrations, demonstrations_for
from tests.fakes.demo_recordings import Recorded, at_random, record, right_going
from tests.peers.reference import Builds, run

CASES = {"Basic": (right_going, 20), "3DBall": (at_random(1), 80), "GridWorld": (at_random(2), 40)}
SECONDS = 120


def recorded_and_read(
    build: str, builds: Builds, folder: Path, taken_before: bool
) -> tuple[Recorded, Demonstrations, dict[str, np.ndarray]]:
    choose, decisions = CASES[build]
    recorded = record(builds.program(build), folder / "a.demo", choose, decisions=decisions, taken_before=taken_before)
    run("tests.peers.scripts.read_demo", [str(recorded.path), str(folder / "read.npz")], SECONDS)
    with np.load(folder / "read.npz") as file:
        theirs = dict(file)
    ours = demonstrations_for(recorded.behavior, recorded.path, "next" if taken_before else "own")
    return recorded, ours, theirs


def in_one(theirs: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Actions as ours: raw, all side by side."""
    kinds = [np.float32(3) * theirs["continuous_action"], theirs["discrete_action"]]
    return np.concatenate([kind[rows] for kind in kinds if kind.size], axis=1)


@pytest.mark.parametrize("played", CASES)
def test_it_reads_the_same_numbers(builds, tmp_path, played):
    recorded, ours, theirs = recorded_and_read(played, builds, tmp_path, taken_before=False)
    assert theirs["records"].tolist() == [len(recorded.moments)] * 2
    assert theirs["branches"].tolist() == list(recorded.behavior.actions.discrete_branches)
    assert theirs["continuous_size"] == recorded.behavior.actions.continuous_size
    # It has rows for the last observations of episodes, too, but none for the last record.
    rows = np.flatnonzero(~theirs["ended"][:-1])
    assert len(rows) == len(ours) > 0
    for index, values in enumerate(ours.observations):
        assert np.allclose(theirs[f"observations_{index}"][rows], values, rtol=0, atol=1e-7)
    assert np.array_equal(in_one(theirs, rows), ours.actions)
    rewards = np.array([moment.reward for moment in recorded.moments], np.float32)
    assert np.array_equal(theirs["rewards"], rewards[1:])
    assert np.array_equal(theirs["done"].astype(bool), theirs["ended"][1:])


@pytest.mark.parametrize("played", ["Basic", "3DBall"])
def test_of_a_file_as_unity_writes_it_its_actions_are_one_record_late(builds, tmp_path, played):
    recorded, ours, theirs = recorded_and_read(played, builds, tmp_path, taken_before=True)
    ended = theirs["ended"]
    assert ended[-1]
    rows = np.flatnonzero(~ended[:-2])  # its last row would be that of the last record
    assert np.array_equal(in_one(theirs, rows + 1), ours.actions[: len(rows)])
    assert len(ours) == len(recorded.decided())
