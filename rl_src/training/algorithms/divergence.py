"""Whether what is learned is still finite, without waiting for a GPU in every step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from rl_src.training.algorithms.optimizer import FlatAdam
from rl_src.training.errors import TrainingDivergedError

LOSS_OR_GRADIENT = "the loss ({:g}) or its gradient ({:g}) is not finite."


class FiniteSteps:
    """Ends an update whose loss or gradient is not finite.

    On the CPU each step is looked at before it is made. Elsewhere looking would wait for the device, so that all steps
    of an update are looked at when it is over; then they are taken back.

    Args:
        optimizers: which make the steps.
        looks_at_once: before each step.
        cause: what an error says of the numbers that were to be looked at.
    """

    def __init__(self, optimizers: Sequence[FlatAdam], *, looks_at_once: bool, cause: str = LOSS_OR_GRADIENT) -> None:
        self._optimizers = optimizers
        self._looks_at_once = looks_at_once
        self._cause = cause
        self._steps: list[torch.Tensor] = []

    @contextmanager
    def of_update(self) -> Iterator[None]:
        """Around all steps of an update.

        Raises:
            TrainingDivergedError: a step was not finite. The optimizers' parameters are those before it, or before the
                update.
        """
        if self._looks_at_once:
            yield
            return
        self._steps.clear()
        before = [optimizer.snapshot() for optimizer in self._optimizers]
        yield
        if self._steps:
            wrong = _first_wrong(torch.stack(self._steps).cpu())
            if wrong is not None:
                for optimizer, snapshot in zip(self._optimizers, before, strict=True):
                    optimizer.restore(snapshot)
                raise self._diverged(wrong)

    def look(self, *numbers: torch.Tensor) -> None:
        """Before each step: its loss, and its gradient's norm.

        Raises:
            TrainingDivergedError: it is looked at at once, and is not finite.
        """
        if not self._looks_at_once:
            self._steps.append(torch.stack([number.detach() for number in numbers]))
        elif not all(torch.isfinite(number) for number in numbers):
            raise self._diverged([number.item() for number in numbers])

    def _diverged(self, numbers: Sequence[float]) -> TrainingDivergedError:
        return TrainingDivergedError(self._cause.format(*numbers))


def _first_wrong(steps: torch.Tensor) -> list[float] | None:
    """[S, numbers] -> those of the first step with one that is not finite."""
    wrong = (~torch.isfinite(steps)).any(dim=1).nonzero()
    found: list[float] | None = steps[wrong[0, 0]].tolist() if len(wrong) else None
    return found
