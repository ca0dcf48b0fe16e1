"""Curiosity: what is new earns more than what is known, whatever is observed and done, and a seed repeats it."""

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from rl_src.training.curiosity.bonus import (
    REWARD_LIMIT,
    Curiosity,
    Transitions,
    beyond_the_end,
    statistic_names,
    with_rewards,
)
from rl_src.training.curiosity.icm import ICM
from rl_src.training.errors import InvalidCheckpointError, TrainingDivergedError
from rl_src.training.networks.action_distribution import encode_actions
from rl_src.training.settings.config import CuriositySettings

KINDS = ["icm", "rnd"]
PLACES = 12
CORRIDOR = BehaviorSpec("Corridor", (ObservationSpec("place", (PLACES,)),), ActionSpec(0, (3,)))


def curiosity(kind, behavior=CORRIDOR, *, seed=0, **settings) -> Curiosity:
    own = CuriositySettings(kind=kind, **{"strength": 1.0, "lr": 3e-3, **settings})
    return Curiosity(own, behavior, seed, num_epochs=1, minibatch_size=256)


def transitions(observations, following, actions) -> Transitions:
    """From pairs: [N, *shape] for each sensor, twice, and [N, A]."""
    count = len(actions)
    return Transitions(
        observations=tuple(torch.cat(pair).float() for pair in zip(observations, following, strict=True)),
        before=torch.arange(count),
        after=torch.arange(count, 2 * count),
        actions=actions.float(),
    )


def walks(places, seed=0, count=512) -> Transitions:
    """Random steps (left, stay, right) from some places of the corridor."""
    rng = np.random.default_rng(seed)
    place, action = rng.choice(places, count), rng.integers(3, size=count)
    following = np.clip(place + action - 1, 0, PLACES - 1)
    eye = torch.eye(PLACES)
    return transitions([eye[place]], [eye[following]], torch.from_numpy(action)[:, None])


def some_episodes(*terminated: bool) -> list[SingleAgentEpisode]:
    """Stretches of 3 and 2 decisions; what is observed counts on from 0."""
    episodes, seen = [], 0
    for length, ended in zip((3, 2), terminated or (True, True), strict=True):
        observations = np.arange(seen, seen + length + 1, dtype=np.float32)[:, None]
        seen += length + 1
        episodes.append(
            SingleAgentEpisode(
                observations=InfiniteLookbackBuffer((observations, 10 * observations)),
                actions=InfiniteLookbackBuffer(observations[:-1] * 100),
                rewards=InfiniteLookbackBuffer(np.ones(length, dtype=np.float32)),
                extra_model_outputs={Columns.ACTION_LOGP: np.zeros(length, dtype=np.float32)},
                terminated=ended,
                len_lookback_buffer=0,
            )
        )
    return episodes


def test_transitions_are_within_stretches():
    batch = Transitions.of(some_episodes())
    assert len(batch) == 5
    first, second = batch.observations
    assert first[batch.before].ravel().tolist() == [0, 1, 2, 4, 5]
    assert first[batch.after].ravel().tolist() == [1, 2, 3, 5, 6]
    assert second[batch.after].ravel().tolist() == [10, 20, 30, 50, 60]
    assert batch.actions.ravel().tolist() == [0, 100, 200, 400, 500]


def test_rewards_are_added_to_a_copy():
    episodes = some_episodes()
    changed = with_rewards(episodes, np.array([1, 2, 3, 4, 5], dtype=np.float32))
    assert [list(episode.rewards.data) for episode in changed] == [[2, 3, 4], [5, 6]]
    assert [list(episode.rewards.data) for episode in episodes] == [[1, 1, 1], [1, 1]]
    assert [len(episode) for episode in changed] == [3, 2]
    assert all(episode.is_terminated for episode in changed)
    assert [episode.get_return() for episode in changed] == [9, 11]


def discounted(rewards, gamma: float) -> float:
    return float(np.polynomial.polynomial.polyval(gamma, rewards))


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99])
def test_an_end_neither_gains_nor_loses_curiosity_s_rewards(gamma):
    """Where all is equally new, an episode that terminates is worth as much as one that never does."""
    added = beyond_the_end(some_episodes(True, False), np.full(5, 0.3, dtype=np.float32), gamma)
    assert discounted(added[:3], gamma) == pytest.approx(0.3 / (1 - gamma), rel=1e-5)
    assert added[3:].tolist() == pytest.approx([0.3, 0.3])  # goes on: its last observation is valued


def test_an_end_is_worth_the_batch_s_mean_and_bounded_without_discount():
    rewards = np.array([1, 2, 3, 4, 5], dtype=np.float32)
    assert beyond_the_end(some_episodes(True, True), rewards, 0.5).tolist() == [1, 2, 6, 4, 8]
    assert np.isfinite(beyond_the_end(some_episodes(True, True), rewards, 1.0)).all()
    assert rewards.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", KINDS)
