"""What recordings make a policy's loss: how much, how long, in which order, and where they are looked for."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidCheckpointError, InvalidDemonstrationError, UnsupportedBehaviorError
from rl_src.training.imitation.behavioral_cloning import BehavioralCloning
from rl_src.training.imitation.demonstrations import Demonstrations, find_recording
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import CloningSettings, Memory, ResolvedNetwork

HYBRID = BehaviorSpec("Mixed", (ObservationSpec("seen", (3,)),), ActionSpec(2, (2, 3)))
DISCRETE = BehaviorSpec("Choosing", (ObservationSpec("seen", (3,)),), ActionSpec(0, (2, 3)))
CONTINUOUS = BehaviorSpec("Moving", (ObservationSpec("seen", (3,)),), ActionSpec(2))


def network_of(behavior: BehaviorSpec, memory: Memory | None = None) -> PolicyNetwork:
    torch.manual_seed(0)
    network = PolicyNetwork(
        behavior.observations, behavior.actions, ResolvedNetwork((8,), "tanh", False, memory=memory)
    )
    with torch.no_grad():
        for parameter in network.actor.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def demonstrations(behavior: BehaviorSpec, rows: int = 10, masks: np.ndarray | None = None) -> Demonstrations:
    rng = np.random.default_rng(1)
    spec = behavior.actions
    actions = [rng.uniform(-3, 3, (rows, spec.continuous_size))]
    actions += [rng.integers(width, size=(rows, 1)) for width in spec.discrete_branches]
    if spec.discrete_branches and masks is None:
        masks = np.ones((rows, sum(spec.discrete_branches)))
    return Demonstrations(
        behavior,
        (rng.normal(size=(rows, 3)).astype(np.float32),),
        np.concatenate(actions, axis=1).astype(np.float32),
        None if masks is None else masks.astype(np.float32),
    )


def cloning(shown: Demonstrations, minibatch_size: int = 100, seed: int = 0, **settings) -> BehavioralCloning:
    return BehavioralCloning(shown, CloningSettings("a.demo", **settings), minibatch_size, seed)


def inputs_of(network: PolicyNetwork, shown: Demonstrations) -> np.ndarray:
    with torch.no_grad():
        return network.distribution_inputs([torch.from_numpy(shown.observations[0])]).numpy().astype(np.float64)


def test_discrete_choices_count_by_their_negative_log_likelihood():
    network, shown = network_of(DISCRETE), demonstrations(DISCRETE)
    shown.masks[:, 4] = shown.actions[:, 1] == 2  # the others were not allowed it
    logits = np.where(shown.masks > 0, inputs_of(network, shown), -np.inf)
    expected = 0.0
    for row, (first, second) in enumerate(shown.actions.astype(int)):
        for part, choice in ((logits[row, :2], first), (logits[row, 2:], second)):
            expected += np.log(np.exp(part).sum()) - part[choice]
    loss = cloning(shown, strength=1.0).loss(network, 0)
    assert loss is not None
    assert loss.item() == pytest.approx(expected / len(shown), rel=1e-5)


def test_continuous_values_count_by_the_mean_s_squared_error_alone():
    network, shown = network_of(CONTINUOUS), demonstrations(CONTINUOUS)
    loss = cloning(shown, strength=1.0).loss(network, 0)
    assert loss is not None
    assert loss.item() == pytest.approx(np.square(inputs_of(network, shown)[:, :2] - shown.actions).mean(), rel=1e-5)
    loss.backward()
    assert network.actor.log_std.grad is None or not network.actor.log_std.grad.any()
    assert network.actor.head.weight.grad.any()


def test_values_beyond_unity_s_range_are_its_ends():
    network, shown = network_of(CONTINUOUS), demonstrations(CONTINUOUS)
    shown.actions[:] = 30.0
    loss = cloning(shown, strength=1.0).loss(network, 0)
    assert loss is not None
    assert loss.item() == pytest.approx(np.square(inputs_of(network, shown)[:, :2] - 3.0).mean(), rel=1e-5)


def test_of_hybrid_actions_both_parts_count():
    network, shown = network_of(HYBRID), demonstrations(HYBRID)
    inputs = inputs_of(network, shown)
    expected = np.square(inputs[:, :2] - shown.actions[:, :2]).mean()
    for row, (first, second) in enumerate(shown.actions[:, 2:].astype(int)):
        for part, choice in ((inputs[row, 4:6], first), (inputs[row, 6:], second)):
            expected += (np.log(np.exp(part).sum()) - part[choice]) / len(shown)
    loss = cloning(shown, strength=1.0).loss(network, 0)
    assert loss is not None
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_weight_falls_in_a_straight_line_to_nothing():
    network, shown = network_of(HYBRID), demonstrations(HYBRID)
    imitating = cloning(shown, strength=0.8, steps=1000)
    losses = [imitating.loss(network, steps) for steps in (0, 250, 500, 999, 1000, 5000)]
    assert losses[4:] == [None, None]
    whole = losses[0].item()
    assert [loss.item() / whole for loss in losses[:4]] == pytest.approx([1.0, 0.75, 0.5, 0.001], rel=1e-4)
    assert imitating.weight(0) == 0.8


def test_minibatches_go_through_everything_before_anything_comes_again():
    imitating = cloning(demonstrations(DISCRETE, rows=12), minibatch_size=4)
    drawn = [imitating._next().tolist() for _ in range(6)]
    for begin in (0, 3):
        assert sorted(row for rows in drawn[begin : begin + 3] for row in rows) == list(range(12))
    assert drawn[:3] != drawn[3:]


@pytest.mark.parametrize(("rows", "given", "drawn"), [(12, None, 4), (12, 6, 6), (3, None, 3)])
def test_a_minibatch_s_size(rows, given, drawn):
    imitating = cloning(demonstrations(DISCRETE, rows=rows), minibatch_size=4, batch_size=given)
    assert [len(imitating._next()) for _ in range(5)] == [drawn] * 5


def test_a_seed_gives_an_order_and_the_global_generator_is_left_alone():
    def order(seed: int) -> list:
        imitating = cloning(demonstrations(DISCRETE, rows=20), minibatch_size=5, seed=seed)
        return [imitating._next().tolist() for _ in range(8)]

    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert order(1) == order(1)
    assert order(1) != order(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_goes_on_from_its_state():
    shown = demonstrations(DISCRETE, rows=12)
    one, other = cloning(shown, 5, seed=1), cloning(shown, 5, seed=2)
    one._next()
    state = one.state()
    later = [one._next().tolist() for _ in range(6)]
    other.set_state(state)
    assert [other._next().tolist() for _ in range(6)] == later


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    imitating = cloning(demonstrations(DISCRETE, rows=12), 5)
    foreign = cloning(demonstrations(DISCRETE, rows=9), 5).state()
    good = imitating.state()
    for wrong in ({}, foreign, {**good, "shuffling": np.zeros(3, np.uint8)}, {**good, "position": np.zeros(0)}):
        with pytest.raises(InvalidCheckpointError, match="behavioral cloning does not fit"):
            imitating.set_state(wrong)
    assert all(np.array_equal(value, good[name]) for name, value in imitating.state().items())


def test_forbidden_choices_are_left_out():
    shown = demonstrations(DISCRETE)
    shown.masks[3, int(shown.actions[3, 0])] = 0
    shown.masks[7, 2 + int(shown.actions[7, 1])] = 0
    imitating = cloning(shown)
    assert len(imitating._next()) == 8
    loss = imitating.loss(network_of(DISCRETE), 0)
    assert loss is not None
    assert loss.item() < 100
    shown.masks[:] = 0
    with pytest.raises(InvalidDemonstrationError, match="nothing but choices that the build had forbidden"):
        cloning(shown)


def test_a_memory_is_refused():
    network = network_of(DISCRETE, Memory(size=4, sequence_length=4))
    with pytest.raises(UnsupportedBehaviorError, match="memory") as caught:
        cloning(demonstrations(DISCRETE)).loss(network, 0)
    assert "behavioral_cloning" in caught.value.remedy


@pytest.fixture
def build(tmp_path) -> Path:
    """The program's folder, in a zip that has more than it."""
    for name in ("game/Game.x86_64", "game/a/One.demo", "game/a/Two.demo", "game/b/Two.demo", "Beside.demo", "x.demo"):
        path = tmp_path / "zip" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "Outside.demo").touch()
    return tmp_path / "zip/game"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("a/One.demo", "a/One.demo"),
        ("a", "a"),
        ("Beside.demo", "../Beside.demo"),
        ("game/a/One.demo", "a/One.demo"),
        ("One.demo", "a/One.demo"),
        ("Project/Assets/Demos/One.demo", "a/One.demo"),
        ("b/Two.demo", "b/Two.demo"),
    ],
)
def test_a_recording_is_found_by_its_path_or_its_name(build, asked, found):
    assert find_recording(asked, build).resolve() == (build / found).resolve()


@pytest.mark.parametrize("asked", ["Missing.demo", "../../Outside.demo", "/etc/passwd"])
def test_what_is_missing_is_refused_with_what_there_is(build, asked):
    with pytest.raises(InvalidDemonstrationError, match=r"there: a/One\.demo, a/Two\.demo, b/Two\.demo\.") as caught:
        find_recording(asked, build)
    assert asked in caught.value.cause


def test_a_name_that_several_have_is_refused(build):
    with pytest.raises(InvalidDemonstrationError, match=r"several recordings Two\.demo: a/Two\.demo, b/Two\.demo"):
        find_recording("Two.demo", build)


def test_a_build_without_recordings_says_so(tmp_path):
    with pytest.raises(InvalidDemonstrationError, match="recordings there: none"):
        find_recording("a.demo", tmp_path)
