"""The candidate beside the policy in service: whether they can be compared, and by how much they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rl_src.evaluation.statistics import ReturnStatistics, difference
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


def compared(
    incumbent: Incumbent, candidate: Mapping[str, ReturnStatistics], played: Mapping[str, ReturnStatistics]
) -> dict[str, Any]:
    """`contracts.evaluation.IncumbentComparison` of the deterministic episodes of both, by behavior."""
    behaviors = [
        {
            "behavior": name,
            "incumbent": asdict(played[name]),
            "difference": asdict(difference([own], [played[name]])),
        }
        for name, own in candidate.items()
    ]
    others = [played[name] for name in candidate]
    result = {
        "episodes": sum(other.episodes for other in others),
        **headline(others),
        "difference": asdict(difference(list(candidate.values()), others)),
        "behaviors": behaviors,
    }
    return {"run_id": incumbent.run_id, "result": result}


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
