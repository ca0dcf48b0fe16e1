"""Our PPO learner, as a training has it, on pictures that nobody played."""

import time
from dataclasses import replace

import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from benchmarks.gpu.cells import BEHAVIOR, CHOICES, EPOCHS, HIDDEN, SEED, SHAPE, Cell
from rl_src.training.algorithms.ppo import PPO
from rl_src.training.settings.config import Hyperparameters, Network, ResolvedBehavior, StopRule, TrainingConfig
from rl_src.training.settings.presets import resolve

STRETCH = 64
"""Decisions of an episode."""


class OurLearner:
    """Updates on the same batch, again and again. Close it."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._learner = PPO(config_of(cell), BEHAVIOR)
        # A learner on a GPU is sent pictures as bytes (`remote_learner`), one on the CPU as floats.
        kind = np.float32 if cell.device == "cpu" else np.uint8
        self._episodes = [_episode(np.random.default_rng([SEED, i]), kind) for i in range(cell.batch // STRETCH)]
        self._env_steps = 0

    def samples_per_second(self) -> float:
        """Of one whole update: the batch goes to the device, is valued, and learned from in minibatches."""
        self._env_steps += self._cell.batch
        began = time.monotonic()
        self._learner.learn(self._episodes, self._env_steps)  # its statistics are read from the device at the end
        return self._cell.batch * EPOCHS / (time.monotonic() - began)

    def close(self) -> None:
        """Release the learner."""
        self._learner.close()


def config_of(cell: Cell) -> ResolvedBehavior:
    """As a request would have it resolved, but for the device, which need not be there to say so."""
    asked = TrainingConfig(
        executable=None,  # type: ignore[arg-type]
        hyperparameters=Hyperparameters(
            device="cpu",
            precision=cell.precision,
            train_batch_size=cell.batch,
            minibatch_size=cell.minibatch,
            num_epochs=EPOCHS,
        ),
        network=Network(hidden_sizes=(HIDDEN,), activation="relu", image_encoder="nature_cnn"),
        stop=StopRule(env_steps=10**9),
        seed=SEED,
    )
    resolved = resolve(asked, BEHAVIOR, 1)
    return replace(resolved, hyperparameters=replace(resolved.ppo, device=cell.device))


def _episode(rng: np.random.Generator, kind: type[np.float32 | np.uint8]) -> SingleAgentEpisode:
    pictures: np.ndarray = rng.integers(256, size=(STRETCH + 1, *SHAPE), dtype=np.uint8)
    if kind is np.float32:
        pictures = pictures.astype(np.float32) / np.float32(255)
    return SingleAgentEpisode(
        observations=InfiniteLookbackBuffer((pictures,)),  # type: ignore[arg-type]
        actions=InfiniteLookbackBuffer(rng.integers(CHOICES, size=(STRETCH, 1)).astype(np.float32)),
        rewards=InfiniteLookbackBuffer(rng.standard_normal(STRETCH).astype(np.float32)),
        terminated=True,
        extra_model_outputs={Columns.ACTION_LOGP: np.full(STRETCH, -np.log(CHOICES), np.float32)},
        len_lookback_buffer=0,
    )
