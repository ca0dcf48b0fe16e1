"""`python -m benchmarks.gpu`: a visual policy's learner on this machine's GPU, or, smaller, on its CPU (`--cpu`)."""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.gpu.bare_loop import BareLoop
from benchmarks.gpu.cells import EPOCHS, Cell
from benchmarks.gpu.ours import OurLearner
from benchmarks.report import Goal, machine, publish, table

CELLS = (
    Cell("cuda", 1024, 16_384),
    Cell("cuda", 4096, 32_768, "bfloat16", compiled=True),
)
CPU_CELL = Cell("cpu", 256, 1024)
CPU_BATCH = 4096
"""Of the CPU beside a GPU, whose minibatch is the same."""
OF_BARE, ROUNDS = 0.5, 5
NO_GPU = 2
"""Exit status: nothing was measured."""

Rates = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="a small look at the CPU; RESULTS.md stays as it is")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    if chosen.cpu:
        found = {CPU_CELL: rates_of(CPU_CELL, chosen.rounds)}
        goals = goals_of(found)
        sys.stdout.write(f"{machine()}, torch {torch.__version__}\n\n{body_of(found)}\n\n")
        sys.stdout.writelines(
            f"{'reached' if one.reached else 'MISSED'}: {one.name}: {one.measured}\n" for one in goals
        )
        return 0 if all(one.reached for one in goals) else 1
    if not torch.cuda.is_available():
        sys.stderr.write(
            f"Nothing was measured: torch {torch.__version__} finds no GPU on this machine. "
            "Run `make bench-gpu` where there is one, or `python -m benchmarks.gpu --cpu`.\n"
        )
        return NO_GPU
    found = {cell: rates_of(cell, chosen.rounds) for cell in CELLS}
    body = f"{torch.cuda.get_device_name()}, torch {torch.__version__}.\n\n{body_of(found)}"
    return publish("Learning on a GPU", "make bench-gpu", body, goals_of(found))


def rates_of(cell: Cell, rounds: int) -> Rates:
    """Samples a second of each side, by its title, the sides in turns. A first round of each counts for none."""
    sys.stderr.write(f"▸ {cell.title}\n")
    sides: dict[str, OurLearner | BareLoop] = {
        "ours": OurLearner(cell),
        "bare loop": BareLoop(cell),
        "bare loop, one CNN": BareLoop(cell, shared=True),
    }
    if cell.device != "cpu":
        sides["ours, CPU"] = OurLearner(replace(cell, device="cpu", batch=CPU_BATCH, precision="float32"))
    for side in sides.values():
        side.samples_per_second()
    found: Rates = {title: [] for title in sides}
    for _ in range(rounds):
        for title, side in sides.items():
            found[title].append(side.samples_per_second())
    for side in sides.values():
        side.close()
    return found


def body_of(found: dict[Cell, Rates]) -> str:
    """The table, and what is in it."""
    titles = list(next(iter(found.values())))
    header = ["samples/s", *titles, "of the bare loop", *(["x CPU"] if "ours, CPU" in titles else [])]
    rows = []
    for cell, rates in found.items():
        times = [f"{ratio(rates['ours'], rates['ours, CPU']):.1f}"] if "ours, CPU" in rates else []
        medians = [f"{statistics.median(rates[title]):,.0f}" for title in titles]
        rows.append([cell.title, *medians, f"{ratio(rates['ours'], rates['bare loop']):.2f}", *times])
    return (
        f"{table(header, rows)}\n\n"
        f"Ours is a whole update of {EPOCHS} epochs, from episodes in the machine's memory to new weights. The bare "
        "loop is its minibatches alone, from a batch on the device, with networks of the same size: a Nature CNN for "
        "each of actor and critic, or one for both. In bfloat16 the bare loop is compiled, and ours is not."
    )


def goals_of(found: dict[Cell, Rates]) -> list[Goal]:
    """Half of the bare loop, at each minibatch and precision."""
    goals = []
    for cell, rates in found.items():
        times = ratio(rates["ours"], rates["bare loop"])
        goals.append(Goal(f"{cell.title}: {OF_BARE:g} of the bare loop", f"{times:.2f}", times >= OF_BARE))
    return goals


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over rounds."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    sys.exit(main())
