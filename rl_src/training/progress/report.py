"""What is told while training goes on: one line an iteration, the recent returns, the learning curve."""

import json
import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_src.training.sampling.trajectories import FinishedEpisode

RECENT_EPISODES, LEAST_EPISODES = 100, 50
"""The mean return that is reported and compared with the stop rule is taken over so many episodes."""


class RecentEpisodes:
    """The last episodes, oldest first: those of the last two batches, if these are neither too many nor too few.

    A hundred episodes of a thousand decisions would tell what the policy did long ago: with 3DBall's twelve agents the
    mean reached 90 some 70,000 decisions after the policy had.
    """

    def __init__(self, episodes: Iterable[tuple[int, FinishedEpisode]] = (), batches: int = 0) -> None:
        self._batches = batches
        self._dated = deque(episodes, maxlen=RECENT_EPISODES)  # with the batch in which they ended

    def __len__(self) -> int:
        return len(self._dated)

    def add(self, episodes: Iterable[FinishedEpisode]) -> None:
        """Append those of one batch; the oldest fall out."""
        self._batches += 1
        self._dated.extend((self._batches, episode) for episode in episodes)
        while len(self._dated) > LEAST_EPISODES and self._dated[0][0] < self._batches - 1:
            self._dated.popleft()

    def mean_return(self) -> float | None:
        """None until an episode has ended."""
        return statistics.fmean(item.episode_return for _, item in self._dated) if self._dated else None

    def summary(self) -> dict[str, float | None]:
        """Mean, extremes and length, as they are reported."""
        returns = [item.episode_return for _, item in self._dated]
        return {
            "mean_return": self.mean_return(),
            "min_return": min(returns, default=None),
            "max_return": max(returns, default=None),
            "mean_episode_length": statistics.fmean(item.length for _, item in self._dated) if returns else None,
        }

    def to_document(self) -> dict[str, Any]:
        """As the checkpoint holds it."""
        episodes = [[batch, item.episode_return, item.length] for batch, item in self._dated]
        return {"batches": self._batches, "episodes": episodes}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "RecentEpisodes":
        """The inverse of `to_document`."""
        episodes = document["episodes"]
        dated = ((int(batch), FinishedEpisode(float(value), int(length))) for batch, value, length in episodes)
        return cls(dated, int(document["batches"]))


class ProgressLog:
    """`progress.jsonl`: a line an iteration. Lines of an earlier part of the same training are kept."""

    def __init__(self, path: Path, earlier: Sequence[dict[str, Any]] = ()) -> None:
        self._path = path
        self.lines: list[dict[str, Any]] = list(earlier)
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))

    def add(self, line: dict[str, Any]) -> None:
        """Write one line at once, so that nothing is lost when the process is killed."""
        self.lines.append(line)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_progress(path: Path) -> list[dict[str, Any]]:
    """The lines of a `progress.jsonl`; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def draw_learning_curves(
    lines: Sequence[dict[str, Any]], path: Path, best: Mapping[str, float | None], *, title: str
) -> None:
    """One picture, as PNG, with a plot for each behavior in `best`, which holds the mean return of the policy kept.

    Mean episode return (with the range of recent episodes) and policy entropy over agent decisions.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.5 + 4 * len(best)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (behavior, kept) in zip(figure.subplots(len(best), 1, squeeze=False)[:, 0], best.items(), strict=True):
        entropy = axes.twinx()
        _draw_behavior(axes, entropy, [line for line in lines if line["behavior"] == behavior], kept)
        axes.set(title=f"{behavior}, {title}")
    handles, labels = axes.get_legend_handles_labels()
    more, names = entropy.get_legend_handles_labels()
    figure.legend(handles + more, labels + names, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path)


def _draw_behavior(axes: Any, entropy: Any, lines: Sequence[dict[str, Any]], best: float | None) -> None:
    shown = [line for line in lines if line["mean_return"] is not None]
    steps = [line["env_steps"] for line in shown]
    if shown:
        low, high = [line["min_return"] for line in shown], [line["max_return"] for line in shown]
        axes.fill_between(steps, low, high, color="tab:blue", alpha=0.15, linewidth=0, label="range of recent episodes")
        axes.plot(steps, [line["mean_return"] for line in shown], color="tab:blue", label="mean return")
    else:
        axes.text(0.5, 0.5, "no episode has ended", transform=axes.transAxes, ha="center", va="center")
    if best is not None:
        axes.axhline(best, color="tab:green", linestyle="--", linewidth=1, label=f"best kept: {best:.3g}")
    axes.set(xlabel="agent decisions", ylabel="episode return")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(alpha=0.3)
    entropy.plot(
        [line["env_steps"] for line in lines if line["entropy"] is not None],
        [line["entropy"] for line in lines if line["entropy"] is not None],
        color="tab:orange",
        linewidth=1,
        label="policy entropy",
    )
    entropy.set_ylabel("policy entropy (nats)")
