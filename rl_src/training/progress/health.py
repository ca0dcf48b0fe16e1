"""Warnings about a training that is not well, from its progress lines: what is seen, and what to do.

A warning costs nobody's run, but one without a reason teaches people to read over all of them. So each rule looks at
several lines together, knows where a good run does the same (a solved game has little entropy too), and is told once
until it has cleared. The thresholds were tried on our own runs, good and spoiled: see the test.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rl_src.envs.specs import ActionSpec

EPISODES_TO_JUDGE = 20
"""A mean over fewer episodes says little."""

EARLY_LINES = 5
"""Iterations whose mean return is what the training began with, and over which later means are smoothed."""

LINES_TO_RISE = 30
"""A return that has not risen is nothing before so many iterations ..."""

SHARE_TO_RISE = 0.2
"""... and before this share of the limit on env steps."""

RISE = 0.1
"""What counts as a rise: this share of the range that the first episodes' returns lie in."""

COLLAPSED_ENTROPY = 0.05
"""Of discrete actions: share of the entropy of choosing at random."""

COLLAPSED_DEVIATION = 0.01
"""Of continuous actions: standard deviation, in a range of -1 to 1."""

COLLAPSED_LINES = 5
"""Iterations in a row with a collapsed entropy."""

LINES_TO_EXPLAIN = 20
"""The value function is judged by the median over so many iterations without a rise of the return."""

EXPLAINED_VARIANCE = 0.05
"""Below it, the value function is no better than the mean of the returns."""

KL = 0.2
"""An update that moves the policy so far has left the region that PPO's clipping is meant for; usual: 0.001 to 0.03."""

KL_LINES = 5
"""The divergence is the median over so many iterations. A quick learner has a large one too, but its return rises."""

ENV_STEPS_TO_END = 50_000
SHARE_TO_END = 0.1
LINES_TO_END = 10
"""No episode ended in so many decisions (or this share of the limit if more) and iterations."""

LINES_TO_CLEAR = 5
"""A warning is over when its cause was not seen in so many iterations in a row."""


@dataclass(frozen=True)
class HealthWarning:
    """`code` is stable, `cause` says what is seen, `remedy` what to do."""

    code: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}"


@dataclass
class _History:
    """What the rules look at; of bounded size."""

    actions: ActionSpec
    target_return: float | None
    lines: int = 0
    judged: int = 0
    ranges: list[float] = field(default_factory=list)
    best: float = -math.inf
    rises: int = 0
    last_rise: tuple[float, int, int] = (0.0, 0, 0)  # mean return, judged lines and env steps of the last rise
    collapsed: int = 0
    last_ended: tuple[int, int, int] = (0, 0, 0)  # episodes, env steps and lines when an episode last ended
    recent: "deque[Mapping[str, Any]]" = field(default_factory=lambda: deque(maxlen=LINES_TO_EXPLAIN))
    means: "deque[float]" = field(default_factory=lambda: deque(maxlen=EARLY_LINES))

    def add(self, line: Mapping[str, Any]) -> None:
        self.lines += 1
        self.recent.append(line)
        if line["episodes"] > self.last_ended[0]:
            self.last_ended = (line["episodes"], line["env_steps"], self.lines)
        self.collapsed = self.collapsed + 1 if self._entropy_is_low(line) else 0
        if line["mean_return"] is None or line["episodes"] < EPISODES_TO_JUDGE:
            return
        self.judged += 1
        self.means.append(line["mean_return"])
        if self.judged <= LINES_TO_RISE:
            self.ranges.append(line["max_return"] - line["min_return"])
        if self.judged == EARLY_LINES:
            self.best = statistics.fmean(self.means)
            self.last_rise = (self.best, self.judged, line["env_steps"])
        elif self.judged > EARLY_LINES:
            self._look_for_rise(statistics.fmean(self.means), line["env_steps"])

    @property
    def line(self) -> Mapping[str, Any]:
        return self.recent[-1]

    @property
    def spread(self) -> float:
        """The range that the first episodes' returns lie in: the scale that a rise is measured by."""
        return statistics.median(self.ranges) if self.ranges else 0.0

    def is_stuck(self, lines: int) -> bool:
        """Whether the return has not risen in so many judged lines, and should have.

        A return that has risen once may be as high as it can be: only a target tells that it is not.
        """
        if self.is_solved or self.plays_itself or (self.rises and self.target_return is None):
            return False
        return self.judged - self.last_rise[1] >= lines

    @property
    def is_solved(self) -> bool:
        """Whether the target is reached, or nearly so; false without a target."""
        if self.target_return is None or not self.means:
            return False
        return statistics.fmean(self.means) >= self.target_return - RISE * self.spread

    @property
    def plays_itself(self) -> bool:
        """Against past selves the return need not rise, and nothing can be told from it."""
        return self.line.get("elo") is not None

    def _look_for_rise(self, mean: float, env_steps: int) -> None:
        self.best = max(self.best, mean)
        if self.best - self.last_rise[0] > RISE * self.spread:
            self.rises += 1
            self.last_rise = (self.best, self.judged, env_steps)

    def is_share_of_limit(self, env_steps: int, share: float) -> bool:
        limit = self.line.get("env_steps_limit")
        return limit is None or env_steps >= share * limit

    def _entropy_is_low(self, line: Mapping[str, Any]) -> bool:
        if line["entropy"] is None:
            return False
        at_random = sum(math.log(branch) for branch in self.actions.discrete_branches)
        # The entropy of a normal distribution: log(deviation * sqrt(2 pi e)).
        narrow = self.actions.continuous_size * (math.log(COLLAPSED_DEVIATION) + 0.5 * math.log(2 * math.pi * math.e))
        return bool(line["entropy"] < COLLAPSED_ENTROPY * at_random + narrow)


