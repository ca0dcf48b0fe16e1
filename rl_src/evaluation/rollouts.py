"""Episodes, played to their ends on several builds side by side.

Each build has its own share of the episodes, its own seed and its own copy of the policies, and nothing that happens in
one depends on the pace of another. So what is played repeats for a seed and a number of builds, sampled actions
included: a model file's random numbers go on from call to call (ONNX Runtime), and a shared one would deal them out in
the order in which the builds happen to answer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl_src.envs.batches import Actions, DecisionBatch
from rl_src.envs.group import Answer, BuildGroup
from rl_src.envs.specs import BehaviorSpec
from rl_src.evaluation.action_use import ActionUse
from rl_src.evaluation.episodes import BehaviorEpisodes
from rl_src.evaluation.errors import EvaluationError
from rl_src.evaluation.recording import Recording

ABSENT_AFTER = 1_000
"""Episodes of other behaviors, in one build, after which a behavior that has begun none is taken to be missing."""

Floats = NDArray[np.float32]


class Policy(Protocol):
    """What plays: `rl_src.serving.onnx_policy.OnnxPolicy`."""

    @property
    def memory_size(self) -> int:
        """Numbers that it remembers of each agent; 0 without memory."""
        ...

    def step(
        self, observations: Sequence[Floats], action_masks: Floats | None, deterministic: bool, memory: Floats | None
    ) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Continuous actions [N, C], discrete ones [N, branches] and the new memory [N, memory_size]."""
        ...


Watch = Callable[[str, DecisionBatch, list[int], Floats], None]
"""Behavior, batch, decisions that each agent had in its episode before, memory [N, memory_size]."""


class Share:
    """One build's part of the evaluation: its episodes of each behavior, what is remembered, what was done."""

    def __init__(
        self,
        policies: Mapping[str, Policy],
        wanted: int,
        deterministic: bool,
        watch: Watch | None,
        guests: Mapping[tuple[str, int], Policy] | None = None,
        recording: Recording | None = None,
    ) -> None:
        self.episodes = {name: BehaviorEpisodes() for name in policies}
        self.action_use: dict[str, ActionUse] = {}
        self._policies = policies
        self._guests = guests or {}
        self._wanted = wanted
        self._deterministic = deterministic
        self._watch = watch
        self._recording = recording
        self._memories: dict[str, dict[int, Floats]] = {}  # by fully qualified name and agent

    def is_complete(self) -> bool:
        """Whether all episodes of the share are played."""
        return all(behavior.is_complete(self._wanted) for behavior in self.episodes.values())

    def is_stuck(self) -> bool:
        """Whether the build plays nothing but episodes without end, and must be reset."""
        return all(behavior.is_stuck() for behavior in self.episodes.values())

    def forget_running(self) -> None:
        """The build was reset or started again: its agents are others."""
        self._memories.clear()
        if self._recording is not None:
            self._recording.forget_running()
        for behavior in self.episodes.values():
            behavior.forget_running()

    def take(self, answer: Answer, specs: Mapping[str, BehaviorSpec]) -> dict[str, Actions]:
        """Record one answer of the build; the actions for the agents that wait, by fully qualified name.

        Raises:
            EvaluationError: a behavior without a policy, or a policy without its behavior.
        """
        if answer.restarted:
            self.forget_running()
        actions: dict[str, Actions] = {}
        for qualified, step in answer.steps.items():
            spec = specs[qualified]
            name = _known(spec.behavior_name, self._policies)
            self.episodes[name].record(step, self._wanted, spec.team_id)
            for agent in step.terminals.agent_ids.tolist():
                self._memories.get(qualified, {}).pop(agent, None)
            if len(step.decisions):
                actions[qualified] = self._decide(spec, step.decisions)
        if self._recording is not None:
            self._recording.see(answer.steps, actions, specs)
        self._look_for_absent()
        return actions

    def _decide(self, spec: BehaviorSpec, decisions: DecisionBatch) -> Actions:
        name, agents = spec.behavior_name, decisions.agent_ids.tolist()
        policy = self._guests.get((name, spec.team_id), self._policies[name])
        known = self._memories.get(spec.name, {})
        blank = np.zeros(policy.memory_size, np.float32)
        memory = np.stack([known.get(agent, blank) for agent in agents])
        if self._watch is not None:
            before = [self.episodes[name].decisions_before(agent) for agent in agents]
            self._watch(name, decisions, before, memory)
        mask = None if decisions.action_mask is None else decisions.action_mask.astype(np.float32)
        continuous, discrete, remembered = policy.step(decisions.observations, mask, self._deterministic, memory)
        if policy.memory_size:
            # Ids live as long as an episode, and agents may wait at different times: keep what is not of this batch.
            self._memories.setdefault(spec.name, {}).update(zip(agents, remembered, strict=True))
        if not self.episodes[name].is_complete(self._wanted):
            use = self.action_use.setdefault(
                name, ActionUse(spec.actions.discrete_branches, spec.actions.continuous_size)
            )
            use.add(continuous, discrete)
        return Actions(continuous=continuous, discrete=discrete.astype(np.int32))

    def _look_for_absent(self) -> None:
        begun = {name: behavior.begun for name, behavior in self.episodes.items()}
        absent = [name for name, number in begun.items() if number == 0]
        if absent and max(begun.values()) >= ABSENT_AFTER + 10 * self._wanted:
            raise EvaluationError(
                f"The artifact holds a policy of behavior {absent[0]}, of which the build has shown no agent in "
                f"{max(begun.values()):,} episodes of other behaviors.",
                "Train and evaluate on the same build, with the same arguments and environment parameters.",
                code="BehaviorMissing",
            )


