"""The env runner: all agents of all scenes decide in one batch for each behavior.

RLlib's own runners step a gymnasium vector env with a fixed number of sub-environments and run their connectors in
every step, which is half of the sampling time for one agent. A scene's agents come and go, end and begin in one
message, and skip steps; behaviors appear late. So the loop is ours; what comes out are RLlib's episodes.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_src.envs.batches import Actions
from rl_src.envs.group import Answer
from rl_src.envs.specs import ActionSpec, BehaviorSpec
from rl_src.training.networks.action_distribution import action_size
from rl_src.training.sampling.sampler import BehaviorSampler
from rl_src.training.sampling.scenes import Scenes


class UnityEnvRunner(EnvRunner):
    """Plays running scenes with one sampler for each behavior.

    Args:
        scenes: the builds, already started; the runner closes them.
        make_sampler: called when a behavior is met for the first time.
        on_team: called when a team of it is: fully qualified behavior, team, sampler.
        interrupt: asked in every step; when true, playing ends early.
        config: RLlib's, of which only its base class reads.
    """

    def __init__(
        self,
        *,
        scenes: Scenes,
        make_sampler: Callable[[BehaviorSpec], BehaviorSampler],
        on_team: Callable[[str, int, BehaviorSampler], None] = lambda name, team, sampler: None,
        interrupt: Callable[[], bool] = lambda: False,
        config: AlgorithmConfig | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(config=config or AlgorithmConfig(), **kwargs)
        self.samplers: dict[str, BehaviorSampler] = {}
        self._scenes = scenes
        self._make_sampler = make_sampler
        self._on_team = on_team
        self._interrupt = interrupt
        self._sampler_of: dict[str, BehaviorSampler] = {}  # by fully qualified name
        self._begun = False
        self._answered: set[int] = set()
        self.build_seconds = 0.0
        """Waited for the builds, ever."""

    def begin(self, first: list[Answer]) -> None:
        """Go on from the answers to a reset."""
        self._receive(dict(enumerate(first)))
        self._begun = True

    def restart(self) -> None:
        """Reset all scenes: what was open has no end."""
        for sampler in self.samplers.values():
            sampler.abandon()
        self._answered.clear()
        self.begin(self._scenes.reset())

    def play_until(self, is_enough: Callable[[], bool]) -> None:
        """Step the scenes until there is enough, or the interrupt."""
        if not self._begun:
            self.begin(self._scenes.reset())
        while not (is_enough() or self._interrupt()):
            self._step()

    def sample(self, *, num_timesteps: int = 1, **kwargs: Any) -> dict[str, list[SingleAgentEpisode]]:
        """Play until some behavior has collected so many decisions; each behavior's episodes."""
        self.play_until(lambda: any(item.decisions >= num_timesteps for item in self.samplers.values()))
        return {name: sampler.take()[0] for name, sampler in self.samplers.items()}

    def assert_healthy(self) -> None:
        """RLlib asks; builds look after themselves."""

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """Observation and action space of each behavior met so far."""
        behaviors = {name: sampler.behavior for name, sampler in self.samplers.items()}
        return {name: (observation_space(item), action_space(item.actions)) for name, item in behaviors.items()}

    def stop(self) -> None:
        """End the builds."""
        self._scenes.close()

    def _step(self) -> None:
        """One decision of every waiting agent; those of builds that have not answered yet wait for the next step."""
        actions: dict[int, dict[str, Actions]] = {index: {} for index in sorted(self._answered)}
        for sampler in self.samplers.values():
            for waiting, own in sampler.decide():
                actions[waiting.index][waiting.name] = own
        self._answered.clear()
        for index, of_scene in actions.items():
            self._scenes.send(index, of_scene)
        sent = time.monotonic()
        answers = self._scenes.receive()
        self.build_seconds += time.monotonic() - sent
        self._receive(answers)

    def _receive(self, answers: Mapping[int, Answer]) -> None:
        self._answered |= answers.keys()
        for index, answer in answers.items():
            if answer.restarted:
                broken = self._scene(index, answer.generation - 1)
                for sampler in self.samplers.values():
                    sampler.abandon(broken)
            scene = self._scene(index, answer.generation)
            for name, step in answer.steps.items():
                if name not in self._sampler_of:
                    self._meet(name)
                self._sampler_of[name].receive(index, scene, name, step)

    def _meet(self, name: str) -> None:
        """A team or a behavior that has not been seen before. Teams of one behavior share its policy."""
        behavior = self._scenes.behaviors()[self._scenes.spec(name).behavior_name]
        if behavior.behavior_name not in self.samplers:
            self.samplers[behavior.behavior_name] = self._make_sampler(behavior)
        sampler = self._sampler_of[name] = self.samplers[behavior.behavior_name]
        self._on_team(name, self._scenes.spec(name).team_id, sampler)

    def _scene(self, index: int, generation: int) -> int:
        """A number of its own for each start of each build: agent ids begin again with every start."""
        return index + generation * len(self._scenes)


def observation_space(behavior: BehaviorSpec) -> gym.Space[Any]:
    """One box for each sensor."""
    boxes = [gym.spaces.Box(-np.inf, np.inf, item.shape, np.float32) for item in behavior.observations]
    return gym.spaces.Tuple(boxes)


def action_space(actions: ActionSpec) -> gym.Space[Any]:
    """A box for the packed actions (`action_distribution`)."""
    return gym.spaces.Box(-np.inf, np.inf, (action_size(actions),), np.float32)