def _flat_return(history: _History) -> str | None:
    mean, _, at_steps = history.last_rise
    steps = history.line["env_steps"] - at_steps
    if not history.is_stuck(LINES_TO_RISE) or not history.is_share_of_limit(steps, SHARE_TO_RISE):
        return None
    return f"The mean return has not risen in {steps:,} decisions: it was {mean:.3g}, and {history.best:.3g} at best."


def _collapsed_entropy(history: _History) -> str | None:
    if history.collapsed < COLLAPSED_LINES or not history.is_stuck(COLLAPSED_LINES):
        return None  # a policy that has found what it looked for need not explore
    return (
        f"The policy's entropy has fallen to {history.line['entropy']:.3g} nats: it hardly tries anything any more, "
        f"at a mean return of {history.means[-1]:.3g}."
    )


def _unexplained_value(history: _History) -> str | None:
    values = [line["explained_variance"] for line in history.recent if line.get("explained_variance") is not None]
    # Where the return rises nothing is wrong: of episodes of one step, for example, only the action explains it.
    if len(values) < LINES_TO_EXPLAIN or not history.is_stuck(LINES_TO_EXPLAIN):
        return None
    explained = statistics.median(values)
    if explained >= EXPLAINED_VARIANCE or history.line["max_return"] == history.line["min_return"]:
        return None  # of returns that are all the same there is nothing to explain
    return f"The value function explains {100 * max(0.0, explained):.0f} % of the returns' variance."


def _large_kl(history: _History) -> str | None:
    values = [line["kl"] for line in list(history.recent)[-KL_LINES:] if line.get("kl") is not None]
    if len(values) < KL_LINES or statistics.median(values) < KL:
        return None
    if history.judged and history.judged - history.last_rise[1] < KL_LINES:
        return None
    return f"Updates change the policy by much: their KL divergence is {statistics.median(values):.2g}, at no gain."


def _non_finite_rewards(history: _History) -> str | None:
    count = history.line.get("non_finite_rewards") or 0
    return f"{count} rewards of the last iteration were NaN or infinite." if count else None


def _no_episode_ended(history: _History) -> str | None:
    episodes, at_steps, at_line = history.last_ended
    steps = history.line["env_steps"] - at_steps
    if steps < ENV_STEPS_TO_END or history.lines - at_line < LINES_TO_END:
        return None
    if not history.is_share_of_limit(steps, SHARE_TO_END):
        return None
    return f"No episode has ended in {steps:,} decisions" + (f", after {episodes:,} before." if episodes else " yet.")


@dataclass(frozen=True)
class _Rule:
    code: str
    judge: Callable[[_History], str | None]
    remedy: str
    remedy_for_sac: str | None = None  # where it differs

    def remedy_of(self, line: Mapping[str, Any]) -> str:
        """In the settings that the algorithm of a progress line has."""
        return self.remedy_for_sac if self.remedy_for_sac and "q1_loss" in line else self.remedy


RULES: Sequence[_Rule] = (
    _Rule(
        "FlatReturn",
        _flat_return,
        "Check that the agents get rewards that differ with what they do; raise entropy_coeff or gamma for rewards "
        "that are rare or late, turn on curiosity, or begin with an easier scene by a curriculum.",
        "Check that the agents get rewards that differ with what they do; raise initial_alpha or gamma for rewards "
        "that are rare or late, or begin with an easier scene by a curriculum.",
    ),
    _Rule(
        "EntropyCollapse",
        _collapsed_entropy,
        "Raise entropy_coeff (three times as much), or lower lr or num_epochs, so that it goes on exploring.",
        "Raise initial_alpha (ten times as much), or lower lr or updates_per_step, so that it goes on exploring.",
    ),
    _Rule(
        "ValueExplainsNothing",
        _unexplained_value,
        "Check that the observations show what the return depends on; raise vf_loss_coeff or train_batch_size, or "
        "widen the network.",
    ),
    _Rule("LargeUpdates", _large_kl, "Lower lr or num_epochs, or raise minibatch_size."),
    _Rule(
        "NonFiniteRewards",
        _non_finite_rewards,
        "Look for a division by zero or an unset value where the game calls AddReward or SetReward.",
    ),
    _Rule(
        "NoEpisodeEnded",
        _no_episode_ended,
        "Let the agents end their episodes (EndEpisode), or set their Max Step; without an end, no return is known.",
    ),
)


class HealthMonitor:
    """Watches the progress lines of one behavior.

    Args:
        actions: what it does, which tells how large its entropy can be.
        target_return: the mean return at which it is solved, if that is known.
        earlier: lines of an earlier part of the same training; what was told of them is not told again.
    """

    def __init__(
        self,
        actions: ActionSpec,
        target_return: float | None = None,
        earlier: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self._history = _History(actions, target_return)
        self._quiet: dict[str, int] = {}  # by code of what was told: lines in a row without its cause
        for line in earlier:
            self.observe(line)

    @property
    def active(self) -> tuple[str, ...]:
        """Codes of what was told and has not cleared."""
        return tuple(self._quiet)

    def observe(self, line: Mapping[str, Any]) -> list[HealthWarning]:
        """Take in the next progress line; what is to be told now."""
        self._history.add(line)
        told: list[HealthWarning] = []
        for rule in RULES:
            cause = rule.judge(self._history)
            if cause is not None:
                if rule.code not in self._quiet:
                    told.append(HealthWarning(rule.code, cause, rule.remedy_of(line)))
                self._quiet[rule.code] = 0
            elif rule.code in self._quiet:
                self._quiet[rule.code] += 1
                if self._quiet[rule.code] >= LINES_TO_CLEAR:
                    del self._quiet[rule.code]
        return told