def play(
    builds: BuildGroup,
    policies: Sequence[Mapping[str, Policy]],
    episodes: int,
    deterministic: bool,
    watch: Watch | None,
    stop_requested: Callable[[], bool],
    guests: Sequence[Mapping[tuple[str, int], Policy]] | None = None,
    recording: Recording | None = None,
) -> list[Share]:
    """Play until the first `episodes` episodes of every policy's behavior have ended.

    Args:
        builds: the builds, which are reset first.
        policies: one mapping a build, by behavior name, without team.
        episodes: for each behavior, of all builds together; the teams of one behavior count together.
        deterministic: the likeliest actions, or sampled ones.
        watch: shown every batch of the first build before it is decided; None: nobody looks.
        stop_requested: asked whenever a build has answered.
        guests: one mapping a build, by behavior and team: who plays these teams instead.
        recording: shown what happens in the first build.

    Returns:
        What each build played, in the order of the builds.

    Raises:
        EvaluationError: a behavior without a policy, a policy without its behavior, or a stop.
        UnityEnvironmentError: a build failed.
    """
    number = len(builds)
    shares = [
        Share(
            own,
            episodes // number + (index < episodes % number),
            deterministic,
            watch if index == 0 else None,
            guests[index] if guests else None,
            recording if index == 0 else None,
        )
        for index, own in enumerate(policies)
    ]
    answers = dict(enumerate(builds.reset()))
    while True:
        for index, answer in answers.items():
            share = shares[index]
            actions = share.take(answer, builds.specs)
            if share.is_complete():
                continue
            if share.is_stuck():
                share.forget_running()
                builds.send_reset(index)
            else:
                builds.send_step(index, actions)
        if all(share.is_complete() for share in shares):
            return shares
        if stop_requested():
            raise EvaluationError("The evaluation was stopped.", "Start it again.", code="Stopped")
        answers = dict(builds.receive())


def _known(name: str, policies: Mapping[str, Policy]) -> str:
    if name not in policies:
        raise EvaluationError(
            f"The build has agents of behavior {name}, for which the artifact holds no policy.",
            "Train and evaluate on the same build.",
        )
    return name