def test_learning_from_episodes_rewards_copies_and_tells_of_it(kind):
    behavior = BehaviorSpec("Two", (ObservationSpec("a", (1,)), ObservationSpec("b", (1,))), ActionSpec(1, ()))
    settings = CuriositySettings(kind=kind, strength=0.5, hidden_sizes=(8,))
    own, same = Curiosity(settings, behavior, 0, gamma=0.0), Curiosity(settings, behavior, 0)
    episodes = some_episodes()
    changed, statistics = own.learn(episodes)
    earned = same.intrinsic_rewards(Transitions.of(episodes))
    np.testing.assert_allclose(np.concatenate([item.rewards.data for item in changed]), 1 + earned, rtol=1e-6)
    assert all((item.rewards.data == 1).all() for item in episodes)
    assert tuple(statistics) == statistic_names(settings)
    assert statistics["intrinsic_reward"] == pytest.approx(earned.mean())
    assert own.intrinsic_rewards(Transitions.of(episodes)).tolist() != earned.tolist()  # it has learned


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_seen_often_becomes_boring_and_what_is_rare_does_not(kind):
    own = curiosity(kind)
    first = own.intrinsic_rewards(walks(range(5))).mean()
    for seed in range(60):
        own.update(walks(range(5), seed))
    known = own.intrinsic_rewards(walks(range(5), 99)).mean()
    assert known < 0.2 * first
    assert own.intrinsic_rewards(walks(range(7, PLACES), 99)).mean() > 4 * known


@pytest.mark.parametrize("kind", KINDS)
def test_a_rare_place_of_a_batch_earns_more_than_its_common_places(kind):
    own = curiosity(kind)
    rng = np.random.default_rng(0)
    common = np.repeat(np.arange(4), 100)
    for seed in range(30):
        own.intrinsic_rewards(walks(rng.permutation(np.append(common, 9)), seed))
        own.update(walks(np.append(common, 9), seed))
    rare, often = own.intrinsic_rewards(walks([9], 99)), own.intrinsic_rewards(walks(range(4), 99))
    assert rare.mean() > 2 * often.mean()


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_begin_at_about_the_strength_and_are_limited(kind):
    own, scaled = curiosity(kind), curiosity(kind, strength=0.01)
    rewards = own.intrinsic_rewards(walks(range(PLACES)))
    np.testing.assert_allclose(np.sqrt((rewards**2).mean()), 1.0, rtol=0.05)
    np.testing.assert_allclose(scaled.intrinsic_rewards(walks(range(PLACES))), 0.01 * rewards, rtol=1e-5)
    for seed in range(200):
        own.intrinsic_rewards(walks([2], seed))
        own.update(walks([2], seed))
    assert own.intrinsic_rewards(walks([9])).max() <= REWARD_LIMIT


def test_the_inverse_model_learns_which_action_was_taken():
    own = curiosity("icm")
    for seed in range(60):
        statistics = own.update(walks(range(1, PLACES - 1), seed))
    model = own.model
    assert isinstance(model, ICM)
    batch = walks(range(1, PLACES - 1), 99)  # inside, where no wall hides what was done
    (observations,) = batch.observations
    found = model.predicted_actions([observations[batch.before]], [observations[batch.after]])
    assert (found == batch.actions).float().mean() > 0.98
    assert statistics["curiosity_inverse_loss"] < 0.1


def test_the_inverse_model_learns_continuous_values_beside_a_branch():
    behavior = BehaviorSpec("Walker", (ObservationSpec("point", (2,)),), ActionSpec(1, (2,)))
    own = curiosity("icm", behavior)

    def walk(seed):
        generator = torch.Generator().manual_seed(seed)
        point = torch.randn(512, 2, generator=generator)
        value = torch.randn(512, 1, generator=generator)
        jump = torch.randint(2, (512, 1), generator=generator).float()
        return transitions([point], [point + torch.cat([value.clamp(-3, 3), jump], dim=1)], torch.cat([value, jump], 1))

    for seed in range(150):
        batch = walk(seed)
        own.intrinsic_rewards(batch)
        own.update(batch)
    batch = walk(999)
    model = own.model
    assert isinstance(model, ICM)
    (points,) = own.normalized(batch.observations)
    found = model.predicted_actions([points[batch.before]], [points[batch.after]])
    assert (found[:, 1] == batch.actions[:, 1]).float().mean() > 0.95
    assert (found[:, 0] - batch.actions[:, 0]).abs().mean() < 0.15


