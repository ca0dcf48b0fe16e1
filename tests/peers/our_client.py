"""Our own client plays what another client has played."""

from typing import Any

import numpy as np

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.client import UnityClient
from rl_src.envs.specs import BehaviorSpec
from tests.peers.sessions import (
    ACTIONS,
    DECISIONS,
    RESET,
    TERMINALS,
    Session,
    SessionWriter,
    agent_columns,
)


def described(spec: BehaviorSpec) -> dict[str, Any]:
    """A specification as JSON."""
    return {
        "observations": [
            {
                "name": sensor.name,
                "shape": list(sensor.shape),
                "properties": [int(item) for item in sensor.properties],
                "is_goal": sensor.is_goal,
            }
            for sensor in spec.observations
        ],
        "continuous": spec.actions.continuous_size,
        "branches": list(spec.actions.discrete_branches),
    }


def replay(client: UnityClient, original: Session) -> Session:
    """Send the original's commands and actions; what our client saw."""
    writer = SessionWriter()
    for number, command in enumerate(original.commands):
        if command == RESET:
            steps = client.reset()
        else:
            actions = {name: _actions(original, name, number - 1) for name in client.specs}
            for name, own in actions.items():
                writer.add(name, ACTIONS, {"continuous": own.continuous, "discrete": own.discrete})
            steps = client.step(actions)
        writer.begin(command)
        for name, step in steps.items():
            writer.describe(name, described(client.specs[name]))
            _note(writer, name, step)
    return writer.finish(statistics=client.statistics())


def _actions(original: Session, behavior: str, exchange: int) -> Actions:
    rows = original.rows(behavior, ACTIONS, exchange)
    if not rows:
        return Actions(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.int32))
    return Actions(rows["continuous"], rows["discrete"])


def _note(writer: SessionWriter, behavior: str, step: BehaviorStep) -> None:
    decisions, terminals = step.decisions, step.terminals
    columns = agent_columns(
        decisions.agent_ids, decisions.observations, decisions.rewards, decisions.group_ids, decisions.group_rewards
    )
    if decisions.action_mask is not None:
        columns["disallowed"] = ~decisions.action_mask
    writer.add(behavior, DECISIONS, columns)
    columns = agent_columns(
        terminals.agent_ids, terminals.observations, terminals.rewards, terminals.group_ids, terminals.group_rewards
    )
    writer.add(behavior, TERMINALS, {**columns, "interrupted": terminals.truncated})
