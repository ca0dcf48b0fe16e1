"""Short trainings of both kinds of end; results are kept as they come. Nothing here looks at the time."""

from dataclasses import replace
from pathlib import Path

from benchmarks.learning import ours, reference
from benchmarks.learning.__main__ import goal_of, rows_of
from benchmarks.learning.picture import draw
from benchmarks.learning.results import Result, Results
from benchmarks.learning.tasks import TASKS, Task
from benchmarks.training.sides import unpacked

BASIC = TASKS[0]
EASY = replace(BASIC, solved=-100.0, promising=-100.0, slice_steps=512, limit=2048)


def result(seed: int, decisions: int, *, solved: bool = True) -> Result:
    curve = [(100, 1.0, 0.1), (decisions, 2.0, 0.9)]
    return Result("Basic", seed, "ours", solved, decisions, 5.0, 0.93, curve, cores=2)


def test_what_is_solved_ends_at_once(tmp_path: Path) -> None:
    found = ours.learn(EASY, unpacked("Basic", tmp_path), 3, tmp_path)
    assert (found.build, found.seed, found.side, found.solved) == ("Basic", 3, "ours", True)
    assert found.decisions < 2048
    assert found.curve


def test_what_is_not_solved_goes_on_to_the_limit(tmp_path: Path) -> None:
    hopeless = replace(EASY, solved=100.0)
    found = ours.learn(hopeless, unpacked("Basic", tmp_path), 0, tmp_path)
    assert (found.solved, found.decisions) == (False, 2048)
    decisions = [mark[0] for mark in found.curve]
    assert decisions == sorted(set(decisions)), "a slice goes on where the one before ended"


def test_results_are_kept_as_they_come(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    results.add(result(0, 4000))
    again = Results(tmp_path / "results.json")
    assert again.has("Basic", 0, "ours")
    assert not again.has("Basic", 1, "ours")
    again.add(result(1, 6000, solved=False))
    assert [one.decisions for one in Results(tmp_path / "results.json").of("Basic", "ours")] == [4000, 6000]


def test_medians_are_of_solved_seeds_and_each_seed_must_solve(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    for seed, decisions in enumerate((4000, 6000, 5000)):
        results.add(result(seed, decisions))
    assert rows_of(BASIC, results) == [["Basic", "ours", "3", "3", "5,000", "4,000 - 6,000", "5", "2"]]
    assert goal_of(BASIC, results.of("Basic", "ours"), 3).reached
    assert not goal_of(BASIC, results.of("Basic", "ours"), 4).reached, "one seed has not been run"
    results.add(result(3, 9000, solved=False))
    assert not goal_of(BASIC, results.of("Basic", "ours"), 4).reached
    draw(results, TASKS, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_references_summaries_and_models_are_read(tmp_path: Path) -> None:
    printed = (
        "[INFO] Basic. Step: 1000. Time Elapsed: 5.250 s. Mean Reward: -0.100. Std of Reward: 0.2. Training.\n"
        "[INFO] Basic. Step: 2000. Time Elapsed: 7.5 s. No episode was completed since last summary. Training.\n"
    )
    assert reference.curve_of(printed) == [(1000, 5.25, -0.1)]
    for steps in (20_000, 3_000):
        (tmp_path / f"Basic-{steps}.onnx").touch()
    (tmp_path / "Basic-3000.pt").touch()
    assert [steps for steps, _ in reference.kept_models(tmp_path, "Basic")] == [3_000, 20_000]


def test_every_reference_setting_is_of_the_environment_itself() -> None:
    with_reference: list[Task] = [task for task in TASKS if task.reference is not None]
    assert [task.build for task in with_reference] == ["Basic", "3DBall", "GridWorld"]
    for task in with_reference:
        (settings,) = task.trainer_file()["behaviors"].values()
        assert settings["max_steps"] == task.limit
