"""What the state machine itself says: how it tries again, and what one run costs it in events and transitions."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_DEFINITION = Path(__file__).resolve().parents[2] / "statemachine/train_and_deploy.asl.json"

_EVENTS = {"Task": 5, "Choice": 2, "Wait": 2, "Pass": 2, "Succeed": 2, "Fail": 1}
"""History events of a visit: entered and exited; a Lambda is scheduled, started and succeeds between the two
(Step Functions API reference, HistoryEvent). A Fail state has no exit."""

_EVENTS_OF_EXECUTION = 2
"""ExecutionStarted, and ExecutionSucceeded or ExecutionFailed."""

LOOPS = {
    "turn": ("WaitForTurn", "TakeTurn", "HasTurn"),
    "training": ("WaitForTraining", "CheckTraining", "IsTrainingDone"),
    "evaluation": ("WaitForEvaluation", "CheckEvaluation", "IsEvaluationDone"),
    "endpoint": ("WaitForEndpoint", "CheckEndpoint", "IsEndpointInService"),
}
"""What one more look visits."""

_ONCE = (
    *("IsFolderMarker", "AdmitRun", "IsDuplicate", "OnlyServes", "InspectBuild", "TakeTurn", "HasTurn"),
    *("StartTraining", "ExtractCheckpoint", "StartEvaluation", "DecidePromotion", "IsPromoted", "DeployEndpoint"),
    *("VerifyEndpoint", "FinishRun", "HasFailed", "RunEnded"),
)
"""What a run that is deployed visits once."""


@dataclass(frozen=True)
class Retry:
    """One retrier of a state: pauses in seconds, each drawn evenly from 0 to its longest (JitterStrategy FULL)."""

    interval: float
    rate: float
    attempts: int
    longest: float

    def pause(self, attempt: int, chance: random.Random) -> float | None:
        """Seconds before try `attempt` (1 is the first that is tried again); None: given up."""
        if attempt > self.attempts:
            return None
        return chance.uniform(0, min(self.longest, self.interval * self.rate ** (attempt - 1)))


@cache
def retry(state: str, error: str) -> Retry:
    """What a state does after an error.

    Raises:
        KeyError: it tries nothing again.
    """
    for rule in _states()[state].get("Retry", ()):
        if error in rule["ErrorEquals"]:
            return Retry(rule["IntervalSeconds"], rule["BackoffRate"], rule["MaxAttempts"], rule["MaxDelaySeconds"])
    raise KeyError(f"{state} does not try again after {error}")


def visits(looks: Mapping[str, int]) -> dict[str, int]:
    """How often a run that is deployed enters each state, by the number of its looks in each of `LOOPS`."""
    found = dict.fromkeys(_ONCE, 1)
    for loop, states in LOOPS.items():
        for state in states:
            found[state] = found.get(state, 0) + looks.get(loop, 0)
    return found


def events(visited: Mapping[str, int]) -> int:
    """History events of an execution."""
    return _EVENTS_OF_EXECUTION + sum(_EVENTS[_states()[state]["Type"]] * times for state, times in visited.items())


def transitions(visited: Mapping[str, int]) -> int:
    """What Step Functions bills: states entered, and one for the start (Step Functions pricing)."""
    return 1 + sum(visited.values())


def invocations(visited: Mapping[str, int]) -> int:
    """Lambdas called."""
    return sum(times for state, times in visited.items() if _states()[state]["Type"] == "Task")


@cache
def _states() -> dict[str, Any]:
    states: dict[str, Any] = json.loads(_DEFINITION.read_text(encoding="utf-8"))["States"]
    return states
