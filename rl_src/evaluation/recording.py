"""Looks on while the first build plays its deterministic episodes, and keeps a few of each behavior.

It takes part in nothing: it is shown arrays that are not written to any more, and what goes wrong with it ends the
recording alone.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.specs import BehaviorSpec
from rl_src.evaluation.episodes import Ending
from rl_src.evaluation.replay_channel import ReplayChannel
from rl_src.evaluation.trajectories import Kept, Trajectory, packed

MAX_BEHAVIORS = 4
MAX_DECISIONS = 1_500
"""Of one behavior, in all of its recorded episodes."""

MAX_BYTES = 16 * 1024**2
"""Of one behavior's observations, before they are compressed."""

log = logging.getLogger(__name__)


@dataclass
class BehaviorRecording:
    """One behavior: the episodes that are kept, one after the other, as one agent is followed at a time.

    `spec`: of the team that was seen first; None until then. `is_complete`: no more is kept.
    """

    wanted: int
    spec: BehaviorSpec | None = None
    episodes: list[Trajectory] = field(default_factory=list)
    is_complete: bool = False
    _followed: tuple[str, int] | None = None
    _running: set[tuple[str, int]] = field(default_factory=set)
    _decisions: int = 0
    _bytes: int = 0

    def see(self, spec: BehaviorSpec, step: BehaviorStep, actions: Actions | None, sketches: list[bytes]) -> None:
        """One exchange, of one team: who has ended, who decides, and what."""
        if self.is_complete:
            return
        for row, agent in enumerate(step.terminals.agent_ids.tolist()):
            self._running.discard((spec.name, agent))
            if self._followed == (spec.name, agent):
                self._end(step.terminals, row, sketches)
        if actions is None or self.is_complete:
            return
        self.spec = self.spec or spec
        for row, agent in enumerate(step.decisions.agent_ids.tolist()):
            key = (spec.name, agent)
            if key not in self._running:
                self._running.add(key)
                if self._followed is None:
                    self._followed = key
                    self.episodes.append(Trajectory(agent, spec.team_id))
            if key == self._followed:
                self._decide(step.decisions, row, actions, sketches)

    def forget_running(self) -> None:
        """What was open has no end: it is not kept."""
        if self._followed is not None:
            del self.episodes[-1]
        self._followed = None
        self._running.clear()

    def cut(self) -> None:
        """No more: what is open ends with the last observation that there was, before it was decided on."""
        self.is_complete = True
        if self._followed is None:
            return
        self._followed = None
        episode = self.episodes[-1]
        episode.continuous.pop()
        episode.discrete.pop()
        if not episode.length:
            del self.episodes[-1]

    def _decide(self, decisions: DecisionBatch, row: int, actions: Actions, sketches: list[bytes]) -> None:
        episode = self.episodes[-1]
        if episode.length:
            episode.rewards.append(float(decisions.rewards[row] + decisions.group_rewards[row]))
        self._observe(episode, packed(decisions.observations, row), sketches[-1:])
        episode.continuous.append(actions.continuous[row].copy())
        episode.discrete.append(actions.discrete[row].copy())
        self._decisions += 1
        if self._decisions > MAX_DECISIONS or self._bytes > MAX_BYTES:
            self.cut()

    def _end(self, terminals: TerminalBatch, row: int, sketches: list[bytes]) -> None:
        episode = self.episodes[-1]
        episode.rewards.append(float(terminals.rewards[row] + terminals.group_rewards[row]))
        episode.ending = Ending.TRUNCATED if terminals.truncated[row] else Ending.TERMINATED
        # The last one shows how it is now, the next episode having begun.
        self._observe(episode, packed(terminals.observations, row), (sketches[:-1] or sketches)[:1])
        self._followed = None
        self.is_complete = len(self.episodes) >= self.wanted

    def _observe(self, episode: Trajectory, observations: tuple[Kept, ...], sketches: list[bytes]) -> None:
        episode.sketches += [(episode.length, sketch) for sketch in sketches]
        episode.observations.append(observations)
        self._bytes += sum(sensor.nbytes for sensor in observations) + sum(map(len, sketches))


class Recording:
    """Some behaviors of the first build.

    Args:
        episodes: to keep of each behavior; 0: none.
        behaviors: the policies' names.
    """

    def __init__(self, episodes: int, behaviors: Iterable[str]) -> None:
        self.behaviors = {name: BehaviorRecording(episodes) for name in list(behaviors)[:MAX_BEHAVIORS]}
        self.failure: Exception | None = None
        self._is_over = episodes == 0
        self._channel: ReplayChannel | None = None

    def channel(self) -> ReplayChannel | None:
        """For a build that is being started; None: it need not show anything."""
        self._channel = None if self._is_over else ReplayChannel()
        return self._channel

    def see(
        self, steps: Mapping[str, BehaviorStep], actions: Mapping[str, Actions], specs: Mapping[str, BehaviorSpec]
    ) -> None:
        """One exchange: the build's answer, and what was decided on it, by qualified name."""
        if self._is_over:
            return
        try:
            sketches = self._channel.take() if self._channel is not None else []
            for qualified, step in steps.items():
                behavior = self.behaviors.get(specs[qualified].behavior_name)
                if behavior is not None:
                    behavior.see(specs[qualified], step, actions.get(qualified), sketches)
        except Exception as error:
            log.exception("no replay is recorded")
            self.failure = error
            self.behaviors.clear()
        if all(behavior.is_complete for behavior in self.behaviors.values()):
            self.finish()

    def forget_running(self) -> None:
        """The build was reset, or started again."""
        if not self._is_over:
            for behavior in self.behaviors.values():
                behavior.forget_running()

    def finish(self) -> None:
        """The episodes are over, or enough was seen."""
        if self._is_over:
            return
        self._is_over = True
        for behavior in self.behaviors.values():
            behavior.cut()
        if self._channel is not None:
            self._channel.stop()
