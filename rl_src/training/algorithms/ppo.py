"""RLlib's parts, put together: the configuration of PPO and APPO, and the learner group.

RLlib's `Algorithm` always starts a Ray cluster on the machine, even for a runner and a learner in its own process
(`EnvRunnerGroup` puts its configuration into the object store). `ray.init` took 7.5 s in one trial on 2 busy cores.
Learner group and env runner need no cluster, so one machine goes without; a cluster is for many hosts.
"""

import logging
import math
import random
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from rl_src.cores import usable_cores
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.appo import EpisodesToFragments, UnityAPPOLearner
from rl_src.training.algorithms.learner import UnityPPOLearner
from rl_src.training.algorithms.optimizer import FlatAdam
from rl_src.training.algorithms.placement import with_bytes
from rl_src.training.algorithms.schedules import coefficients, learning_rate
from rl_src.training.algorithms.train_batch import EpisodesToTrainBatch
from rl_src.training.artifacts.best import Weights
from rl_src.training.artifacts.checkpoint import Arrays
from rl_src.training.curiosity.bonus import Curiosity
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.imitation.behavioral_cloning import STATISTIC as CLONING_LOSS
from rl_src.training.imitation.behavioral_cloning import BehavioralCloning
from rl_src.training.imitation.demonstrations import Demonstrations
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.networks.rl_module import ActorCriticModule, network_of
from rl_src.training.sampling.env_runner import action_space, observation_space
from rl_src.training.settings.config import ResolvedAppo, ResolvedBehavior

PRODUCTS_WORTH_THREADS = 30_000_000
"""Multiplications in a minibatch's forward pass from which more than one thread is used: an estimate, not measured."""

_CURIOSITY, _CLONING = "curiosity.", "cloning."
"""Before the names of their arrays in a checkpoint."""


