"""All agents of a scene, of one behavior, as a gymnasium vector environment: one slot an agent, one batch a step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from rl_src.envs.batches import BoolArray
from rl_src.envs.multi_agent import Undecided
from rl_src.envs.seeded_build import (
    STEPS_WITHOUT_AGENTS,
    BuildOptions,
    SceneStep,
    SeededBuild,
    UnsuitableSceneError,
    nobody_asks,
)
from rl_src.envs.slots import Slots, SlotStep, several_behaviors
from rl_src.envs.spaces import Observation, action_space, observation_space, sample_batch, unity_actions_of_batch
from rl_src.envs.specs import BehaviorSpec


class UnityVectorEnv(gym.vector.VectorEnv[Observation, Any, npt.NDArray[Any]]):
    """One behavior (all its teams), `num_envs` slots; an agent keeps its slot for an episode.

    Autoreset is `SAME_STEP`: when an episode ends and the next begins in the same message, the slot's observation is
    already the next episode's, and the last one is in `info["final_obs"]`, its info in `info["final_info"]`.

    A step plays on until at least one slot decides. `info["deciding"]` [N] says which do: the others keep their
    observation, get the reward 0, and their next action is ignored. A slot whose agent ended and has not come back yet
    does not decide either. What an agent earned before its first decision is added to the reward of its first step; an
    episode that ends before its agent was ever asked has no slot and is only counted in `undecided`.

    Infos, [N] each: `deciding`, `agent_id` (-1: free slot), `reward` (the agent's own), `group_reward`, `group_id`;
    with discrete branches `action_mask` [N, sum of branches], True = allowed; `sample_actions` keeps to it.

    Args:
        executable: the program, as `unpack_build` returns it.
        num_envs: slots; left out, as many as agents decide at first. Name it when agents appear late.
        seed: of the scene's random numbers, until `reset` names another.
        group_rewards: rewards are the agent's own and its group's; False: its own alone.
        options: for the client (`BuildOptions`).

    Raises:
        UnityEnvironmentError: the build did not come up.
        UnsuitableSceneError: the scene has several behaviors.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # gymnasium's is no ClassVar
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        executable: Path | str,
        *,
        num_envs: int | None = None,
        seed: int = 0,
        group_rewards: bool = True,
        **options: Unpack[BuildOptions],
    ) -> None:
        self._group_rewards = group_rewards
        self.undecided = Undecided()
        self._build = SeededBuild(executable, seed=seed, options=options)
        try:
            self.behavior: BehaviorSpec = self._only_behavior()
            self.num_envs = num_envs or self._agents_at_first()
            self.single_observation_space = observation_space(self.behavior)
            self.single_action_space = action_space(self.behavior.actions)
        except BaseException:
            self._build.close()
            raise
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._slots: Slots | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin all episodes anew.

        Args:
            seed: of the one scene. A build takes its seed only when it starts: this starts it anew, unless it has just
                been started with this seed.
            options: environment parameters by name, numbers or samplers. They stay.
        """
        super().reset(seed=seed)
        self._slots = Slots(self.behavior, self.num_envs, self.undecided)
        step = self._play(self._slots, self._build.begin(seed, options))
        return self._slots.observation(), self._infos(self._slots, step)

    def step(self, actions: Any) -> tuple[Observation, npt.NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]:
        """Act: one row a slot; rows of slots that do not decide are ignored.

        Returns:
            observations, rewards [N], terminations [N], truncations [N], infos.

        Raises:
            ValueError: actions that are not of the space; nothing was sent.
            ResetNeeded: reset was never called.
        """
        slots = self._slots
        if slots is None:
            raise ResetNeeded("Call reset first.")
        kinds = self.behavior.actions
        exchange = self._build.step(
            {name: unity_actions_of_batch(kinds, actions, rows) for name, rows in slots.waiting.items()}
        )
        step = self._play(slots, exchange)
        rewards = step.rewards + step.group_rewards if self._group_rewards else step.rewards.copy()
        return slots.observation(), rewards, step.terminations, step.truncations, self._infos(slots, step)

    def sample_actions(self) -> Any:
        """Random actions that the masks allow, by the action space's generator: `action_space.seed` seeds it."""
        mask = None if self._slots is None else self._slots.action_mask
        return sample_batch(self.behavior.actions, mask, self.num_envs, self.action_space.np_random)

    def statistics(self) -> dict[str, list[float]]:
        """What the game recorded by its StatsRecorder since the last call."""
        return self._build.statistics()

    def close_extras(self, **kwargs: Any) -> None:
        """End the build."""
        self._build.close()

    def _only_behavior(self) -> BehaviorSpec:
        specs = self._build.specs
        if len({spec.behavior_name for spec in specs.values()}) > 1:
            raise several_behaviors(sorted(specs))
        return next(iter(specs.values()))

    def _agents_at_first(self) -> int:
        number = sum(len(item.decisions) for item in self._build.opening.values())
        if not number:
            raise UnsuitableSceneError("No agent asks for a decision at first.", "Pass num_envs.")
        return number

    def _play(self, slots: Slots, exchange: SceneStep) -> SlotStep:
        """Enter the exchange, and play on until somebody decides."""
        step = SlotStep(self.num_envs)
        for _ in range(STEPS_WITHOUT_AGENTS):
            slots.take(exchange, step)
            if slots.waiting:
                return step
            exchange = self._build.step({})
        raise nobody_asks()

    def _infos(self, slots: Slots, step: SlotStep) -> dict[str, Any]:
        everyone = np.ones(self.num_envs, np.bool_)
        values: dict[str, npt.NDArray[Any]] = {
            "deciding": slots.deciding.copy(),
            "agent_id": slots.agent_ids.copy(),
            "reward": step.rewards,
            "group_reward": step.group_rewards,
            "group_id": slots.group_ids.copy(),
        }
        if slots.action_mask is not None:
            values["action_mask"] = slots.action_mask.copy()
        infos = _masked(values, everyone)
        if step.final_observations:
            final = np.full(self.num_envs, None, object)
            for slot, observation in step.final_observations.items():
                final[slot] = observation
            infos |= {"final_obs": final, "_final_obs": step.ended.copy()}
            infos |= {"final_info": _masked(step.final_info, step.ended), "_final_info": step.ended.copy()}
        return infos


def _masked(values: Mapping[str, npt.NDArray[Any]], valid: BoolArray) -> dict[str, Any]:
    """As gymnasium's vector environments give infos: beside each key `_key`, which says whose values are set."""
    return {**values, **{f"_{key}": valid for key in values}}
