"""`python -m benchmarks.learning`: decisions and seconds until an environment is solved. Takes hours, and resumes."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.learning import ours, reference
from benchmarks.learning.picture import draw
from benchmarks.learning.results import Result, Results
from benchmarks.learning.tasks import TASKS, Task
from benchmarks.report import Goal, publish, table
from benchmarks.training.sides import unpacked

HERE = Path(__file__).parent
RESULTS, PICTURE = HERE / "results.json", HERE / "curves.png"
Learn = Callable[[Task, Path, int, Path], Result]
SIDES: dict[str, Learn] = {"ours": ours.learn, "mlagents-learn": reference.learn}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[task.build for task in TASKS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--report-only", action="store_true", help="run nothing: what has been measured so far")
    chosen = parser.parse_args()
    results = Results(RESULTS)
    for seed in range(0 if chosen.report_only else chosen.seeds):
        for task in TASKS:
            if chosen.only is None or task.build in chosen.only:
                run_sides(task, seed, results, with_reference=not chosen.without_peers)
    draw(results, TASKS, PICTURE)
    rows = [row for task in TASKS for row in rows_of(task, results)]
    goals = [goal_of(task, results.of(task.build, "ours"), chosen.seeds) for task in TASKS]
    header = ["", "side", "seeds", "solved", "decisions", "(least - most)", "seconds", "cores"]
    body = f"{table(header, rows)}\n\n![learning curves](learning/{PICTURE.name})"
    return publish("Learning", "make bench-learning", body, goals)


def run_sides(task: Task, seed: int, results: Results, *, with_reference: bool) -> None:
    """Both sides of one environment and seed, if they are not there yet."""
    for side, learn in SIDES.items():
        takes_part = side == "ours" or (with_reference and task.reference is not None and reference.is_installed())
        if takes_part and not results.has(task.build, seed, side):
            sys.stderr.write(f"▸ {task.build}, seed {seed}, {side}\n")
            with tempfile.TemporaryDirectory() as folder:
                program = unpacked(task.build, Path(folder))
                result = learn(task, program, seed, Path(folder))
            results.add(result)
            sys.stderr.write(f"  {'solved' if result.solved else 'NOT solved'}: {result.decisions:,} decisions\n")


def rows_of(task: Task, results: Results) -> list[list[str]]:
    """Medians of the seeds that solved it."""
    rows = []
    for side in SIDES:
        found = results.of(task.build, side)
        solved = [one for one in found if one.solved]
        cores = ", ".join(str(number) for number in sorted({one.cores for one in found}))
        figures = ["", "", ""]
        if solved:
            counts = [one.decisions for one in solved]
            seconds = statistics.median(one.seconds for one in solved)
            figures = [f"{statistics.median(counts):,.0f}", f"{min(counts):,} - {max(counts):,}", f"{seconds:,.0f}"]
        if found:
            rows.append([task.build, side, str(len(found)), str(len(solved)), *figures, cores])
    return rows


def goal_of(task: Task, found: Sequence[Result], seeds: int) -> Goal:
    """Every seed solves it."""
    solved = sum(one.solved for one in found)
    return Goal(
        f"{task.build}: {task.solved:g} with each of {seeds} seeds",
        f"{solved} of {len(found)}",
        solved == len(found) >= seeds,
    )


if __name__ == "__main__":
    sys.exit(main())
