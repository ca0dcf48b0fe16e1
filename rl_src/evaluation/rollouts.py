"""Episodes, played to their ends.

Which episodes count is settled when they begin: the first N that begin, of each behavior. Counting the first N that
*end* would favour short ones, because many agents play side by side and the long episodes are the ones still running.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.group import BuildGroup
from rl_src.evaluation.errors import EvaluationError
from rl_src.serving.onnx_policy import OnnxPolicy

MAX_EPISODE_DECISIONS = 5_000
"""A scene without Max Step and a policy that reaches no goal make an episode without end: here it is cut off."""

MAX_CUT_OFF = 5
"""After so many episodes without end more of them would say nothing new."""


@dataclass
class _Episode:
    counts: bool
    total: float = 0.0
    length: int = 0
    cut_off: bool = False


@dataclass
class BehaviorEpisodes:
    """The counted episodes of one behavior, in the order in which they ended."""

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    cut_off: int = 0
    _running: dict[int, _Episode] = field(default_factory=dict)
    _begun: int = 0

    def record(self, step: BehaviorStep, wanted: int) -> None:
        """Take in one exchange: rewards of episodes that ended and of those that go on."""
        for agent, reward in _rewards(step.terminals):
            episode = self._running.pop(agent, None)
            if episode is None:
                continue  # it ended before it could decide anything
            episode.total += reward
            if episode.counts and not episode.cut_off:
                self._count(episode)
        for agent, reward in _rewards(step.decisions):
            if agent not in self._running:
                # What comes with an episode's first decision belongs to none of its decisions, as in training.
                self._running[agent] = _Episode(counts=self._begun < wanted)
                self._begun += 1
            else:
                self._running[agent].total += reward
            episode = self._running[agent]
            episode.length += 1
            if episode.length > MAX_EPISODE_DECISIONS and not episode.cut_off:
                self._cut_off(episode)

    def is_stuck(self) -> bool:
        """Whether nothing but episodes without end is being played."""
        return bool(self._running) and all(episode.cut_off for episode in self._running.values())

    def is_complete(self, wanted: int) -> bool:
        """Whether all episodes that count have ended, or enough of them never will."""
        return len(self.returns) >= wanted or self.cut_off >= MAX_CUT_OFF

    def forget_running(self) -> None:
        """The scene was reset, or the build had to be started again: what was open has no end."""
        self._begun -= sum(episode.counts and not episode.cut_off for episode in self._running.values())
        self._running.clear()

    def _cut_off(self, episode: _Episode) -> None:
        episode.cut_off = True
        if episode.counts:
            self.cut_off += 1
            self._count(episode)

    def _count(self, episode: _Episode) -> None:
        self.returns.append(episode.total)
        self.lengths.append(episode.length)


def _rewards(batch: DecisionBatch | TerminalBatch) -> Iterable[tuple[int, float]]:
    """Agent and reward; what its group earned is its own, too, as in training."""
    return zip(batch.agent_ids.tolist(), (batch.rewards + batch.group_rewards).tolist(), strict=True)


def play(
    builds: BuildGroup,
    policies: Mapping[str, OnnxPolicy],
    episodes: int,
    deterministic: bool,
    watch: Callable[[str, DecisionBatch], None],
    stop_requested: Callable[[], bool],
) -> dict[str, BehaviorEpisodes]:
    """Play until the first `episodes` episodes of every policy's behavior have ended.

    Args:
        builds: a group of one; it is reset first.
        policies: by behavior name, without team.
        episodes: for each behavior; the teams of one behavior count together.
        deterministic: the likeliest actions, or sampled ones.
        watch: shown every batch before it is decided.
        stop_requested: asked in every step.

    Raises:
        EvaluationError: a behavior without a policy, or a stop.
        UnityEnvironmentError: the build failed.
    """
    found = {name: BehaviorEpisodes() for name in policies}
    (answer,) = builds.reset()
    while True:
        if answer.restarted:
            _forget_running(found)
        actions: dict[str, Actions] = {}
        for qualified, step in answer.steps.items():
            name = _known(builds.specs[qualified].behavior_name, policies)
            found[name].record(step, episodes)
            if len(step.decisions.agent_ids):
                watch(name, step.decisions)
                actions[qualified] = _act(policies[name], step.decisions, deterministic)
        if all(behavior.is_complete(episodes) for behavior in found.values()):
            return found
        if stop_requested():
            raise EvaluationError("The evaluation was stopped.", "Start it again.", code="Stopped")
        if all(behavior.is_stuck() for behavior in found.values()):
            _forget_running(found)
            (answer,) = builds.reset()
        else:
            (answer,) = builds.step([actions])


def _forget_running(found: Mapping[str, BehaviorEpisodes]) -> None:
    for behavior in found.values():
        behavior.forget_running()


def _known(name: str, policies: Mapping[str, OnnxPolicy]) -> str:
    if name not in policies:
        raise EvaluationError(
            f"The build has agents of behavior {name}, for which the artifact holds no policy.",
            "Train and evaluate on the same build.",
        )
    return name


def _act(policy: OnnxPolicy, decisions: DecisionBatch, deterministic: bool) -> Actions:
    mask = None if decisions.action_mask is None else decisions.action_mask.astype(np.float32)
    continuous, discrete = policy.act(decisions.observations, mask, deterministic)
    return Actions(continuous=continuous, discrete=discrete.astype(np.int32))
