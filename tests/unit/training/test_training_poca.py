"""POCA's update: credit, masks, all kinds of actions, determinism, and its state."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.poca import POCA, STATISTICS
from rl_src.training.errors import InvalidCheckpointError, TrainingDivergedError, UnsupportedBehaviorError
from rl_src.training.networks.action_distribution import log_probabilities, mask_logits
from rl_src.training.networks.rl_module import ACTION_MASK
from rl_src.training.sampling.groups import GROUP, GroupStretch
from rl_src.training.settings.config import (
    Memory,
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
    "lambda_": 0.9,
    "clip_param": 0.2,
    "entropy_coeff": 0.0,
    "vf_loss_coeff": 0.5,
    "grad_clip": 0.5,
    "train_batch_size": 64,
    "minibatch_size": 16,
    "num_epochs": 2,
}
CHOICE = BehaviorSpec("Choice?team=0", (ObservationSpec("place", (2,)),), ActionSpec(0, (2,)))
HYBRID = BehaviorSpec("Hybrid?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(2, (2, 3)))
CONTINUOUS = BehaviorSpec("Values?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(2, ()))


def config(behavior: BehaviorSpec, seed=0, memory=None, **settings) -> ResolvedBehavior:
    return ResolvedBehavior(
        behavior=behavior.behavior_name,
        preset=None,
        algorithm="poca",
        hyperparameters=ResolvedHyperparameters(**{**SETTINGS, **settings}),
        network=ResolvedNetwork((16,), "tanh", behavior is not CHOICE, memory=memory),
        stop=StopRule(env_steps=10_000),
        self_play=None,
        curiosity=None,
        behavioral_cloning=None,
        seed=seed,
    )


def episode(
    learner: POCA,
    observations: np.ndarray,
    actions: np.ndarray,
    part: GroupStretch,
    *,
    own: float | np.ndarray = 0.0,
    masks: np.ndarray | None = None,
    terminated: bool = True,
) -> SingleAgentEpisode:
    """L + 1 observations and L actions, as if the learner's present policy had played them."""
    actions, length = actions.astype(np.float32), len(actions)
    allowed = None if masks is None else torch.from_numpy(masks.astype(np.float32))
    with torch.no_grad():
        inputs = learner.acting.distribution_inputs([torch.from_numpy(observations[:-1].astype(np.float32))])
        spec = learner.acting.action_spec
        logp = log_probabilities(mask_logits(inputs, allowed, spec), torch.from_numpy(actions), spec)
    outputs = {Columns.ACTION_LOGP: logp.numpy()}
    if allowed is not None:
        outputs[ACTION_MASK] = allowed.numpy()
    made = SingleAgentEpisode(
        observations=InfiniteLookbackBuffer((observations.astype(np.float32),)),
        actions=InfiniteLookbackBuffer(actions),
        rewards=InfiniteLookbackBuffer((np.broadcast_to(own, length) + part.group_rewards).astype(np.float32)),
        terminated=terminated,
        extra_model_outputs=outputs,
        len_lookback_buffer=0,
    )
    made.custom_data[GROUP] = part
    return made


def part(group: int, length: int, last: float = 0.0, *, goes_on: bool = False) -> GroupStretch:
    rewards = np.zeros(length, dtype=np.float32)
    rewards[-1] = last
    return GroupStretch(group, np.arange(length + 1), rewards, goes_on)


def random_groups(learner: POCA, behavior: BehaviorSpec, seed: int, groups=12) -> list[SingleAgentEpisode]:
    """Each group: two agents for four decisions, and one that leaves after the second."""
    rng = np.random.default_rng(seed)
    size, branches = behavior.actions.continuous_size, behavior.actions.discrete_branches
    made = []
    for group in range(groups):
        reward = float(rng.normal())
        for length, goes_on in ((4, False), (2, True), (4, False)):
            made.append(
                episode(
                    learner,
                    rng.normal(size=(length + 1, *behavior.observations[0].shape)),
                    np.concatenate(
                        [rng.normal(size=(length, size)), rng.integers(branches, size=(length, len(branches)))], axis=1
                    ),
                    part(group, length, 0.0 if goes_on else reward, goes_on=goes_on),
                    own=rng.normal(size=length),
                )
            )
    return made


def probabilities(learner: POCA) -> np.ndarray:
    """Of each choice at each of two places: [2, 2]."""
    with torch.no_grad():
        return torch.softmax(learner.network.distribution_inputs([torch.eye(2)]), dim=1).numpy()


def play_choices(learner: POCA, rng: np.random.Generator, earns, *, leaves: bool) -> list[SingleAgentEpisode]:
    """Groups of two, at place 0 and 1, that choose once; `earns(first, second)` is the group's reward.

    With `leaves`, the first one ends with its choice, the other one step later, and only then the group earns.
    """
    made, chances = [], probabilities(learner)
    for group in range(32):
        first, second = (int(rng.random() < chances[place, 1]) for place in (0, 1))
        reward = earns(first, second)
        here, there = np.eye(2)[[0, 0]], np.eye(2)[[1, 1]]
        if leaves:
            made.append(episode(learner, here, np.array([[first]]), part(group, 1, goes_on=True)))
            then = int(rng.random() < chances[1, 1])
            made.append(episode(learner, np.eye(2)[[1, 1, 1]], np.array([[second], [then]]), part(group, 2, reward)))
        else:
            made.append(episode(learner, here, np.array([[first]]), part(group, 1, reward)))
            made.append(episode(learner, there, np.array([[second]]), part(group, 1, reward)))
    return made


