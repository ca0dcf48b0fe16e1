"""The picture of docs/scale.md: the queue over some weeks, and how long runs wait for their turns."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.scale.simulation import Ended, Simulation
from benchmarks.scale.workload import DAY, HOUR

PICTURE = Path(__file__).resolve().parents[2] / "docs/images/scale.png"
_COLORS = {-5: "#8a6d3b", 0: "#31708f", 5: "#a94442"}


def draw(simulation: Simulation, picture: Path = PICTURE) -> None:
    """Write the picture of a simulation that has been played."""
    figure, (queue, waits) = plt.subplots(1, 2, figsize=(11, 3.6), constrained_layout=True)
    moments, waiting = _waiting(simulation.ended, 21 * DAY)
    queue.fill_between([moment / DAY for moment in moments], waiting, step="post", color="#31708f", alpha=0.7)
    queue.set(xlabel="day (the first is a Monday)", ylabel="runs in the queue", title="Three weeks of the queue")
    queue.set(xlim=(0, 21), ylim=(0, None))
    for priority, color in _COLORS.items():
        waited = sorted(one.waited / HOUR for one in simulation.ended if one.run.priority == priority)
        shares = [(place + 1) / len(waited) for place in range(len(waited))]
        waits.plot(waited, shares, color=color, label=f"priority {priority}, {len(waited):,} runs")
    waits.set(xlabel="hours", ylabel="share of the runs", title="Have their turn within", ylim=(0, 1.02), xlim=(0, 36))
    waits.legend(loc="lower right", frameon=False)
    for axes in (queue, waits):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _waiting(ended: list[Ended], until: float) -> tuple[list[float], list[int]]:
    """How many wait, at each moment at which that changes."""
    first = [one for one in ended if one.attempts == 1 and one.waited > 0]
    changes = sorted([(one.run.arrives, 1) for one in first] + [(one.run.arrives + one.waited, -1) for one in first])
    moments, waiting = [0.0], [0]
    for moment, change in changes:
        if moment > until:
            break
        moments.append(moment)
        waiting.append(waiting[-1] + change)
    return moments, waiting
