"""The candidate beside the policy in service: whether they can be compared, and by how much they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rl_src.evaluation.statistics import Difference, ReturnStatistics, difference
from rl_src.serving.onnx_policy import OnnxPolicy


@dataclass(frozen=True)
class Incumbent:
    """The policy in service, to be played beside the candidate.

    `run_id`: of the training that made it; None where its artifact does not tell. `load_policies`: as `evaluate`'s;
    None where it cannot be played at all, and `unusable` says why.
    """

    run_id: str | None
    load_policies: Callable[[], Mapping[str, OnnxPolicy]] | None
    unusable: str = ""


def misfit(candidate: Mapping[str, OnnxPolicy], incumbent: Mapping[str, OnnxPolicy]) -> str:
    """Why the incumbent cannot play what the candidate plays; "" if it can.

    Of each of the candidate's behaviors it must take the same observations and give the same actions. What it remembers
    is its own affair, and behaviors that the candidate does not have are none of this build.
    """
    for name, policy in candidate.items():
        other = incumbent.get(name)
        if other is None:
            return f"it has no policy for the behavior {name}, only for {', '.join(incumbent)}"
        for (what, wanted), given in zip(_signature(policy).items(), _signature(other).values(), strict=True):
            if given != wanted:
                return f"the {what} of its behavior {name} are {given}, the new policy's {wanted}"
    return ""


def not_comparable(incumbent: Incumbent, why: str) -> dict[str, Any]:
    """`contracts.evaluation.IncumbentComparison` of an incumbent that is not played."""
    return {"run_id": incumbent.run_id, "not_comparable": why}


@dataclass(frozen=True)
class Compared:
    """One behavior's deterministic episodes of both. `opposed`: they were opponents, each in turn in every team."""

    behavior: str
    candidate: ReturnStatistics
    incumbent: ReturnStatistics
    opposed: bool


def compared(incumbent: Incumbent, behaviors: Sequence[Compared]) -> dict[str, Any]:
    """`contracts.evaluation.IncumbentComparison` of what both have played."""
    others = [one.incumbent for one in behaviors]
    result = {
        "episodes": sum(other.episodes for other in others),
        **headline(others),
        "difference": asdict(_difference(behaviors)),
        "behaviors": [
            {
                "behavior": one.behavior,
                "opposed": one.opposed,
                "incumbent": asdict(one.incumbent),
                "difference": asdict(_difference([one])),
            }
            for one in behaviors
        ],
    }
    return {"run_id": incumbent.run_id, "result": result}


def _difference(behaviors: Sequence[Compared]) -> Difference:
    return difference(
        [one.candidate for one in behaviors],
        [one.incumbent for one in behaviors],
        [one.opposed for one in behaviors],
    )


def headline(behaviors: Sequence[ReturnStatistics]) -> dict[str, float]:
    """Mean of the behaviors' mean returns, and of the ends of their intervals."""
    names = ("mean_return", "ci95_low", "ci95_high")
    return {name: float(np.mean([getattr(item, name) for item in behaviors])) for name in names}


def _signature(policy: OnnxPolicy) -> dict[str, str]:
    """What goes in and out, in words and in JSON's brackets."""
    return {
        "observations": str([list(shape) for shape in policy.observation_shapes]),
        "discrete branches": str(list(policy.discrete_branches)),
        "continuous actions": str(policy.continuous_size),
    }
