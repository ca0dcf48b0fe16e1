"""Soft actor-critic: its fixed point, masks, all kinds of actions, determinism, and its state."""

import json

import numpy as np
import pytest
import torch
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.sac import SAC
from rl_src.training.algorithms.soft_critic import SoftCritic, choices, largest_entropy
from rl_src.training.errors import InvalidCheckpointError, TrainingDivergedError, UnsupportedBehaviorError
from rl_src.training.networks.action_distribution import mask_logits, sample_actions
from rl_src.training.networks.rl_module import ACTION_MASK
from rl_src.training.settings.config import Memory, ResolvedBehavior, ResolvedNetwork, ResolvedSac, StopRule

SETTINGS = {
    "lr": 3e-3,
    "lr_schedule": "constant",
    "gamma": 0.9,
    "grad_clip": 10.0,
    "train_batch_size": 64,
    "minibatch_size": 64,
    "replay_capacity": 2000,
    "tau": 0.05,
    "initial_alpha": 0.5,
    "updates_per_step": 0.25,
    "learning_starts": 0,
}
BANDIT = BehaviorSpec("Bandit?team=0", (ObservationSpec("nothing", (1,)),), ActionSpec(0, (2,)))
HYBRID = BehaviorSpec("Hybrid?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(2, (2, 3)))


def config(behavior: BehaviorSpec, seed=0, memory=None, **settings) -> ResolvedBehavior:
    return ResolvedBehavior(
        behavior=behavior.behavior_name,
        preset=None,
        algorithm="SAC",
        hyperparameters=ResolvedSac(**{**SETTINGS, **settings}),
        network=ResolvedNetwork(
            (16,), "relu", behavior is not BANDIT, memory=memory, squash=True, state_dependent_std=True
        ),
        stop=StopRule(env_steps=10_000),
        self_play=None,
        curiosity=None,
        behavioral_cloning=None,
        seed=seed,
    )


def episode(observations, actions, rewards, *, masks=None, terminated=True) -> SingleAgentEpisode:
    return SingleAgentEpisode(
        observations=InfiniteLookbackBuffer((np.array(observations, dtype=np.float32),)),
        actions=InfiniteLookbackBuffer(np.array(actions, dtype=np.float32)),
        rewards=InfiniteLookbackBuffer(np.array(rewards, dtype=np.float32)),
        terminated=terminated,
        extra_model_outputs={} if masks is None else {ACTION_MASK: np.array(masks, dtype=np.float32)},
        len_lookback_buffer=0,
    )


def random_episodes(behavior: BehaviorSpec, seed: int, count=20, length=4) -> list[SingleAgentEpisode]:
    rng = np.random.default_rng(seed)
    size, branches = behavior.actions.continuous_size, behavior.actions.discrete_branches
    return [
        episode(
            rng.normal(size=(length + 1, *behavior.observations[0].shape)),
            np.concatenate([rng.normal(size=(length, size)), rng.integers(branches, size=(length, len(branches)))], 1),
            rng.normal(size=length),
            terminated=bool(rng.random() < 0.5),
        )
        for _ in range(count)
    ]


def policy(sac: SAC) -> torch.Tensor:
    with torch.no_grad():
        return torch.softmax(sac.network.distribution_inputs([torch.ones(1, 1)]), dim=1)[0]


def test_a_bandit_is_played_as_its_values_over_the_temperature_say():
    sac = SAC(config(BANDIT), BANDIT, learns_temperature=False)
    for _ in range(60):  # arm 0 pays 1, arm 1 pays 2: in units of their root mean square
        sac.learn([episode([[1], [1]], [[i % 2]], [1 + i % 2]) for i in range(64)], 0)
    values = torch.tensor([1.0, 2.0]) / sac.reward_scale
    assert sac.reward_scale == pytest.approx(2.5**0.5)
    assert sac.temperatures[1] == pytest.approx(0.5)
    assert policy(sac).tolist() == pytest.approx(torch.softmax(values / 0.5, dim=0).tolist(), abs=0.02)


def test_the_value_of_what_never_ends_includes_its_entropy():
    """Nothing is earned in an endless episode: what remains is alpha * log(2) each step, for ever."""
    sac = SAC(config(BANDIT, gamma=0.5, tau=0.2), BANDIT, learns_temperature=False)
    statistics = {}
    for _ in range(15):
        statistics = sac.learn([episode([[1]] * 65, [[i % 2] for i in range(64)], [0] * 64, terminated=False)], 0)
    assert policy(sac).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    # The first entropy is the present decision's, which an action's value is without.
    assert statistics["mean_q"] == pytest.approx(0.5 * 0.5 * np.log(2) / (1 - 0.5), abs=0.02)


def test_forbidden_choices_are_never_made_nor_counted():
    """Arm 1 would pay a hundred times as much, and is forbidden wherever a decision is made."""
    sac = SAC(config(BANDIT), BANDIT)
    played = [episode([[1]] * 9, [[0]] * 8, [1.0] * 8, masks=[[1, 0]] * 8) for _ in range(30)]
    played += [episode([[1], [1]], [[1]], [100.0]) for _ in range(30)]
    for _ in range(10):
        told = sac.learn(played, 0)
    # A ninth of what is drawn are the other arm's 100; of the rest, at most eight rewards of 1 are to come.
    assert told["mean_q"] * sac.reward_scale < 100 / 9 + 8
    with torch.no_grad():
        inputs = mask_logits(
            sac.network.distribution_inputs([torch.ones(500, 1)]),
            torch.tensor([[1.0, 0.0]]).expand(500, 2),
            BANDIT.actions,
        )
    actions = sample_actions(inputs.numpy(), BANDIT.actions, np.random.default_rng(0))
    assert set(actions[:, 0].tolist()) == {0.0}
    chosen = choices(torch.zeros(3, 2), torch.tensor([[1.0, 0], [0, 1], [1, 1]]), BANDIT.actions, torch.zeros(3, 0))
    assert chosen.probabilities.tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    assert chosen.discrete_entropy.tolist() == pytest.approx([0, 0, np.log(2)])
    assert largest_entropy(torch.tensor([[1.0, 0], [1, 1]]), BANDIT.actions).tolist() == pytest.approx([0, np.log(2)])


def test_an_actions_value_is_the_sum_over_its_branches():
    torch.manual_seed(0)
    critic = SoftCritic(HYBRID.observations, HYBRID.actions, ResolvedNetwork((8,), "relu", False))
    seen, actions = torch.randn(2, 3), torch.tensor([[9.0, -1.5, 1, 2], [0, 0, 0, 1]])
    out = critic([seen], torch.tensor([[1.0, -0.5], [0, 0]]))  # as Unity gets them
    expected = torch.stack([out[0, 1] + out[0, 2 + 2], out[1, 0] + out[1, 2 + 1]])
    assert torch.equal(critic.of_action([seen], actions), expected)
    inputs = torch.cat([torch.zeros(2, 4), torch.randn(2, 5)], dim=1)
    chosen = choices(inputs, torch.ones(2, 5), HYBRID.actions, torch.zeros(2, 2))
    out = critic([seen], torch.zeros(2, 2))
    each = [
        torch.softmax(inputs[:, 4:6], 1)[:, i] * torch.softmax(inputs[:, 6:], 1)[:, j] * (out[:, i] + out[:, 2 + j])
        for i in range(2)
        for j in range(3)
    ]
    assert torch.allclose(critic.of_choices([seen], chosen), torch.stack(each).sum(0), atol=1e-6)


def test_temperatures_fall_where_there_is_more_entropy_than_is_aimed_at():
    sac = SAC(config(HYBRID, lr=0.0), HYBRID)
    before = sac.temperatures
    told = sac.learn(random_episodes(HYBRID, 0), 0)
    assert sac.temperatures[0] < before[0]
    assert sac.temperatures[1] < before[1]
    assert (told["alpha_continuous"], told["alpha_discrete"]) == sac.temperatures


def test_means_stay_within_what_unity_tells_apart():
    sac = SAC(config(HYBRID), HYBRID)
    with torch.no_grad():
        sac.network.actor.head.bias.fill_(100.0)
        inputs = sac.network.distribution_inputs([torch.randn(5, 3)])
    assert inputs[:, :2].abs().max() <= 3.0
    assert inputs[:, 2:4].max() <= 0.5


def test_nothing_is_learned_before_there_is_enough():
    sac = SAC(config(BANDIT, learning_starts=100), BANDIT)
    before = sac.weights()
    assert sac.learn(random_episodes(BANDIT, 0, count=10, length=9), 0) == {}
    changed = [name for name, value in sac.weights().items() if not np.array_equal(value, before[name])]
    assert all("moments" in name for name in changed)
    assert sac.learn(random_episodes(BANDIT, 1, count=10, length=9), 0)["grad_norm"] > 0


def test_a_seed_gives_the_same_numbers_and_another_one_others():
    told = []
    for seed in (1, 1, 2):
        sac = SAC(config(HYBRID, seed), HYBRID)
        told.append([sac.learn(random_episodes(HYBRID, i), 0) for i in range(3)])
        torch.randn(seed)  # the global generator does not matter
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_a_saved_learner_goes_on_as_it_would_have():
    sac = SAC(config(HYBRID), HYBRID)
    sac.learn(random_episodes(HYBRID, 0), 0)
    fresh = SAC(config(HYBRID, seed=5), HYBRID)
    state, arrays = sac.state()
    fresh.set_weights(sac.weights())
    fresh.set_state(json.loads(json.dumps(state)), {name: np.array(value) for name, value in arrays.items()})
    assert fresh.learn(random_episodes(HYBRID, 1), 0) == sac.learn(random_episodes(HYBRID, 1), 0)
    for name, value in fresh.weights().items():
        assert np.array_equal(value, sac.weights()[name]), name


def test_what_acts_changes_only_when_it_is_told_to():
    sac = SAC(config(HYBRID), HYBRID)
    seen = [torch.randn(4, 3)]
    before = sac.acting.distribution_inputs(seen)
    sac.learn(random_episodes(HYBRID, 0), 0)
    assert torch.equal(sac.acting.distribution_inputs(seen), before)
    sac.synchronize()
    assert torch.equal(sac.acting.distribution_inputs(seen), sac.network.distribution_inputs(seen))


def test_another_networks_checkpoint_is_refused():
    sac, other = SAC(config(HYBRID), HYBRID), SAC(config(BANDIT), BANDIT)
    with pytest.raises(InvalidCheckpointError, match="another network"):
        sac.set_weights(other.weights())
    with pytest.raises(InvalidCheckpointError, match="does not fit"):
        sac.set_state(*other.state())


def test_a_policy_with_memory_is_refused():
    with pytest.raises(UnsupportedBehaviorError, match="memory"):
        SAC(config(HYBRID, memory=Memory()), HYBRID)


def test_rewards_that_are_no_numbers_end_the_training():
    sac = SAC(config(BANDIT), BANDIT)
    with pytest.raises(TrainingDivergedError):
        sac.learn([episode([[1], [1]], [[0]], [np.nan]) for _ in range(64)], 0)
