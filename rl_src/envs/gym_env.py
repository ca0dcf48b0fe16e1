"""A scene with one agent as a gymnasium environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Unpack

import gymnasium as gym

from rl_src.envs.multi_agent import MultiAgentScene, MultiAgentStep, qualified_behavior_of
from rl_src.envs.seeded_build import BuildOptions, UnsuitableSceneError
from rl_src.envs.spaces import Observation


class UnityEnv(gym.Env[Observation, Any]):
    """One behavior, one agent. `step` plays on until the agent decides again or its episode ends.

    The info holds what `MultiAgentStep.infos` says; `info["action_mask"]` goes into `action_space.sample(mask=...)`.

    Args:
        executable: the program, as `unpack_build` returns it.
        seed: of the scene's random numbers, until `reset` names another.
        group_rewards: rewards are the agent's own and its group's; False: its own alone.
        options: for the client (`BuildOptions`).

    Raises:
        UnityEnvironmentError: the build did not come up.
        UnsuitableSceneError: the scene has several agents or behaviors.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]  # gymnasium's is no ClassVar

    def __init__(
        self, executable: Path | str, *, seed: int = 0, group_rewards: bool = True, **options: Unpack[BuildOptions]
    ) -> None:
        self._scene = MultiAgentScene(executable, seed=seed, group_rewards=group_rewards, options=options)
        self._agent = ""
        try:
            self._behavior = self._only_behavior()
            self.observation_space = self._scene.observation_space(self._behavior)
            self.action_space = self._scene.action_space(self._behavior)
        except BaseException:
            self.close()
            raise

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        After an episode's end the scene has begun the next one by itself, and this is where it goes on. In the middle
        of an episode the scene is reset.

        Args:
            seed: of the scene's random numbers. A build takes its seed only when it starts: this starts it anew, unless
                it has just been started with this seed.
            options: environment parameters by name, numbers or samplers. They stay; the scene is reset to apply them.
        """
        super().reset(seed=seed)
        step = self._scene.reset(seed, options)
        self._agent = self._only_agent(step)
        return step.observations[self._agent], step.infos[self._agent]

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act.

        Raises:
            ValueError: the action is not of the space; nothing was sent.
            ResetNeeded: the episode is over.
        """
        step = self._scene.step({self._agent: action})
        agent = self._agent
        if not step.over and self._only_agent(step) != agent:
            raise _not_alone("agents that take turns")
        return (
            step.observations[agent],
            step.rewards[agent],
            step.terminated[agent],
            step.truncated[agent],
            step.infos[agent],
        )

    def statistics(self) -> dict[str, list[float]]:
        """What the game recorded by its StatsRecorder since the last call."""
        return self._scene.statistics()

    def close(self) -> None:
        """End the build. May be called twice."""
        self._scene.close()

    def _only_behavior(self) -> str:
        (behavior, *others) = self._scene.specs
        if others:
            raise _not_alone(f"agents of {len(others) + 1} behaviors ({', '.join(self._scene.specs)})")
        return behavior

    def _only_agent(self, step: MultiAgentStep) -> str:
        agents = self._scene.open_agents
        if len(agents) > 1:
            raise _not_alone(f"{len(agents)} agents")
        if qualified_behavior_of(agents[0]) != self._behavior:
            raise _not_alone(f"agents of the behaviors {self._behavior} and {qualified_behavior_of(agents[0])}")
        assert step.waiting == agents
        return agents[0]


def _not_alone(what: str) -> UnsuitableSceneError:
    return UnsuitableSceneError(
        f"UnityEnv plays a scene with one agent; this one has {what}.",
        "Use UnityVectorEnv for several agents of one behavior, UnityParallelEnv or UnityMultiAgentEnv for several "
        "behaviors.",
    )
