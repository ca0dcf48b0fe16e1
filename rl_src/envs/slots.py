"""Which agent sits where in a batch of fixed size, and what each slot was told last."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rl_src.envs.batches import BoolArray, DecisionBatch, FloatArray, TerminalBatch
from rl_src.envs.multi_agent import Undecided
from rl_src.envs.seeded_build import SceneStep, UnsuitableSceneError
from rl_src.envs.spaces import Observation, observations_of, rows_of
from rl_src.envs.specs import BehaviorSpec

SlotArray = npt.NDArray[np.intp]

FREE = -1
"""In place of an agent id."""


class SlotStep:
    """What happened in one step: rewards and ends, [N] each."""

    def __init__(self, number: int) -> None:
        self.rewards, self.group_rewards = np.zeros(number), np.zeros(number)
        self.terminations, self.truncations = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
        self.final_observations: dict[int, Observation] = {}
        self.final_info = {
            "agent_id": np.full(number, FREE, np.int64),
            "reward": np.zeros(number),
            "group_reward": np.zeros(number),
            "group_id": np.zeros(number, np.int64),
        }

    @property
    def ended(self) -> BoolArray:
        """Slots whose episode ended."""
        ended: BoolArray = self.terminations | self.truncations
        return ended


class Slots:
    """N slots for the agents of one behavior. An agent keeps its slot for an episode.

    Agent ids are Unity's, which are unique in a build, whatever the behavior (ml-agents, EpisodeIdCounter).
    """

    def __init__(self, behavior: BehaviorSpec, number: int, undecided: Undecided) -> None:
        self._behavior = behavior
        self._undecided = undecided
        self._number = number
        self._slots: dict[int, int] = {}
        self._free = list(range(number))
        self._before = np.zeros((2, number))  # own and group reward from before the first decision
        self.waiting: dict[str, SlotArray] = {}
        """The slots that need an action now, in the order of each behavior's decisions."""
        self.observations = [np.zeros((number, *sensor.shape), np.float32) for sensor in behavior.observations]
        self.deciding = np.zeros(number, np.bool_)
        self.agent_ids = np.full(number, FREE, np.int64)
        self.group_ids = np.zeros(number, np.int64)
        branches = behavior.actions.discrete_branches
        self.action_mask = np.ones((number, sum(branches)), np.bool_) if branches else None

    def take(self, exchange: SceneStep, step: SlotStep) -> None:
        """Enter one exchange: ends first, for their slots may be needed by those who begin.

        Raises:
            UnsuitableSceneError: an agent finds no slot, or is of another behavior.
        """
        self.deciding[:] = False
        self.waiting = {}
        freed: list[int] = []
        for name, item in exchange.items():
            if name.partition("?")[0] != self._behavior.behavior_name:
                raise several_behaviors([self._behavior.behavior_name, name])
            if len(item.terminals):
                freed += self._end(item.terminals, step)
        self._free = sorted(freed) + self._free
        for name, item in exchange.items():
            if len(item.decisions):
                self.waiting[name] = self._decide(item.decisions, step)
        self._free.sort()

    def observation(self) -> Observation:
        """[N, *shape] for each sensor; a copy."""
        return observations_of(self._behavior, [array.copy() for array in self.observations])

    def _end(self, terminals: TerminalBatch, step: SlotStep) -> list[int]:
        """Enter the ends; the slots that are free now."""
        freed, rows = [], []
        for row, agent_id in enumerate(terminals.agent_ids.tolist()):
            slot = self._slots.pop(agent_id, None)
            if slot is None:
                self._undecided.add(float(terminals.rewards[row]), float(terminals.group_rewards[row]))
            else:
                freed.append(slot)
                rows.append(row)
        slots, ended = np.array(freed, np.intp), np.array(rows, np.intp)
        self._earn(slots, terminals.rewards[ended], terminals.group_rewards[ended], step)
        step.truncations[slots] = terminals.truncated[ended]
        step.terminations[slots] = ~terminals.truncated[ended]
        final = step.final_info
        final["agent_id"][slots], final["group_id"][slots] = terminals.agent_ids[ended], terminals.group_ids[ended]
        final["reward"][slots], final["group_reward"][slots] = step.rewards[slots], step.group_rewards[slots]
        lasts = rows_of(self._behavior, [array[ended] for array in terminals.observations])
        step.final_observations.update(zip(freed, lasts, strict=True))
        for kept, array in zip(self.observations, terminals.observations, strict=True):
            kept[slots] = array[ended]
        self.agent_ids[slots], self.group_ids[slots] = FREE, 0
        return freed

    def _decide(self, decisions: DecisionBatch, step: SlotStep) -> SlotArray:
        """Enter the agents that ask; their slots."""
        ids, known = decisions.agent_ids.tolist(), self._slots
        begins = [row for row, agent_id in enumerate(ids) if agent_id not in known]
        for row in begins:
            known[ids[row]] = self._seat()
        slots = np.array([known[agent_id] for agent_id in ids], np.intp)
        if begins:
            self._before[:, slots[begins]] = decisions.rewards[begins], decisions.group_rewards[begins]
            goes_on = np.ones(len(ids), np.bool_)
            goes_on[begins] = False
            self._earn(slots[goes_on], decisions.rewards[goes_on], decisions.group_rewards[goes_on], step)
        else:
            self._earn(slots, decisions.rewards, decisions.group_rewards, step)
        for kept, array in zip(self.observations, decisions.observations, strict=True):
            kept[slots] = array
        if self.action_mask is not None:
            self.action_mask[slots] = decisions.action_mask
        self.deciding[slots] = True
        self.agent_ids[slots], self.group_ids[slots] = decisions.agent_ids, decisions.group_ids
        return slots

    def _earn(self, slots: SlotArray, rewards: FloatArray, group_rewards: FloatArray, step: SlotStep) -> None:
        before = self._before[:, slots]
        step.rewards[slots], step.group_rewards[slots] = rewards + before[0], group_rewards + before[1]
        self._before[:, slots] = 0.0

    def _seat(self) -> int:
        if not self._free:
            raise UnsuitableSceneError(
                f"The scene has more agents than the {self._number} slots of the environment.",
                "Agents that appear later need slots, too: pass num_envs, the largest number of agents at one time.",
            )
        return self._free.pop(0)


def several_behaviors(names: Sequence[str]) -> UnsuitableSceneError:
    """The error of an environment for one behavior."""
    return UnsuitableSceneError(
        f"UnityVectorEnv plays one behavior; this scene has several ({', '.join(names)}).",
        "Use UnityParallelEnv (PettingZoo) or UnityMultiAgentEnv (RLlib).",
    )