class PPO:
    """The policy of one behavior and its learner, PPO's or APPO's, in this process. Close it.

    `acting` plays; it gets none of the learner's weights until they are loaded into it.

    Args:
        config: its settings.
        behavior: its specs.
        demonstrations: what it imitates at first, as its settings for behavioral cloning say.
    """

    def __init__(
        self, config: ResolvedBehavior, behavior: BehaviorSpec, *, demonstrations: Demonstrations | None = None
    ) -> None:
        # It warns of its own deprecations, whatever it is given.
        logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)
        self._config, self._observations = config, behavior.observations
        self._curiosity = _curiosity(config, behavior)
        self._threads = torch_threads(config, behavior)
        torch.set_num_threads(self._threads)
        seed_everything(behavior_seed(config))
        spec = module_spec(config, behavior)
        self._learner_group = ppo_config(config).build_learner_group(
            rl_module_spec=MultiRLModuleSpec(rl_module_specs={DEFAULT_MODULE_ID: spec})
        )
        self.acting = PolicyNetwork(behavior.observations, behavior.actions, config.network, with_critic=False).eval()
        self.synchronize()
        if demonstrations is not None:
            cloning = _cloning(config, demonstrations)
            cloning.check(self.network)
            self.learner.cloning = cloning

    @property
    def learner(self) -> UnityPPOLearner:
        """RLlib's learner; in this process."""
        learner = self._learner_group._learner
        assert isinstance(learner, UnityPPOLearner)
        return learner

    @property
    def network(self) -> PolicyNetwork:
        """The networks that are being trained."""
        return network_of(self.learner.module[DEFAULT_MODULE_ID])

    def learn(self, episodes: list[SingleAgentEpisode], env_steps: int) -> dict[str, float]:
        """Update once; `env_steps` (so far) sets what falls by a schedule. Returns the update's mean statistics.

        Curiosity's rewards are added to copies: the episodes, and the returns that are reported, stay the build's.
        """
        torch.set_num_threads(self._threads)  # of the thread that calls: OpenMP keeps a number for each
        explored: dict[str, float] = {}
        if self._config.ppo.device != "cpu":
            episodes = with_bytes(episodes, self._observations)
        if self._curiosity is not None:
            episodes, explored = self._curiosity.learn(episodes)
        settings = self._config.ppo
        self.learner.env_steps = env_steps - sum(len(episode) for episode in episodes)
        self.learner.coefficients = coefficients(settings, env_steps, self._config.stop.env_steps)
        results = self._learner_group.update(
            episodes=list(episodes),
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps},
            num_epochs=settings.num_epochs,
            minibatch_size=settings.minibatch_size,
        )
        statistics = results[0][DEFAULT_MODULE_ID]
        names = ("policy_loss", "vf_loss", "entropy", "kl", "grad_norm", "explained_variance")
        cloning_loss = float(statistics[CLONING_LOSS].peek())
        cloned = {} if math.isnan(cloning_loss) else {CLONING_LOSS: cloning_loss}
        return {**{name: float(statistics[name].peek()) for name in names}, **explored, **cloned}

    def synchronize(self) -> None:
        """Act with what has been learned."""
        own = self.acting.state_dict()
        trained = self.network.state_dict()
        self.acting.load_state_dict({name: trained[name] for name in own})

    def weights(self) -> Weights:
        """The module's weights by name, copied."""
        return {name: np.array(value) for name, value in self._module_state().items()}

    def set_weights(self, weights: Weights) -> None:
        """Load weights into the learner and into what acts.

        Raises:
            InvalidCheckpointError: names or shapes are of another network.
        """
        own = self._module_state()
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in weights.items()}:
            raise InvalidCheckpointError("the checkpoint's weights are of another network than the one to be trained.")
        self.learner.module[DEFAULT_MODULE_ID].set_state(weights)
        self.synchronize()

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Optimizer, random state, curiosity and cloning: plain values as JSON takes them, and arrays."""
        optimizer = self._optimizer.state_dict()
        arrays = {name: optimizer.pop(name).cpu().numpy() for name in ("mean", "square")}
        arrays["shuffling"] = self.learner.shuffling.get_state().numpy()
        if self._curiosity is not None:
            arrays |= {f"{_CURIOSITY}{name}": value for name, value in self._curiosity.state().items()}
        if self.learner.cloning is not None:
            arrays |= {f"{_CLONING}{name}": value for name, value in self.learner.cloning.state().items()}
        return {"optimizer": optimizer}, arrays

    def set_state(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """The inverse of `state`.

        Raises:
            InvalidCheckpointError: it is of another optimizer, curiosity or cloning.
        """
        if self._curiosity is not None:
            self._curiosity.set_state(_part(arrays, _CURIOSITY))
        if self.learner.cloning is not None:
            self.learner.cloning.set_state(_part(arrays, _CLONING))
        try:
            self.learner.shuffling.set_state(torch.from_numpy(arrays["shuffling"]))
            moments = {name: torch.from_numpy(arrays[name]) for name in ("mean", "square")}
            self._optimizer.load_state_dict({**state["optimizer"], **moments})
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidCheckpointError(f"the checkpoint's optimizer state does not fit: {error!r}.") from error

    def close(self) -> None:
        """Release the learner."""
        self._learner_group.shutdown()  # type: ignore[no-untyped-call]

    @property
    def _optimizer(self) -> FlatAdam:
        optimizer = self.learner.get_optimizer(DEFAULT_MODULE_ID)
        assert isinstance(optimizer, FlatAdam)
        return optimizer

    def _module_state(self) -> Weights:
        state: Weights = self.learner.module[DEFAULT_MODULE_ID].get_state()
        return state


def ppo_config(config: ResolvedBehavior) -> PPOConfig:
    """RLlib's PPO on the new API stack, with our learner and connector."""
    settings = config.ppo
    memory = config.network.memory
    is_appo = isinstance(settings, ResolvedAppo)
    connector = EpisodesToFragments if is_appo else EpisodesToTrainBatch
    return (
        PPOConfig()  # type: ignore[no-untyped-call]
        .api_stack(enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)
        .env_runners(num_env_runners=0)
        .learners(
            num_learners=0,
            learner_config_dict={"seed": behavior_seed(config), "settings": settings},
            learner_class=UnityAPPOLearner if is_appo else UnityPPOLearner,
            learner_connector=lambda *_: connector(
                module_id=DEFAULT_MODULE_ID,
                gamma=settings.gamma,
                lambda_=settings.lambda_,
                sequence_length=memory.sequence_length if memory else 1,
            ),
            add_default_connectors_to_learner_pipeline=False,
        )
        .training(
            lr=cast(Any, learning_rate(settings, config.stop.env_steps)),
            gamma=settings.gamma,
            lambda_=settings.lambda_,
            clip_param=settings.clip_param,
            entropy_coeff=settings.entropy_coeff,
            vf_loss_coeff=settings.vf_loss_coeff,
            grad_clip=settings.grad_clip,
            train_batch_size_per_learner=settings.train_batch_size,
            minibatch_size=settings.minibatch_size,
            num_epochs=settings.num_epochs,
            use_kl_loss=False,
        )
        # No `seed`: RLlib would switch torch to deterministic algorithms, which imports its compiler (seconds); what
        # we use is deterministic on a CPU as it is. Every generator is seeded here, in the runner and in the learner.
        .debugging(log_level="ERROR")
    )


