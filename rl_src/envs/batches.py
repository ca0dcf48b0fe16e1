"""What passes between a build and a policy: batches of all agents of a behavior, one row an agent."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rl_src.envs.specs import BehaviorSpec

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass
class DecisionBatch:
    """The N agents that wait for an action. The arrays belong to the caller; nothing writes to them again."""

    agent_ids: IntArray  # [N], an id lives as long as one episode
    observations: tuple[FloatArray, ...]  # [N, *shape] for each sensor
    rewards: FloatArray  # [N], summed since the agent's last decision
    action_mask: BoolArray | None  # [N, sum of branches], True = allowed; None without discrete branches
    group_ids: IntArray  # [N], 0 = no group
    group_rewards: FloatArray  # [N]

    def __len__(self) -> int:
        return len(self.agent_ids)


@dataclass
class TerminalBatch:
    """The N agents whose episode has just ended, with their last observation."""

    agent_ids: IntArray  # [N]
    observations: tuple[FloatArray, ...]  # [N, *shape] for each sensor
    rewards: FloatArray  # [N]
    truncated: BoolArray  # [N], True = cut off by max_step or an interruption; False = terminated
    group_ids: IntArray  # [N]
    group_rewards: FloatArray  # [N]

    def __len__(self) -> int:
        return len(self.agent_ids)


@dataclass
class BehaviorStep:
    """One exchange, one behavior. An agent may be in both: its episode ended and its next one begins (new id)."""

    decisions: DecisionBatch
    terminals: TerminalBatch


@dataclass
class Actions:
    """One row for each row of the last DecisionBatch, in its order."""

    continuous: FloatArray  # [N, continuous_size]
    discrete: npt.NDArray[np.int32]  # [N, number of branches]


def empty_step(spec: BehaviorSpec) -> BehaviorStep:
    """A step in which no agent of the behavior decided or ended."""
    observations = tuple(np.zeros((0, *sensor.shape), np.float32) for sensor in spec.observations)
    numbers, ids = np.zeros(0, np.float32), np.zeros(0, np.int64)
    branches = spec.actions.discrete_branches
    mask = np.ones((0, sum(branches)), np.bool_) if branches else None
    return BehaviorStep(
        DecisionBatch(ids, observations, numbers, mask, ids, numbers),
        TerminalBatch(ids, observations, numbers, np.zeros(0, np.bool_), ids, numbers),
    )
