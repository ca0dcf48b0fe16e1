"""All agents of a scene by name: dictionaries in, dictionaries out, without a framework.

The environment for one agent, RLlib's and PettingZoo's are made of it.

An agent id is "<behavior>?team=<team>/<number>", for example "Striker?team=1/0", and lives as long as one of Unity's
episodes: when the agent begins anew it comes back under the next number. Numbers begin at 0 with each reset, so that a
run of any length has few of them; the id on the wire is in `info["agent_id"]`.

What an agent earned before its first decision is added to the reward of its first step, so that its return is Unity's
cumulative reward. An episode that ends before its agent was ever asked has no step: it is only counted (`undecided`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.error import ResetNeeded

from rl_src.envs.batches import Actions, DecisionBatch, TerminalBatch
from rl_src.envs.seeded_build import STEPS_WITHOUT_AGENTS, BuildOptions, SceneStep, SeededBuild, nobody_asks
from rl_src.envs.spaces import (
    Observation,
    action_space,
    first_allowed_actions,
    observation_space,
    rows_of,
    sampling_mask,
    unity_actions,
)
from rl_src.envs.specs import BehaviorSpec


def behavior_of(agent_id: str) -> str:
    """The behavior name in an agent id: "Striker?team=1/0" -> "Striker". One policy plays it, whatever the team."""
    return agent_id.partition("?")[0]


def qualified_behavior_of(agent_id: str) -> str:
    """The behavior name with its team: "Striker?team=1/0" -> "Striker?team=1"."""
    return agent_id.rpartition("/")[0]


@dataclass
class MultiAgentStep:
    """What agents were told. Those that neither wait nor ended (they skip decisions) are in no dictionary."""

    waiting: list[str] = field(default_factory=list)
    """Agents that need an action in the next step."""
    over: bool = False
    """No episode is open any more; `reset` goes on."""
    observations: dict[str, Observation] = field(default_factory=dict)
    """Of agents that wait, and the final one of those that ended."""
    rewards: dict[str, float] = field(default_factory=dict)
    """Since the agent's last decision."""
    terminated: dict[str, bool] = field(default_factory=dict)
    truncated: dict[str, bool] = field(default_factory=dict)
    infos: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`agent_id` on the wire, `reward` (the agent's own), `group_reward`, `group_id` (0: none), and with discrete
    branches, for agents that wait, `action_mask` for the `sample` of the agent's action space."""


@dataclass
class Undecided:
    """Episodes that ended before their agent was asked for a decision, and what was earned in them."""

    episodes: int = 0
    reward: float = 0.0
    group_reward: float = 0.0

    def add(self, reward: float, group_reward: float) -> None:
        """Count one."""
        self.episodes += 1
        self.reward += reward
        self.group_reward += group_reward


class MultiAgentScene:
    """One running build, all behaviors. Close it.

    Args:
        executable: the program, as `unpack_build` returns it.
        seed: of the scene's random numbers.
        group_rewards: rewards are the agent's own and its group's; False: its own alone.
        behaviors: that must be known before the first reset (`SeededBuild`).
        options: for the client.

    Raises:
        UnityEnvironmentError: the build did not come up, or has no such behaviors.
    """

    def __init__(
        self,
        executable: Path | str,
        *,
        seed: int = 0,
        group_rewards: bool = True,
        behaviors: Sequence[str] = (),
        options: BuildOptions | None = None,
    ) -> None:
        self._build = SeededBuild(executable, seed=seed, options=options, behaviors=behaviors)
        self._group_rewards = group_rewards
        self._spaces: dict[str, tuple[gym.Space[Any], gym.Space[Any]]] = {}
        self.undecided = Undecided()
        self._held: MultiAgentStep | None = None  # the beginning of the next episodes, which came with the last end
        self._over = True
        self._earned_before: dict[tuple[str, int], tuple[float, float]] = {}  # behavior, id on the wire -> rewards
        self._forget()

    @property
    def specs(self) -> Mapping[str, BehaviorSpec]:
        """Every behavior seen so far, by fully qualified name."""
        return self._build.specs

    @property
    def begun(self) -> Mapping[str, int]:
        """How many agent ids each behavior has used since the last reset."""
        return self._begun

    @property
    def open_agents(self) -> list[str]:
        """Agents whose episode has begun and not ended, whether they wait or not."""
        return [agent for agents in self._open.values() for agent in agents.values()]

    def agents_at_first(self) -> dict[str, int]:
        """How many agents of each behavior ask first; before the first reset."""
        return {name: len(item.decisions) for name, item in self._build.opening.items()}

    def observation_space(self, behavior: str) -> gym.Space[Any]:
        """Of a behavior by its qualified name; always the same object."""
        return self._spaces_of(behavior)[0]

    def action_space(self, behavior: str) -> gym.Space[Any]:
        """Of a behavior by its qualified name; always the same object."""
        return self._spaces_of(behavior)[1]

    def reset(self, seed: int | None = None, parameters: Mapping[str, Any] | None = None) -> MultiAgentStep:
        """Begin: the first agents that wait.

        When all episodes have ended, the scene has begun anew by itself and simply goes on. Otherwise it is told to,
        and open episodes are abandoned.

        Args:
            seed: start the build anew with it.
            parameters: environment parameters to change before.

        Raises:
            UnsuitableSceneError: no agent asks.
        """
        step, self._held = self._held, None
        if step is None or seed is not None or parameters:
            self._forget()
            self._earned_before.clear()
            step = MultiAgentStep()
            self._begin(self._build.begin(seed, parameters), step)
        self._over = False
        for _ in range(STEPS_WITHOUT_AGENTS):
            if step.waiting:
                return step
            self._begin(self._build.step({}), step)
        raise nobody_asks()

    def step(self, actions: Mapping[str, Any], idle: Collection[str] = ()) -> MultiAgentStep:
        """Act for every agent that waits, and play on until one waits again or none is left.

        Args:
            actions: from each agent's action space.
            idle: agents that wait and shall do nothing: zeros, and the first choice that is allowed.

        Raises:
            ValueError: actions that are missing, too many, or not of the space; nothing was sent.
            ResetNeeded: no episode is open.
        """
        if self._over:
            raise ResetNeeded("No episode is open; call reset first.")
        exchange = self._build.step(self._encoded(actions, idle))
        step = MultiAgentStep()
        for _ in range(STEPS_WITHOUT_AGENTS):
            self._receive(exchange, step)
            if step.waiting or step.over:
                return step
            exchange = self._build.step({})
        raise nobody_asks()

    def cut(self, step: MultiAgentStep) -> None:
        """End the episodes that are open after `step`, without a reset of the scene.

        Their agents play on under other ids: the next `reset` begins with those that wait now.
        """
        waiting = self._waiting
        self._forget()
        self._over, self._held = True, MultiAgentStep()
        for behavior, (decisions, agents) in waiting.items():
            renamed = [self._new_agent(behavior) for _ in agents]
            self._open[behavior] = dict(zip(decisions.agent_ids.tolist(), renamed, strict=True))
            self._waiting[behavior] = decisions, renamed
            self._held.waiting += renamed
            for agent, name in zip(agents, renamed, strict=True):
                self._held.observations[name] = step.observations[agent]
                self._held.rewards[name] = 0.0
                self._held.terminated[name] = self._held.truncated[name] = False
                self._held.infos[name] = {**step.infos[agent], "reward": 0.0, "group_reward": 0.0}

    def statistics(self) -> dict[str, list[float]]:
        """What the game recorded by its StatsRecorder since the last call."""
        return self._build.statistics()

    def close(self) -> None:
        """End the build. May be called twice."""
        self._build.close()

    def _spaces_of(self, behavior: str) -> tuple[gym.Space[Any], gym.Space[Any]]:
        if behavior not in self._spaces:
            spec = self.specs[behavior]
            self._spaces[behavior] = observation_space(spec), action_space(spec.actions)
        return self._spaces[behavior]

    def _forget(self) -> None:
        self._open: dict[str, dict[int, str]] = {}  # behavior -> id on the wire -> agent
        self._waiting: dict[str, tuple[DecisionBatch, list[str]]] = {}
        self._begun: dict[str, int] = {}

    def _encoded(self, actions: Mapping[str, Any], idle: Collection[str]) -> dict[str, Actions]:
        waiting = {agent for _, agents in self._waiting.values() for agent in agents}
        if waiting != actions.keys() | set(idle):
            raise ValueError(
                f"These agents wait for actions: {', '.join(sorted(waiting))}; actions were given for: "
                f"{', '.join(sorted({*actions, *idle})) or 'none'}."
            )
        return {name: self._encoded_of(name, *waiting, actions) for name, waiting in self._waiting.items()}

    def _encoded_of(
        self, behavior: str, decisions: DecisionBatch, agents: Sequence[str], actions: Mapping[str, Any]
    ) -> Actions:
        kinds = self.specs[behavior].actions
        acting = [row for row, agent in enumerate(agents) if agent in actions]
        chosen = unity_actions(kinds, [actions[agents[row]] for row in acting])
        if len(acting) == len(agents):
            return chosen
        everyone = first_allowed_actions(kinds, decisions)
        everyone.continuous[acting], everyone.discrete[acting] = chosen.continuous, chosen.discrete
        return everyone

    def _begin(self, exchange: SceneStep, step: MultiAgentStep) -> None:
        """No episode is open: whatever ends here was never asked."""
        for name, item in exchange.items():
            self._end(name, item.terminals, step)
        self._ask(exchange, step)

    def _receive(self, exchange: SceneStep, step: MultiAgentStep) -> None:
        for name, item in exchange.items():
            self._end(name, item.terminals, step)
        if any(self._open.values()):
            self._ask(exchange, step)
            return
        step.over = self._over = True
        self._begun.clear()
        self._held = MultiAgentStep()
        self._ask(exchange, self._held)

    def _end(self, behavior: str, terminals: TerminalBatch, step: MultiAgentStep) -> None:
        if not len(terminals):
            return
        observations = rows_of(self.specs[behavior], terminals.observations)
        for row, agent_id in enumerate(terminals.agent_ids.tolist()):
            agent = self._open.get(behavior, {}).pop(agent_id, None)
            if agent is None:
                self.undecided.add(*self._earned(behavior, terminals, row))
                continue
            self._tell(step, agent, observations[row], terminals, row, self._earned(behavior, terminals, row))
            truncated = bool(terminals.truncated[row])
            step.terminated[agent], step.truncated[agent] = not truncated, truncated

    def _ask(self, exchange: SceneStep, step: MultiAgentStep) -> None:
        self._waiting = {}
        for name, item in exchange.items():
            decisions = item.decisions
            if not len(decisions):
                continue
            kinds, agents = self.specs[name].actions, []
            observations = rows_of(self.specs[name], decisions.observations)
            for row, agent_id in enumerate(decisions.agent_ids.tolist()):
                agent = self._open.setdefault(name, {}).get(agent_id)
                if agent is None:
                    agent = self._open[name][agent_id] = self._new_agent(name)
                    self._earned_before[name, agent_id] = self._earned(name, decisions, row)
                    self._tell(step, agent, observations[row], decisions, row, (0.0, 0.0))
                else:
                    self._tell(step, agent, observations[row], decisions, row, self._earned(name, decisions, row))
                if decisions.action_mask is not None:
                    step.infos[agent]["action_mask"] = sampling_mask(kinds, decisions.action_mask[row])
                step.terminated[agent] = step.truncated[agent] = False
                agents.append(agent)
            self._waiting[name] = decisions, agents
            step.waiting += agents

    def _new_agent(self, behavior: str) -> str:
        number = self._begun.get(behavior, 0)
        self._begun[behavior] = number + 1
        return f"{behavior}/{number}"

    def _earned(self, behavior: str, batch: DecisionBatch | TerminalBatch, row: int) -> tuple[float, float]:
        """Own and group reward, with what was earned before the first decision."""
        before = self._earned_before.pop((behavior, int(batch.agent_ids[row])), (0.0, 0.0))
        return float(batch.rewards[row]) + before[0], float(batch.group_rewards[row]) + before[1]

    def _tell(
        self,
        step: MultiAgentStep,
        agent: str,
        observation: Observation,
        batch: DecisionBatch | TerminalBatch,
        row: int,
        rewards: tuple[float, float],
    ) -> None:
        reward, group_reward = rewards
        step.observations[agent] = observation
        step.rewards[agent] = reward + group_reward if self._group_rewards else reward
        step.infos[agent] = {
            "agent_id": int(batch.agent_ids[row]),
            "reward": reward,
            "group_reward": group_reward,
            "group_id": int(batch.group_ids[row]),
        }