def learn_choices(earns, *, leaves: bool, seed: int = 0, updates: int = 25) -> tuple[np.ndarray, dict[str, float]]:
    learner, rng, told = POCA(config(CHOICE, seed, minibatch_size=32, lr=1e-2), CHOICE), np.random.default_rng(seed), {}
    for _ in range(updates):
        told = learner.learn(play_choices(learner, rng, earns, leaves=leaves), 0)
        learner.synchronize()
    return probabilities(learner), told


@pytest.mark.parametrize("seed", range(3))
def test_what_is_earned_after_its_end_teaches_the_one_that_left(seed):
    chances, _ = learn_choices(lambda first, second: float(first), leaves=True, seed=seed)
    assert chances[0, 1] > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_both_learn_what_only_both_together_can_earn(seed):
    chances, _ = learn_choices(lambda first, second: float(first and second), leaves=False, seed=seed)
    assert chances[:, 1].min() > 0.9


def test_the_baseline_takes_what_the_other_did_out_of_the_advantage():
    """The reward is the second's choice alone: knowing it, the first one's baseline foresees its whole return.

    The second one's baseline cannot foresee its own choice, and a gathering's value neither: their mean squared errors
    are that of the reward, 1/4 where both choices are as likely; normalised, 1.
    """
    learner, rng = POCA(config(CHOICE, lr=1e-2, minibatch_size=64, num_epochs=4), CHOICE), np.random.default_rng(0)
    for _ in range(40):
        games = [
            (episode(learner, np.eye(2)[[0, 0]], np.array([[a]]), part(group, 1, float(b))),
             episode(learner, np.eye(2)[[1, 1]], np.array([[b]]), part(group, 1, float(b))))
            for group in range(32) for a, b in [rng.integers(2, size=2)]
        ]  # fmt: skip
        told = learner.learn([item for game in games for item in game], 0)
    assert told["vf_loss"] == pytest.approx(1.0, abs=0.15)
    assert told["baseline_loss"] == pytest.approx(0.5, abs=0.15)


def test_forbidden_choices_are_ruled_out_in_the_update_too():
    learner = POCA(config(CHOICE), CHOICE)
    rows = [
        episode(learner, np.eye(2)[[0, 0]], np.array([[0]]), part(group, 1, float(group)), masks=np.array([[1, 0]]))
        for group in range(32)
    ]
    before = learner.weights()
    told = learner.learn(rows, 0)
    assert told["entropy"] == 0.0
    assert told["policy_loss"] == pytest.approx(0.0, abs=1e-6)
    after = learner.weights()
    assert all(np.array_equal(before[name], after[name]) for name in before if "actor" in name)


@pytest.mark.parametrize("behavior", [CHOICE, CONTINUOUS, HYBRID], ids=lambda item: item.behavior_name)
def test_a_seed_gives_the_same_numbers(behavior):
    def told(seed: int) -> list[dict[str, float]]:
        learner = POCA(config(behavior, seed), behavior)
        return [learner.learn(random_groups(learner, behavior, batch), 0) for batch in range(3)]

    assert told(5) == told(5)
    assert told(5) != told(6)
    assert set(told(5)[0]) == set(STATISTICS)


def test_the_global_random_state_is_left_as_it_was():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    learner = POCA(config(HYBRID), HYBRID)
    learner.learn(random_groups(learner, HYBRID, 0), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_of_the_episodes_changes_nothing_that_is_computed_of_them():
    told = []
    for order in (1, -1):
        learner = POCA(config(CHOICE, minibatch_size=1000, num_epochs=1), CHOICE)
        told.append(learner.learn(random_groups(learner, CHOICE, 0)[::order], 0))
    assert told[0] == pytest.approx(told[1], abs=1e-5)


def restored(learner: POCA, seed: int) -> POCA:
    """Through what a checkpoint stores."""
    state, arrays = learner.state()
    other = POCA(config(HYBRID, seed), HYBRID)
    other.set_weights({name: value.copy() for name, value in learner.weights().items()})
    other.set_state(json.loads(json.dumps(state)), {name: value.copy() for name, value in arrays.items()})
    return other


def test_it_goes_on_exactly_where_it_was():
    learner = POCA(config(HYBRID), HYBRID)
    for batch in range(2):
        learner.learn(random_groups(learner, HYBRID, batch), 0)
    learner.synchronize()
    other = restored(learner, seed=9)
    batch = random_groups(learner, HYBRID, 7)
    assert other.learn(batch, 100) == learner.learn(batch, 100)
    mine, theirs = learner.weights(), other.weights()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("missing", ["critic.head.weight", "mean", "shuffling"])
def test_a_state_that_does_not_fit_is_refused(missing):
    learner = POCA(config(HYBRID), HYBRID)
    state, arrays = learner.state()
    with pytest.raises(InvalidCheckpointError, match="does not fit"):
        learner.set_state(state, {name: value for name, value in arrays.items() if name != missing})


def test_weights_of_another_network_are_refused():
    learner, other = POCA(config(HYBRID), HYBRID), POCA(config(CHOICE), CHOICE)
    with pytest.raises(InvalidCheckpointError, match="another network"):
        learner.set_weights(other.weights())


def test_rewards_that_are_no_numbers_end_the_training_with_the_weights_as_they_were():
    learner = POCA(config(CHOICE), CHOICE)
    before = learner.weights()
    rows: Sequence[SingleAgentEpisode] = [
        episode(learner, np.eye(2)[[0, 0]], np.array([[1]]), part(group, 1, np.nan)) for group in range(32)
    ]
    with pytest.raises(TrainingDivergedError, match="not finite"):
        learner.learn(list(rows), 0)
    after = learner.weights()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_memory_is_refused():
    with pytest.raises(UnsupportedBehaviorError, match=r"memory.*Remedy: .*PPO"):
        POCA(config(CHOICE, memory=Memory()), CHOICE)
