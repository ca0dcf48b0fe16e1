"""What limits a training, and what is said about it: in closed form, from made-up shares of the time."""

import os
from pathlib import Path

import pytest

from rl_src import cores
from rl_src.training.progress.pace import LINES_TO_ADVISE, Setup, advice, limited_by
from rl_src.training.settings.machine import chosen_builds, learner_place, most_builds


def lines(sampling: float, build: float, learning: float, count: int = LINES_TO_ADVISE) -> list[dict[str, float]]:
    return [{"sampling_seconds": sampling, "build_seconds": build, "learning_seconds": learning}] * count


def setup(builds: int = 1, cores: int = 16, device: str = "cpu") -> Setup:
    return Setup(builds, cores, most_builds(cores), device)


@pytest.mark.parametrize(
    ("sampling", "builds", "learning", "limit"),
    [
        (1.0, 0.9, 2.0, "learning"),
        (2.0, 1.5, 1.0, "builds"),
        (2.0, 0.5, 1.0, "inference"),
        (0.0, 0.0, 0.0, "inference"),
    ],
)
def test_what_limits_is_what_takes_longest(sampling, builds, learning, limit):
    assert limited_by(sampling, builds, learning) == limit


@pytest.mark.parametrize(
    ("shares", "now", "said"),
    [
        # Our own time is a quarter: four builds keep us busy.
        ((4.0, 3.0, 0.5), setup(), "waits for its builds 75% of the time: environment.num_builds 4 instead of 1"),
        ((4.0, 3.0, 0.5), setup(2), "environment.num_builds 8 instead of 2"),
        # Learning takes half as long as playing does: more than twice the pace is of no use.
        ((4.0, 3.6, 2.0), setup(3), "environment.num_builds 6 instead of 3 would make it up to 2.0 times as fast"),
        # As many as the cores are enough for.
        ((4.0, 3.8, 0.1), setup(2, cores=8), "environment.num_builds 6 instead of 2 would make it up to 3.0 times"),
        ((4.0, 3.8, 0.1), setup(6, cores=8), "8 cores have no room for more than 6: an instance with more cores"),
        ((4.0, 3.0, 0.1), setup(cores=2), "2 cores have no room for more than 1"),
        ((1.0, 0.9, 2.5), setup(), "Learning takes 2.5 times as long as playing, which more builds would not change"),
        ((4.0, 1.0, 0.5), setup(), "Deciding takes most of the time"),
    ],
)
def test_an_advice_names_what_would_help_and_how_much(shares, now, said):
    assert said in (advice(lines(*shares), now) or "")


def test_a_gpu_is_advised_to_who_has_none():
    slow = lines(1.0, 0.5, 3.0)
    assert "an instance with a GPU" in (advice(slow, setup()) or "")
    assert "GPU" not in (advice(slow, setup(device="cuda")) or "")


def test_nothing_is_said_early_or_for_a_small_gain():
    assert advice(lines(4.0, 3.0, 0.5, LINES_TO_ADVISE - 1), setup()) is None
    assert advice(lines(4.0, 3.0, 3.9), setup()) is None


def test_builds_are_chosen_by_the_cores_and_leave_two_to_playing_and_learning():
    assert [chosen_builds(cores) for cores in (1, 2, 4, 5, 6, 8, 16, 32, 34, 192)] == [1, 1, 1, 1, 2, 3, 7, 15, 16, 16]
    assert all(chosen_builds(cores) <= most_builds(cores) for cores in range(1, 40))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a single core leaves nothing to choose")
@pytest.mark.parametrize(("quota", "place"), [("100000 100000", "thread"), ("max 100000", "process")])
def test_a_container_with_the_time_of_one_core_learns_where_it_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, place: str
):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "_CGROUP_V2", tmp_path / "cpu.max")
    assert learner_place() == place