def build_network(config: ResolvedBehavior, behavior: BehaviorSpec, weights: Weights) -> PolicyNetwork:
    """The networks on their own, with given weights, as they are exported."""
    with_critic = config.algorithm in ("PPO", "APPO")  # the others' critics are no part of the policy's weights
    network = PolicyNetwork(behavior.observations, behavior.actions, config.network, with_critic)
    prefix = "network."
    network.load_state_dict(
        {name.removeprefix(prefix): torch.from_numpy(np.array(value)) for name, value in weights.items()}
    )
    return network.eval()


def torch_threads(config: ResolvedBehavior, behavior: BehaviorSpec) -> int:
    """One for small networks, whose layers take less time than waking a second thread does."""
    size = sum(math.prod(item.shape) for item in behavior.observations)
    widths = (size, *config.network.hidden_sizes)
    products = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    images = any(item.is_image for item in behavior.observations)
    if not images and products * config.hyperparameters.minibatch_size < PRODUCTS_WORTH_THREADS:
        return 1
    return usable_cores()


def behavior_seed(config: ResolvedBehavior) -> int:
    """Another one for each behavior, which does not depend on the order in which behaviors appear."""
    return (config.seed + zlib.crc32(config.behavior.encode())) % 2**31


def _curiosity(config: ResolvedBehavior, behavior: BehaviorSpec) -> Curiosity | None:
    """With as many gradient steps as the policy takes, as in ML-Agents (`trainers/trainer/on_policy_trainer.py`)."""
    if config.curiosity is None:
        return None
    settings = config.ppo
    return Curiosity(
        config.curiosity,
        behavior,
        behavior_seed(config),
        gamma=settings.gamma,
        num_epochs=settings.num_epochs,
        minibatch_size=settings.minibatch_size,
        device=torch.device(settings.device),
    )


def _cloning(config: ResolvedBehavior, demonstrations: Demonstrations) -> BehavioralCloning:
    assert config.behavioral_cloning is not None, "nothing says how demonstrations are to be imitated"
    return BehavioralCloning(
        demonstrations,
        config.behavioral_cloning,
        config.ppo.minibatch_size,
        behavior_seed(config),
        device=torch.device(config.ppo.device),
    )


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def seed_everything(seed: int) -> None:
    """Python's, NumPy's and torch's global generators; networks and RLlib draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def module_spec(config: ResolvedBehavior, behavior: BehaviorSpec) -> RLModuleSpec:
    """The policy as RLlib builds it."""
    return RLModuleSpec(
        module_class=ActorCriticModule,
        observation_space=observation_space(behavior),
        action_space=action_space(behavior.actions),
        model_config={
            "observations": behavior.observations,
            "actions": behavior.actions,
            "network": config.network,
        },
    )
