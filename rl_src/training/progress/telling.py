"""Telling of a training: each line goes to its file, to TensorBoard and to the caller, with what is not well."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rl_src.envs.specs import ActionSpec
from rl_src.training.progress.health import HealthMonitor
from rl_src.training.progress.pace import Limit, Setup, advice, limited_by
from rl_src.training.progress.report import ProgressLog
from rl_src.training.progress.tensorboard import TensorBoardLog

Report = Callable[[dict[str, Any]], None]

log = logging.getLogger(__name__)


class Teller:
    """Of all behaviors of one training; `close` it.

    Args:
        model_dir: gets progress.jsonl and tensorboard/.
        earlier: the lines of an earlier part of the same training.
        report: called with each line.
        setup: what trains, by which pace is judged; its device is that of the behaviors met.
        wall_time: seconds that the training has taken until now.
    """

    def __init__(
        self,
        model_dir: Path,
        earlier: Sequence[dict[str, Any]],
        *,
        report: Report,
        setup: Setup,
        wall_time: Callable[[], float],
    ) -> None:
        self._progress = ProgressLog(model_dir / "progress.jsonl", earlier)
        self._tensorboard = TensorBoardLog(model_dir / "tensorboard", self._progress.lines)
        self._report = report
        self._setup = setup
        self._wall_time = wall_time
        self._monitors: dict[str, HealthMonitor] = {}
        self._devices: set[str] = set()
        self._is_advised = False

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All that was told, oldest first."""
        return self._progress.lines

    def meet(self, behavior: str, actions: ActionSpec, target: float | None, device: str) -> None:
        """Watch the health of a behavior from now on.

        Args:
            behavior: its name, as its lines have it.
            actions: what it may do, by which its entropy is judged.
            target: the mean return at which it has learned enough.
            device: on which it learns.
        """
        earlier = [line for line in self.lines if line["behavior"] == behavior]
        self._monitors[behavior] = HealthMonitor(actions, target, earlier)
        self._devices.add(device)

    def tell(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Lines of behaviors that were met, each with its behavior's name and the seconds that its batch took."""
        for line in lines:
            limit = limited_by(line["sampling_seconds"], line["build_seconds"], line["learning_seconds"])
            timed = {**line, "limited_by": limit, "wall_time_seconds": self._wall_time()}
            rounded = {name: _rounded(value) for name, value in timed.items()}
            if warnings := self._monitors[rounded["behavior"]].observe(rounded):
                rounded["warnings"] = [asdict(warning) for warning in warnings]
            for warning in warnings:
                log.warning("%s: %s", rounded["behavior"], warning)
            self._progress.add(rounded)
            self._tensorboard.add(rounded)
            self._report(rounded)
        if not self._is_advised and (found := self.advice()) is not None:
            self._is_advised = True
            log.info("%s", found)

    def advice(self) -> str | None:
        """What would make this training faster."""
        device = "cpu" if "cpu" in self._devices else "cuda"
        return advice(self.lines, replace(self._setup, device=device))

    def warnings(self) -> tuple[dict[str, Any], ...]:
        """All that were told, with their behaviors."""
        return tuple(
            {"behavior": line["behavior"], **warning} for line in self.lines for warning in line.get("warnings", ())
        )

    def limited_by(self) -> Limit | None:
        """What most of the batches took longest for; None before the first."""
        limits = [line["limited_by"] for line in self.lines]
        return max(limits, key=limits.count) if limits else None

    def close(self) -> None:
        """Close TensorBoard's files."""
        self._tensorboard.close()


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
