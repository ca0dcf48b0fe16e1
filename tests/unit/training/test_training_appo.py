"""APPO's update: PPO's own where the policy that played is the one that learns, and what lag changes of it."""

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.ppo import PPO
from rl_src.training.networks.action_distribution import log_probabilities, mask_logits, sample_actions
from rl_src.training.networks.rl_module import ACTION_MASK, MEMORY
from rl_src.training.settings.config import (
    Memory,
    ResolvedAppo,
    ResolvedBehavior,
    ResolvedHyperparameters,
    ResolvedNetwork,
    StopRule,
)

SETTINGS = {
    "lr": 3e-3,
    "lr_schedule": "constant",
    "entropy_schedule": "constant",
    "clip_schedule": "constant",
    "gamma": 0.9,
    "lambda_": 0.8,
    "clip_param": 0.2,
    "entropy_coeff": 0.01,
    "vf_loss_coeff": 0.5,
    "grad_clip": 0.5,
    "train_batch_size": 64,
    "minibatch_size": 16,
    "num_epochs": 2,
}
VTRACE = {"vtrace_clip_rho_threshold": 1.0, "vtrace_clip_pg_rho_threshold": 1.0, "learner_queue_size": 1}
CHOICE = BehaviorSpec("Choice?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(0, (2,)))
HYBRID = BehaviorSpec("Hybrid?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(2, (2, 3)))
CONTINUOUS = BehaviorSpec("Values?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(2, ()))
PICTURE = BehaviorSpec(
    "Seer?team=0", (ObservationSpec("camera", (3, 20, 20)), ObservationSpec("seen", (3,))), ActionSpec(0, (3, 2))
)
KINDS = [CHOICE, HYBRID, CONTINUOUS, PICTURE]
NAMES = [item.behavior_name for item in KINDS]


def made(algorithm: str, behavior: BehaviorSpec, memory: Memory | None = None, **settings) -> PPO:
    kind = ResolvedAppo if algorithm == "APPO" else ResolvedHyperparameters
    values = {**SETTINGS, **(VTRACE if algorithm == "APPO" else {}), **settings}
    return PPO(
        ResolvedBehavior(
            behavior=behavior.behavior_name,
            preset=None,
            algorithm=algorithm,
            hyperparameters=kind(**values),
            network=ResolvedNetwork((16,), "tanh", normalize_observations=False, memory=memory),
            stop=StopRule(env_steps=10_000),
            self_play=None,
            curiosity=None,
            behavioral_cloning=None,
            seed=0,
        ),
        behavior,
    )


def played(learner: PPO, behavior: BehaviorSpec, rng: np.random.Generator, length: int) -> SingleAgentEpisode:
    """By the policy that acts, with random observations, rewards and masks; every other one terminates."""
    observations = tuple(
        rng.normal(size=(length + 1, *item.shape)).astype(np.float32) for item in behavior.observations
    )
    masks = np.ones((length, sum(behavior.actions.discrete_branches)), dtype=np.float32)
    if masks.shape[1] > 2:
        masks[rng.random(length) < 0.5, -1] = 0.0
    spec, memory, memories = behavior.actions, np.zeros((1, learner.acting.memory_size), np.float32), []
    with torch.no_grad():
        rows = []
        for t in range(length):
            memories.append(memory)
            seen = [torch.from_numpy(value[t : t + 1]) for value in observations]
            found, after = learner.acting.step(seen, torch.from_numpy(memory) if memory.size else None)
            rows.append(found)
            memory = memory if after is None else after.numpy()
        inputs = mask_logits(torch.cat(rows), torch.from_numpy(masks) if masks.size else None, spec)
        actions = sample_actions(inputs.numpy(), spec, rng)
        logp = log_probabilities(inputs, torch.from_numpy(actions), spec).numpy()
    outputs = {Columns.ACTION_LOGP: logp}
    if masks.size:
        outputs[ACTION_MASK] = masks
    episode = SingleAgentEpisode(
        observations=InfiniteLookbackBuffer(observations),  # type: ignore[arg-type]
        actions=InfiniteLookbackBuffer(actions),
        rewards=InfiniteLookbackBuffer(rng.normal(size=length).astype(np.float32)),
        terminated=length % 2 == 0,
        extra_model_outputs=outputs,
        len_lookback_buffer=0,
    )
    if memory.size:
        episode.custom_data[MEMORY] = np.concatenate([*memories, memory])
    return episode


def batch(learner: PPO, behavior: BehaviorSpec, seed: int = 0) -> list[SingleAgentEpisode]:
    rng = np.random.default_rng(seed)
    return [played(learner, behavior, rng, length) for length in (3, 8, 1, 5, 12, 7, 16, 12)]


@pytest.mark.parametrize("memory", [None, Memory(size=8, sequence_length=4)], ids=["", "memory"])
@pytest.mark.parametrize("behavior", KINDS, ids=NAMES)
def test_without_lag_the_first_update_is_ppos(behavior, memory):
    learners = {name: made(name, behavior, memory) for name in ("PPO", "APPO")}
    told = {name: learner.learn(batch(learner, behavior), 64) for name, learner in learners.items()}
    assert told["APPO"] == pytest.approx(told["PPO"], rel=1e-3, abs=1e-4)
    ours, theirs = learners["APPO"].weights(), learners["PPO"].weights()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("memory", [None, Memory(size=8, sequence_length=4)], ids=["", "memory"])
@pytest.mark.parametrize("behavior", KINDS, ids=NAMES)
def test_old_batches_of_every_kind_are_learned_from(behavior, memory):
    learner = made("APPO", behavior, memory)
    for seed in range(4):
        told = learner.learn(batch(learner, behavior, seed), 64)  # what acts stays as it was at first
        assert all(np.isfinite(value) for value in told.values())


def bandit(played_probability: float) -> list[SingleAgentEpisode]:
    """Choice 1 is worth 1, choice 0 nothing. A policy that takes 1 so rarely played as often as that says."""
    actions = (np.arange(64) % round(1 / played_probability) == 0).astype(np.float32)[:, None]
    logp = np.log(np.where(actions[:, 0] == 1, played_probability, 1 - played_probability)).astype(np.float32)
    return [
        SingleAgentEpisode(
            observations=InfiniteLookbackBuffer((np.ones((2, 3), np.float32),)),  # type: ignore[arg-type]
            actions=InfiniteLookbackBuffer(actions[i : i + 1]),
            rewards=InfiniteLookbackBuffer(actions[i].copy()),
            terminated=True,
            extra_model_outputs={Columns.ACTION_LOGP: logp[i : i + 1]},
            len_lookback_buffer=0,
        )
        for i in range(64)
    ]


@pytest.mark.parametrize(("clip_rho", "value"), [(1.0, 0.125 / (0.125 + 0.5)), (100.0, 0.5)])
def test_values_are_those_of_the_policy_that_learns_as_far_as_the_threshold_lets_them(clip_rho, value):
    """It takes choice 1 half the time, the one that played an eighth of the time: uncut, the value is a half.

    With the ratio cut at 1 it is the value of the policy in proportion to min(old, new) = (1/2, 1/8).
    """
    settings = {"vtrace_clip_rho_threshold": clip_rho, "lr": 0.01, "minibatch_size": 64, "entropy_coeff": 0.0}
    learner = made("APPO", CHOICE, vf_loss_coeff=1.0, vtrace_clip_pg_rho_threshold=1e-9, grad_clip=10.0, **settings)
    for _ in range(300):
        learner.learn(bandit(0.125), 64)
    with torch.no_grad():
        found = learner.network.values([torch.ones(1, 3)])
    assert float(found) == pytest.approx(value, abs=0.05)


def test_its_state_is_restored_and_goes_on_alike():
    learner, fresh = made("APPO", HYBRID), made("APPO", HYBRID)
    learner.learn(batch(learner, HYBRID), 64)
    fresh.set_weights(learner.weights())
    fresh.set_state(*learner.state())
    told = [item.learn(batch(made("PPO", HYBRID), HYBRID, 7), 128) for item in (learner, fresh)]
    assert told[0] == told[1]
