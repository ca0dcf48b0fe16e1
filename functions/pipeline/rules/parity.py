"""Whether an endpoint answers as the evaluation did."""

import math
from collections.abc import Sequence

from pipeline.contracts.evaluation import ParityPair
from pipeline.contracts.predict import InvocationResponse

CONTINUOUS_TOLERANCE = 1e-4
"""Other processors order float32 sums differently; a unit in the fifth decimal moves no game. Of what is remembered,
which has no bounds, it is relative where that is more."""


def differences(pair: ParityPair, answer: InvocationResponse) -> list[str]:
    """Each recorded action, or memory after it, that the endpoint answers otherwise; empty when all agree."""
    if (len(answer.discrete), len(answer.continuous)) != (len(pair.discrete), len(pair.continuous)):
        return [f"{len(pair.discrete)} actions were recorded, {len(answer.discrete)} answered"]
    found = []
    for index, (recorded, answered) in enumerate(zip(pair.discrete, answer.discrete, strict=True)):
        if recorded != answered:
            found.append(f"observation {index}: discrete {recorded} recorded, {answered} answered")
    for index, (values, others) in enumerate(zip(pair.continuous, answer.continuous, strict=True)):
        if not _alike(values, others, 0.0):
            found.append(f"observation {index}: continuous {values} recorded, {others} answered")
    return found + _forgotten(pair.memory_out, answer.memory)


def _forgotten(recorded: Sequence[Sequence[float]] | None, answered: Sequence[Sequence[float]] | None) -> list[str]:
    """Memories after the decision that differ. They may be long: only their places are told."""
    if recorded is None:
        return []
    if answered is None or len(answered) != len(recorded):
        return [f"{len(recorded)} memories were recorded, {len(answered or ())} answered"]
    pairs = enumerate(zip(recorded, answered, strict=True))
    return [
        f"observation {index}: remembered otherwise"
        for index, (values, others) in pairs
        if not _alike(values, others, CONTINUOUS_TOLERANCE)
    ]


def _alike(values: Sequence[float], others: Sequence[float], relative: float) -> bool:
    return len(values) == len(others) and all(
        math.isclose(value, other, rel_tol=relative, abs_tol=CONTINUOUS_TOLERANCE)
        for value, other in zip(values, others, strict=True)
    )
