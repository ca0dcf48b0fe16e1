"""`bare_loop.py PROGRAM FOLDER CELL THREADS`: PPO as one writes it down for one build; prints as `ours.py` does.

Our client, lists for the rollout, two plain networks, torch's own Adam. Nothing is kept, watched or told; one behavior
of vector observations only.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.training.sides import EPOCHS, HIDDEN, LAYERS, Cell
from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch
from rl_src.envs.client import UnityClient
from rl_src.envs.specs import BehaviorSpec

GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, LEARNING_RATE, CLIP_NORM = 0.99, 0.95, 0.2, 0.005, 0.5, 3e-4, 0.5
ENDED, OPEN = -1, -2
Rollout = dict[str, torch.Tensor]


class Policy:
    """Actor and critic of vector observations, for one branch or for continuous actions."""

    def __init__(self, behavior: BehaviorSpec) -> None:
        size = math.prod(behavior.observations[0].shape)
        self.continuous = behavior.actions.continuous_size
        outputs = self.continuous or behavior.actions.discrete_branches[0]
        self.actor, self.critic = _layers(size, outputs), _layers(size, 1)
        self.log_std = nn.Parameter(torch.zeros(self.continuous))
        self.parameters = [*self.actor.parameters(), *self.critic.parameters(), self.log_std]
        self.optimizer = torch.optim.Adam(self.parameters, LEARNING_RATE)

    def distribution(self, observations: torch.Tensor) -> Any:
        out = self.actor(observations)
        if self.continuous:
            return torch.distributions.Independent(torch.distributions.Normal(out, self.log_std.exp()), 1)
        return torch.distributions.Categorical(logits=out)

    def as_unity(self, actions: torch.Tensor) -> Actions:
        values = actions.numpy()
        if self.continuous:
            return Actions(np.clip(values, -3, 3) / 3, np.zeros((len(values), 0), np.int32))
        return Actions(np.zeros((len(values), 0), np.float32), values[:, None].astype(np.int32))

    def learn(self, rollout: Rollout, minibatch: int) -> None:
        rows = len(rollout["actions"])
        for _ in range(EPOCHS):
            for chosen in torch.randperm(rows).split(minibatch):  # type: ignore[no-untyped-call]
                self._step({name: value[chosen] for name, value in rollout.items()})

    def _step(self, part: Rollout) -> None:
        distribution = self.distribution(part["observations"])
        ratio = (distribution.log_prob(part["actions"]) - part["logp"]).exp()
        advantages = part["advantages"]
        policy_loss = -torch.min(advantages * ratio, advantages * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
        value_loss = (self.critic(part["observations"]).squeeze(1) - part["returns"]).square().mean()
        loss = policy_loss + VALUE * value_loss - ENTROPY * distribution.entropy().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()


def _layers(inputs: int, outputs: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for _ in range(LAYERS):
        parts += [nn.Linear(inputs, HIDDEN), nn.SiLU()]
        inputs = HIDDEN
    return nn.Sequential(*parts, nn.Linear(inputs, outputs))


class Player:
    """Plays one build: whoever asks decides, one row each. `ahead[row]`: the row of the same agent's next decision."""

    def __init__(self, client: UnityClient, policy: Policy, name: str, first: BehaviorStep) -> None:
        self._client, self._policy, self._name, self._waiting = client, policy, name, first.decisions

    def play(self, rows: int) -> Rollout:
        parts: list[tuple[torch.Tensor, ...]] = []
        rewards, ahead, last_row = [0.0] * rows * 2, [OPEN] * rows * 2, dict[int, int]()
        count = 0
        with torch.no_grad():
            while count < rows:
                ids = self._waiting.agent_ids.tolist()
                parts.append(self._decide())
                for row, agent in enumerate(ids, count):
                    last_row[agent] = row
                count += len(ids)
                self._credit(parts[-1][1], last_row, rewards, ahead, count)
            seen, actions, logp, values = (torch.cat(column) for column in zip(*parts, strict=True))
            following = self._policy.critic(_tensor(self._waiting)).squeeze(1).tolist()
            advantages = _advantages(rewards, values.tolist(), ahead, count, following)
        standard = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        returns = advantages + values
        return {"observations": seen, "actions": actions, "logp": logp, "advantages": standard, "returns": returns}

    def _decide(self) -> tuple[torch.Tensor, ...]:
        seen = _tensor(self._waiting)
        if not len(seen):
            return seen, self._policy.distribution(seen).sample(), torch.zeros(0), torch.zeros(0)
        distribution = self._policy.distribution(seen)
        chosen = distribution.sample()
        return seen, chosen, distribution.log_prob(chosen), self._policy.critic(seen).squeeze(1)

    def _credit(
        self, chosen: torch.Tensor, last_row: dict[int, int], rewards: list[float], ahead: list[int], count: int
    ) -> None:
        """Act; what came of it belongs to the rows before."""
        step = self._client.step({self._name: self._policy.as_unity(chosen)})[self._name]
        for agent, reward in zip(step.terminals.agent_ids.tolist(), step.terminals.rewards.tolist(), strict=True):
            if (row := last_row.pop(agent, None)) is not None:
                rewards[row] += reward
                ahead[row] = ENDED
        for offset, (agent, reward) in enumerate(
            zip(step.decisions.agent_ids.tolist(), step.decisions.rewards.tolist(), strict=True)
        ):
            if agent in last_row:
                rewards[last_row[agent]] += reward
                ahead[last_row[agent]] = count + offset
        self._waiting = step.decisions


def _tensor(decisions: DecisionBatch) -> torch.Tensor:
    return torch.from_numpy(np.array(decisions.observations[0]))


def _advantages(
    rewards: list[float], values: list[float], ahead: list[int], count: int, following: list[float]
) -> torch.Tensor:
    """Generalised; rows that are neither ended nor continued are worth what was expected."""
    advantages = [0.0] * (count + len(following))
    values = values + following
    for row in range(count - 1, -1, -1):
        after = ahead[row]
        if after != OPEN:
            value_after, advantage_after = (values[after], advantages[after]) if after != ENDED else (0.0, 0.0)
            advantages[row] = rewards[row] + GAMMA * value_after - values[row] + GAMMA * LAMBDA * advantage_after
    return torch.tensor(advantages[:count])


def main() -> None:
    program, cell, threads = Path(sys.argv[1]), Cell(**json.loads(sys.argv[3])), int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    arguments = ["--agents", str(cell.agents)]
    with UnityClient(program, arguments=arguments, graphics=False, seed=1, time_scale=20.0) as client:
        (name, first), *_ = client.reset().items()
        policy = Policy(client.specs[name])
        player = Player(client, policy, name, first)
        began, marks = time.monotonic(), []
        for update in range(1, cell.own_steps // cell.batch + 1):
            policy.learn(player.play(cell.batch), cell.minibatch)
            marks.append((update * cell.batch, time.monotonic() - began))
    sys.stdout.write("\n" + json.dumps({"marks": marks}) + "\n")


if __name__ == "__main__":
    main()
