"""Whether an endpoint answers as the evaluation did."""

from pipeline.contracts.evaluation import ParityPair
from pipeline.contracts.predict import InvocationResponse

CONTINUOUS_TOLERANCE = 1e-4
"""Other processors order float32 sums differently; a unit in the fifth decimal moves no game."""


def differences(pair: ParityPair, answer: InvocationResponse) -> list[str]:
    """Each recorded action that the endpoint answers otherwise; empty when all agree."""
    if (len(answer.discrete), len(answer.continuous)) != (len(pair.discrete), len(pair.continuous)):
        return [f"{len(pair.discrete)} actions were recorded, {len(answer.discrete)} answered"]
    found = []
    for index, (recorded, answered) in enumerate(zip(pair.discrete, answer.discrete, strict=True)):
        if recorded != answered:
            found.append(f"observation {index}: discrete {recorded} recorded, {answered} answered")
    for index, (values, others) in enumerate(zip(pair.continuous, answer.continuous, strict=True)):
        same = len(values) == len(others) and all(
            abs(value - other) <= CONTINUOUS_TOLERANCE for value, other in zip(values, others, strict=True)
        )
        if not same:
            found.append(f"observation {index}: continuous {values} recorded, {others} answered")
    return found
