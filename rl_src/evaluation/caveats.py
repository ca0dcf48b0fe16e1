"""What makes an evaluation's figures doubtful, or its policy."""

from collections.abc import Mapping, Sequence
from typing import Any

from rl_src.evaluation.episodes import MAX_EPISODE_DECISIONS

FEW_EPISODES = 20
"""Below, Student's interval leans heavily on returns being normally distributed, which they rarely are."""

FAR_BELOW = 0.05
"""The deterministic mean must be this share of the larger mean's size below the sampled one to be told of."""


def find_warnings(behaviors: Sequence[Mapping[str, Any]], builds_restarted: int) -> list[dict[str, str]]:
    """Of all behaviors, as `contracts.evaluation.EvaluationWarning`.

    Args:
        behaviors: as in the report (`BehaviorEvaluation`).
        builds_restarted: how often a build had to be started again.
    """
    found = []
    for item in behaviors:
        found += [_warning(item["behavior"], *told) for told in _of_behavior(item["deterministic"], item["stochastic"])]
    if builds_restarted:
        times = "once" if builds_restarted == 1 else f"{builds_restarted} times"
        cause = f"A build crashed, hung or quit, and was started again, {times}. Its open episodes are not counted."
        found.append(_warning("", "BuildsRestarted", cause, "Look into the player's log in the job's log."))
    return found


def _of_behavior(deterministic: Mapping[str, Any], stochastic: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    cut_off = deterministic["cut_off_episodes"] + stochastic["cut_off_episodes"]
    if cut_off:
        found.append(
            (
                "EpisodesCutOff",
                f"{cut_off} episodes had not ended after {MAX_EPISODE_DECISIONS:,} decisions and were cut off; "
                "their returns count as they were then.",
                "Give the agent a Max Step in Unity, so that every episode ends.",
            )
        )
    if _is_far_below(deterministic, stochastic):
        found.append(
            (
                "DeterministicFarBelowSampled",
                f"With its likeliest actions the policy earns {deterministic['mean_return']:.4g}, with sampled ones "
                f"{stochastic['mean_return']:.4g}: it may be caught in a loop that only chance breaks.",
                "Train longer or with a smaller entropy_coeff, or ask the endpoint with deterministic = false.",
            )
        )
    if deterministic["episodes"] < FEW_EPISODES:
        found.append(
            (
                "FewEpisodes",
                f"{deterministic['episodes']} episodes tell little; the interval is rough.",
                "Ask for more evaluation.episodes.",
            )
        )
    return found


def _is_far_below(deterministic: Mapping[str, Any], stochastic: Mapping[str, Any]) -> bool:
    """The intervals do not touch, and the gap is no trifle."""
    means = deterministic["mean_return"], stochastic["mean_return"]
    gap = means[1] - means[0]
    apart: bool = deterministic["ci95_high"] < stochastic["ci95_low"]
    return apart and gap > FAR_BELOW * max(abs(mean) for mean in means)


def _warning(behavior: str, code: str, cause: str, remedy: str) -> dict[str, str]:
    return {"behavior": behavior, "code": code, "cause": cause, "remedy": remedy}
