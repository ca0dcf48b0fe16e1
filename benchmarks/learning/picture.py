"""Learning curves of both sides in one picture."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

from benchmarks.learning.results import Results
from benchmarks.learning.tasks import Task

COLORS = {"ours": "#1b6ca8", "mlagents-learn": "#d1812b"}


def draw(results: Results, tasks: tuple[Task, ...], path: Path) -> None:
    """A panel for each environment, a line for each seed: up to where it was solved (a dot) or given up (a cross)."""
    figure, panels = plt.subplots(1, len(tasks), figsize=(4.2 * len(tasks), 3.6), squeeze=False)
    for panel, task in zip(panels[0], tasks, strict=True):
        for side, color in COLORS.items():
            for number, result in enumerate(results.of(task.build, side)):
                decisions = [mark[0] for mark in result.curve if mark[0] <= result.decisions]
                returns = [mark[2] for mark in result.curve if mark[0] <= result.decisions]
                panel.plot(
                    decisions, returns, color=color, alpha=0.7, linewidth=1.2, label=side if number == 0 else None
                )
                if decisions:
                    panel.plot(decisions[-1], returns[-1], marker="o" if result.solved else "x", color=color)
        panel.axhline(task.solved, color="0.5", linewidth=0.8, linestyle="--")
        panel.set_title(task.build)
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())  # a short axis would write one label over another
        panel.set_xlabel("agent decisions")
    panels[0][0].set_ylabel("mean return while exploring")
    panels[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
