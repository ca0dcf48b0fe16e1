"""A scene of any behaviors and teams as an RLlib multi-agent environment."""

import itertools
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import gymnasium as gym
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.utils.typing import AgentID, MultiAgentDict

from rl_src.envs.multi_agent import MultiAgentScene, MultiAgentStep, behavior_of, qualified_behavior_of
from rl_src.envs.seeded_build import BuildOptions
from rl_src.envs.spaces import Observation

_ALL = "__all__"
_SEEDS_APART = 1_000
"""Between the seeds of two workers; none has so many environments."""

_instances = itertools.count()
"""Counts the environments of a process: RLlib gives those of one worker the same EnvContext."""

Told: TypeAlias = tuple[MultiAgentDict, MultiAgentDict, MultiAgentDict, MultiAgentDict, MultiAgentDict]
"""Observations, rewards, terminated, truncated, infos."""


def policy_mapping(agent_id: str, *args: Any, **kwargs: Any) -> str:
    """For `AlgorithmConfig.multi_agent(policy_mapping_fn=...)`: one policy a behavior, whatever the team."""
    return behavior_of(agent_id)


class UnityMultiAgentEnv(MultiAgentEnv):
    """All agents of one build. An agent id, "<behavior>?team=<team>/<number>", lives for one of Unity's episodes.

    RLlib lets no agent come back within an episode, so an agent that begins anew has the next number. Numbers begin at
    0 with each RLlib episode: RLlib keeps metrics of every agent id that it has ever seen.

    RLlib's episode is over when no agent's episode is open, as after a match; `reset` then goes on with what the scene
    has begun by itself. Where agents end one by one that moment may never come: `max_scene_steps` truncates all open
    episodes and resets the scene after so many steps. RLlib's returns and episode counts need one or the other.

    The spaces of a behavior stand under its qualified name in `observation_spaces` and `action_spaces`.

    Args:
        config: of the environment (`AlgorithmConfig.environment(env_config=...)`), with the keys

            - `executable`: the program, as `unpack_build` returns it.
            - `behaviors`: those that have no agents at first, qualified or not: RLlib needs all spaces beforehand.
            - `max_scene_steps`: see above; none by default.
            - `seed`: 0 by default; each worker and each environment gets one of its own from it.
            - `group_rewards`: rewards are the agent's own and its group's, by default; false: its own alone.
            - whatever else `BuildOptions` has.

    Raises:
        UnityEnvironmentError: the build did not come up.
        UnsuitableSceneError: a behavior of `behaviors` did not appear.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        options = dict(config)
        executable, behaviors = options.pop("executable"), options.pop("behaviors", ())
        self._max_scene_steps: int | None = options.pop("max_scene_steps", None)
        seed = options.pop("seed", 0) + _SEEDS_APART * getattr(config, "worker_index", 0) + next(_instances)
        group_rewards = options.pop("group_rewards", True)
        unknown = options.keys() - BuildOptions.__annotations__.keys()
        if unknown:
            raise ValueError(f"Unknown keys of the environment's config: {', '.join(sorted(unknown))}.")
        self._scene = MultiAgentScene(
            executable,
            seed=seed,
            group_rewards=group_rewards,
            behaviors=behaviors,
            options=cast(BuildOptions, options),
        )
        behaviors = list(self._scene.specs)
        self.possible_agents = behaviors
        self.observation_spaces = {name: self._scene.observation_space(name) for name in behaviors}
        self.action_spaces = {name: self._scene.action_space(name) for name in behaviors}
        self.agents = []
        self._steps = 0
        self._seen: dict[str, Observation] = {}
        super().__init__()  # type: ignore[no-untyped-call]

    def get_observation_space(self, agent_id: AgentID) -> gym.Space[Any]:
        """Of an agent, or of a behavior by its qualified name."""
        return self._scene.observation_space(self._behavior(agent_id))

    def get_action_space(self, agent_id: AgentID) -> gym.Space[Any]:
        """Of an agent, or of a behavior by its qualified name."""
        return self._scene.action_space(self._behavior(agent_id))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[MultiAgentDict, MultiAgentDict]:
        """Begin an episode of RLlib's.

        Args:
            seed: start the build anew with it, unless that has just been done.
            options: environment parameters by name, numbers or samplers. They stay; the scene is reset to apply them.
        """
        super().reset(seed=seed, options=options)
        step = self._scene.reset(seed, options)
        self._steps, self._seen = 0, {}
        self._note(step)
        return {**step.observations}, {**step.infos}

    def step(self, action_dict: MultiAgentDict) -> Told:  # type: ignore[override]  # as RLlib's own
        """Act for every agent that waits.

        Raises:
            ValueError: actions that are missing, too many, or not of the space; nothing was sent.
        """
        step = self._scene.step({str(agent): action for agent, action in action_dict.items()})
        self._note(step)
        self._steps += 1
        terminated, truncated = {**step.terminated}, {**step.truncated}
        cut = not step.over and self._max_scene_steps is not None and self._steps >= self._max_scene_steps
        if cut:
            self._cut(step, truncated)
        terminated[_ALL], truncated[_ALL] = step.over, cut
        return {**step.observations}, {**step.rewards}, {**terminated}, {**truncated}, {**step.infos}

    def close(self) -> None:
        """End the build. May be called twice."""
        self._scene.close()

    def _behavior(self, agent_id: AgentID) -> str:
        name = str(agent_id)
        return name if name in self._scene.specs else qualified_behavior_of(name)

    def _note(self, step: MultiAgentStep) -> None:
        """Who is there, those included who have just left; and what each saw last."""
        ended = [agent for agent in step.observations if step.terminated[agent] or step.truncated[agent]]
        self.agents = [*(() if step.over else self._scene.open_agents), *ended]
        for agent in ended:
            self._seen.pop(agent, None)
        self._seen.update({agent: step.observations[agent] for agent in step.waiting})

    def _cut(self, step: MultiAgentStep, truncated: dict[str, bool]) -> None:
        """Truncate every open episode. RLlib bootstraps from a last observation, of those that do not wait, too."""
        for agent in self._scene.open_agents:
            truncated[agent] = True
            step.observations.setdefault(agent, self._seen[agent])
            step.rewards.setdefault(agent, 0.0)
