"""A scene of any behaviors and teams as an RLlib multi-agent environment."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.utils.typing import MultiAgentDict

from rl_src.envs.multi_agent import MultiAgentScene, MultiAgentStep, behavior_of, qualified_behavior_of
from rl_src.envs.seeded_build import BuildOptions
from rl_src.envs.spaces import Observation

_ALL = "__all__"
_IDS_AN_AGENT = 10
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

    RLlib wants to know all agent ids beforehand, and lets none come back within an episode. So an agent that begins
    anew has the next number; numbers begin at 0 with each RLlib episode, and there are `agent_ids` of them.

    RLlib's episode is over when no agent's episode is open, as after a match. Where agents end one by one that moment
    may never come. So the episode is also cut when numbers run out, and after `episode_steps`: open episodes are
    truncated, and the scene, which is not reset, plays on with the same agents under other ids in the next one. What an
    agent earns that skips that very decision comes with its first step after the cut.

    Args:
        config: of the environment (`AlgorithmConfig.environment(env_config=...)`), with the keys

            - `executable`: the program, as `unpack_build` returns it.
            - `behaviors`: those that have no agents at first, qualified or not: RLlib needs all spaces beforehand.
            - `episode_steps`: after so many steps of the scene RLlib's episode is cut; none by default.
            - `agent_ids`: of each behavior; 10 for each agent of the scene by default.
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
        self._episode_steps: int | None = options.pop("episode_steps", None)
        agent_ids: int | None = options.pop("agent_ids", None)
        seed = options.pop("seed", 0) + _SEEDS_APART * (getattr(config, "worker_index", None) or 0) + next(_instances)
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
        self._agent_ids_each = agent_ids or _IDS_AN_AGENT * max(1, sum(self._scene.agents_at_first().values()))
        possible = {f"{name}/{number}": name for name in self._scene.specs for number in range(self._agent_ids_each)}
        self.possible_agents = list(possible)
        try:
            self.observation_spaces = {agent: self._scene.observation_space(name) for agent, name in possible.items()}
            self.action_spaces = {agent: self._scene.action_space(name) for agent, name in possible.items()}
        except BaseException:
            self.close()
            raise
        self.agents = []
        self._steps = 0
        self._seen: dict[str, tuple[Observation, dict[str, Any]]] = {}
        super().__init__()  # type: ignore[no-untyped-call]

    def reset(  # type: ignore[override]  # as RLlib's own
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
        return cast(tuple[MultiAgentDict, MultiAgentDict], (step.observations, step.infos))

    def step(self, action_dict: MultiAgentDict) -> Told:  # type: ignore[override]  # as RLlib's own
        """Act for every agent that waits.

        Raises:
            ValueError: actions that are missing, too many, or not of the space; nothing was sent.
        """
        step = self._scene.step({str(agent): action for agent, action in action_dict.items()})
        self._note(step)
        self._steps += 1
        terminated, truncated = {**step.terminated}, {**step.truncated}
        cut = not step.over and self._must_cut()
        if cut:
            self._cut(step, truncated)
        terminated[_ALL], truncated[_ALL] = step.over, cut
        return cast(Told, (step.observations, step.rewards, terminated, truncated, step.infos))

    def close(self) -> None:
        """End the build. May be called twice."""
        self._scene.close()

    def _note(self, step: MultiAgentStep) -> None:
        """Who is there, those included who have just left; and what each saw last."""
        ended = [agent for agent in step.observations if step.terminated[agent] or step.truncated[agent]]
        self.agents = [*(() if step.over else self._scene.open_agents), *ended]
        for agent in ended:
            self._seen.pop(agent, None)
        self._seen |= {agent: (step.observations[agent], step.infos[agent]) for agent in step.waiting}

    def _must_cut(self) -> bool:
        if self._episode_steps is not None and self._steps >= self._episode_steps:
            return True
        # Every agent that is there may end in the next step, and begin anew.
        needed = Counter(map(qualified_behavior_of, self._scene.open_agents)) + Counter(self._scene.begun)
        return max(needed.values()) > self._agent_ids_each

    def _cut(self, step: MultiAgentStep, truncated: dict[str, bool]) -> None:
        """Truncate every open episode. RLlib bootstraps from a last observation, of those that do not wait, too."""
        for agent in self._scene.open_agents:
            observation, info = self._seen[agent]
            truncated[agent] = True
            step.observations.setdefault(agent, observation)
            step.infos.setdefault(agent, {**info, "reward": 0.0, "group_reward": 0.0})
            step.rewards.setdefault(agent, 0.0)
        self._scene.cut(step)