def test_actions_are_one_hot_for_each_branch_and_values_are_what_the_build_can_tell_apart():
    actions = torch.tensor([[0.5, -7.0, 2.0, 0.0], [4.0, 1.0, 1.0, 1.0]])
    assert encode_actions(actions, ActionSpec(2, (3, 2))).tolist() == [
        [0.5, -3, 0, 0, 1, 1, 0],
        [3, 1, 0, 1, 0, 0, 1],
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shapes", "spec"),
    [
        ([(4,)], ActionSpec(2, ())),
        ([(4,), (2, 3)], ActionSpec(0, (3, 2))),
        ([(3, 8, 8)], ActionSpec(0, (4,))),
        ([(1, 40, 40), (5,)], ActionSpec(1, (2,))),
    ],
)
def test_any_sensors_and_actions_fit_and_become_known(kind, shapes, spec):
    behavior = BehaviorSpec("Any", tuple(ObservationSpec(f"s{i}", shape) for i, shape in enumerate(shapes)), spec)
    own = curiosity(kind, behavior)
    generator = torch.Generator().manual_seed(0)
    seen = [torch.rand(40, *shape, generator=generator) for shape in shapes]
    values = torch.randn(40, spec.continuous_size, generator=generator)
    choices = [torch.randint(width, (40, 1), generator=generator) for width in spec.discrete_branches]
    batch = transitions(seen, [value.roll(1, 0) for value in seen], torch.cat([values, *choices], dim=1))
    rewards = own.intrinsic_rewards(batch)
    assert rewards.shape == (40,)
    assert rewards.dtype == np.float32
    assert (rewards > 0).all()
    assert np.isfinite(rewards).all()
    for _ in range(150):
        statistics = own.update(batch)
    assert own.intrinsic_rewards(batch).mean() < 0.5 * rewards.mean()
    assert ("curiosity_inverse_loss" in statistics) == (kind == "icm")


def history(own: Curiosity, first=0, last=5) -> list:
    return [
        [own.intrinsic_rewards(walks(range(8), seed)).tolist(), own.update(walks(range(8), seed))]
        for seed in range(first, last)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_repeats_and_leaves_the_global_generator_alone(kind):
    torch.manual_seed(1)
    untouched = torch.get_rng_state()
    numbers = history(curiosity(kind, seed=4))
    assert torch.equal(torch.get_rng_state(), untouched)
    torch.manual_seed(2)
    assert history(curiosity(kind, seed=4)) == numbers
    assert history(curiosity(kind, seed=5)) != numbers


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_module_goes_on_as_if_nothing_had_happened(kind):
    own, restored = curiosity(kind, seed=1), curiosity(kind, seed=2)
    history(own)
    restored.set_state({name: np.array(value) for name, value in own.state().items()})
    assert history(restored, 5, 8) == history(own, 5, 8)


def test_a_state_does_not_move_with_the_module():
    own = curiosity("rnd")
    kept = own.state()
    before = {name: value.copy() for name, value in kept.items()}
    history(own)
    for name, value in before.items():
        np.testing.assert_array_equal(kept[name], value)


def test_a_state_of_another_module_is_refused():
    for other in (curiosity("rnd", hidden_sizes=(16,)).state(), curiosity("icm").state()):
        with pytest.raises(InvalidCheckpointError, match="curiosity does not fit"):
            curiosity("rnd").set_state(other)
    with pytest.raises(InvalidCheckpointError, match="without curiosity"):
        curiosity("rnd").set_state({})


@pytest.mark.parametrize("kind", KINDS)
def test_an_observation_that_is_not_a_number_stops_the_training(kind):
    own = curiosity(kind)
    batch = walks(range(5))
    batch.observations[0][:] = torch.nan
    with pytest.raises(TrainingDivergedError, match="curiosity's loss"):
        own.update(batch)


@pytest.mark.parametrize("kind", KINDS)
def test_sets_of_entities_count_only_those_that_are_there(kind):
    entities = ObservationSpec("near", (3, 2), (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE))
    behavior = BehaviorSpec("Sets", (entities, ObservationSpec("own", (1,))), ActionSpec(0, (2,)))
    generator = torch.Generator().manual_seed(0)
    near = torch.randn(200, 3, 2, generator=generator) * 50 + 300
    near[:, 2] = 0  # room for a third, which is never there
    own = curiosity(kind, behavior)
    batch = transitions([near, near[:, 0, :1]], [near.roll(1, 0), near[:, 0, :1].roll(1, 0)], torch.zeros(200, 1))
    first = own.intrinsic_rewards(batch)
    seen, _ = own.normalized(batch.observations)
    np.testing.assert_allclose(seen[:, :2].reshape(-1, 2).mean(dim=0), [0, 0], atol=1e-3)
    np.testing.assert_allclose(seen[:, :2].reshape(-1, 2).std(dim=0), [1, 1], rtol=0.01)
    assert not seen[:, 2].any()
    for _ in range(150):
        own.update(batch)
    assert own.intrinsic_rewards(batch).mean() < 0.5 * first.mean()


def test_random_features_are_of_normalised_observations():
    """A sensor in the thousands beside one near zero: both count."""
    behavior = BehaviorSpec("Scales", (ObservationSpec("both", (2,)),), ActionSpec(0, (2,)))
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(256, 2, generator=generator) * torch.tensor([5000.0, 0.001]) + torch.tensor([20_000.0, 0.0])
    own = curiosity("rnd", behavior)
    batch = transitions([seen], [seen], torch.zeros(256, 1))
    own.intrinsic_rewards(batch)
    (normalized,) = own.normalized(batch.observations)
    np.testing.assert_allclose(normalized.std(dim=0), [1, 1], rtol=0.02)
    np.testing.assert_allclose(normalized.mean(dim=0), [0, 0], atol=1e-3)
