"""A scene of any behaviors and teams as a PettingZoo parallel environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Unpack

import gymnasium as gym
from pettingzoo import ParallelEnv  # type: ignore[import-untyped]  # ships no types

from rl_src.envs.multi_agent import MultiAgentScene, MultiAgentStep, qualified_behavior_of
from rl_src.envs.seeded_build import STEPS_WITHOUT_AGENTS, BuildOptions, UnsuitableSceneError, nobody_asks
from rl_src.envs.spaces import Observation, action_space, observation_space

Told = tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]


class UnityParallelEnv(ParallelEnv[str, Observation, Any]):  # type: ignore[misc]  # Any without its types
    """Every agent of the scene has a fixed name: "<behavior>?team=<team>/<slot>", for example "Striker?team=1/0".

    PettingZoo knows one episode for all: an agent that ends leaves, and nobody comes back before `reset`. Unity's
    agents end and begin one by one. So one episode here is one episode of each agent:

    - An agent whose episode ends leaves `agents`. If it begins anew while others still play, it does nothing until
      `reset` (zeros, and the first choice that is allowed), and what it earns then belongs to nobody.
    - An agent that appears late joins `agents` when it first decides.
    - The episode is over when `agents` is empty. If all episodes have ended together, as in a match, `reset` goes on
      with the match that the scene has begun by itself; otherwise it resets the scene.

    A step plays on until one of `agents` decides or ends. Those that do not decide keep their observation, get the
    reward 0, and their action is ignored: `info["deciding"]`. The rest of the info is `MultiAgentStep.infos`.

    Args:
        executable: the program, as `unpack_build` returns it.
        agents: how many agents each behavior has at one time; a name without a team stands for each team. Left out:
            those that decide at first. Name them when agents or behaviors appear late.
        seed: of the scene's random numbers, until `reset` names another.
        group_rewards: rewards are the agent's own and its group's; False: its own alone.
        options: for the client (`BuildOptions`).

    Raises:
        UnityEnvironmentError: the build did not come up.
        UnsuitableSceneError: there are no agents of a behavior in `agents`.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "unity",
        "render_modes": [],
        "is_parallelizable": True,
    }
    render_mode = None

    def __init__(
        self,
        executable: Path | str,
        *,
        agents: Mapping[str, int] | None = None,
        seed: int = 0,
        group_rewards: bool = True,
        **options: Unpack[BuildOptions],
    ) -> None:
        self._scene = MultiAgentScene(
            executable, seed=seed, group_rewards=group_rewards, behaviors=tuple(agents or {}), options=options
        )
        self._places = self._scene.agents_at_first() if agents is None else self._numbers(agents)
        self.possible_agents = [f"{name}/{slot}" for name, number in self._places.items() for slot in range(number)]
        specs = {agent: self._scene.specs[qualified_behavior_of(agent)] for agent in self.possible_agents}
        try:
            self.observation_spaces = {agent: observation_space(spec) for agent, spec in specs.items()}
            self.action_spaces = {agent: action_space(spec.actions) for agent, spec in specs.items()}
        except BaseException:
            self.close()
            raise
        self.agents: list[str] = []
        self._seats: dict[str, str] = {}  # the scene's agent -> its name here, of those that play
        self._left: dict[str, list[str]] = {}  # behavior -> names that have not played yet
        self._waiting: list[str] = []  # the scene's agents
        self._seen: dict[str, Observation] = {}

    def observation_space(self, agent: str) -> gym.Space[Any]:
        """Always the same object for the same agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gym.Space[Any]:
        """Always the same object for the same agent."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begin an episode of each agent.

        Args:
            seed: of the scene's random numbers. A build takes its seed only when it starts: this starts it anew, unless
                it has just been started with this seed.
            options: environment parameters by name, numbers or samplers. They stay; the scene is reset to apply them.
        """
        step = self._scene.reset(seed, options)
        self.agents, self._seats = [], {}
        self._left = {name: [f"{name}/{slot}" for slot in range(number)] for name, number in self._places.items()}
        told: Told = ({}, {}, {}, {}, {})
        self._enter(step, told)
        return told[0], told[4]

    def step(self, actions: Mapping[str, Any]) -> Told:
        """Act: an action for each of `agents`.

        Raises:
            ValueError: actions that are missing or not of the space; nothing was sent.
        """
        told: Told = ({}, {}, {}, {}, {})
        playing = list(self.agents)
        if not playing:
            return told
        step = self._act(actions)
        for _ in range(STEPS_WITHOUT_AGENTS):
            self._enter(step, told)
            if told[0] or not self.agents:
                break
            step = self._scene.step({}, idle=self._waiting)
        else:
            raise nobody_asks()
        for agent in playing:
            if agent not in told[0]:
                self._tell(told, agent, self._seen[agent], 0.0, (False, False), {"deciding": False})
        return told

    def render(self) -> None:
        """Builds draw on their own display, if on any."""

    def statistics(self) -> dict[str, list[float]]:
        """What the game recorded by its StatsRecorder since the last call."""
        return self._scene.statistics()

    def close(self) -> None:
        """End the build. May be called twice."""
        self._scene.close()

    def _numbers(self, agents: Mapping[str, int]) -> dict[str, int]:
        return {name: agents.get(name, agents.get(spec.behavior_name, 0)) for name, spec in self._scene.specs.items()}

    def _act(self, actions: Mapping[str, Any]) -> MultiAgentStep:
        own = {agent: self._seats[agent] for agent in self._waiting if agent in self._seats}
        missing = [name for name in own.values() if name not in actions]
        if missing:
            raise ValueError(f"Actions are missing for {', '.join(missing)}.")
        idle = [agent for agent in self._waiting if agent not in self._seats]
        return self._scene.step({agent: actions[name] for agent, name in own.items()}, idle)

    def _enter(self, step: MultiAgentStep, told: Told) -> None:
        """Tell the agents what the scene told, under their names here."""
        self._waiting = step.waiting
        self._check_numbers()
        for agent, observation in step.observations.items():
            name = self._seats.get(agent) or self._seat(agent)
            if name is None:
                continue
            ends = step.terminated[agent], step.truncated[agent]
            info = {**step.infos[agent], "deciding": not any(ends)}
            self._tell(told, name, observation, step.rewards[agent], ends, info)
            if any(ends):
                self.agents.remove(name)
                del self._seats[agent]

    def _seat(self, agent: str) -> str | None:
        """A place for an agent that begins; none when all of its behavior's have been played in."""
        left = self._left.get(qualified_behavior_of(agent))
        if not left:
            return None
        name = self._seats[agent] = left.pop(0)
        self.agents.append(name)
        return name

    def _tell(
        self,
        told: Told,
        name: str,
        observation: Observation,
        reward: float,
        ends: tuple[bool, bool],
        info: dict[str, Any],
    ) -> None:
        observations, rewards, terminated, truncated, infos = told
        self._seen[name] = observations[name] = observation
        rewards[name] = reward
        terminated[name], truncated[name] = ends
        infos[name] = info

    def _check_numbers(self) -> None:
        counts: dict[str, int] = {}
        for agent in self._scene.open_agents:
            behavior = qualified_behavior_of(agent)
            counts[behavior] = counts.get(behavior, 0) + 1
        for behavior, number in counts.items():
            if number > self._places.get(behavior, 0):
                raise UnsuitableSceneError(
                    f"The scene has {number} agents of {behavior}; the environment was made for "
                    f"{self._places.get(behavior, 0)}.",
                    f"Say how many each behavior has at one time: agents={{{behavior!r}: {number}, ...}}.",
                )
