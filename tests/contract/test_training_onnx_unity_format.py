"""Exported policies against Unity's ONNX format (facts of ML-Agents' loader) and against torch."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.artifacts.onnx_export import export_onnx
from rl_src.training.errors import OnnxExportError
from rl_src.training.networks.action_distribution import mask_logits, to_unity_range
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import ResolvedNetwork

ACTIONS = {
    "discrete": ActionSpec(0, (3,)),
    "branches": ActionSpec(0, (3, 2, 4)),
    "continuous": ActionSpec(3, ()),
    "hybrid": ActionSpec(2, (3, 2)),
}
VECTOR = (ObservationSpec("position", (6,)),)
GOAL = (ObservationSpec("rays", (5, 4)), ObservationSpec("goal", (2,), is_goal=True))
MIXED = (ObservationSpec("camera", (3, 40, 36)), ObservationSpec("rays", (5, 4)), ObservationSpec("speed", (2,)))


def network(
    actions: ActionSpec, observations: tuple[ObservationSpec, ...] = VECTOR, spread: float = 3.0
) -> PolicyNetwork:
    """A policy with opinions: the initial one is close to uniform."""
    torch.manual_seed(0)
    policy = PolicyNetwork(observations, actions, ResolvedNetwork((16, 16), "tanh", True, "hyper"))
    with torch.no_grad():
        policy.actor.head.weight.mul_(spread / 0.01)
        if policy.actor.log_std is not None:
            policy.actor.log_std.copy_(torch.linspace(-1, 0.5, actions.continuous_size))
    policy.update_moments([torch.randn(100, *item.shape) * 3 + 1 for item in observations])
    return policy.eval()


def inputs_for(policy: PolicyNetwork, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {
        f"obs_{i}": rng.normal(1, 3, (rows, *item.shape)).astype(np.float32)
        for i, item in enumerate(policy.observation_specs)
    }
    if policy.action_spec.discrete_branches:
        found["action_masks"] = np.ones((rows, sum(policy.action_spec.discrete_branches)), dtype=np.float32)
    return found


def session(policy: PolicyNetwork, path: Path) -> onnxruntime.InferenceSession:
    export_onnx(policy, path)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("observations", [VECTOR, MIXED, GOAL], ids=["vector", "mixed", "goal"])
@pytest.mark.parametrize("kind", ACTIONS)
def test_names_types_shapes_and_constants(tmp_path, kind, observations):
    actions = ACTIONS[kind]
    policy = network(actions, observations)
    run = session(policy, tmp_path / "policy.onnx")
    branches, size = actions.discrete_branches, actions.continuous_size

    expected_inputs = {f"obs_{i}": list(item.shape) for i, item in enumerate(observations)}
    if branches:
        expected_inputs["action_masks"] = [sum(branches)]
    assert {item.name: item.shape[1:] for item in run.get_inputs()} == expected_inputs
    assert all(isinstance(item.shape[0], str) and item.type == "tensor(float)" for item in run.get_inputs())

    types = {item.name: item.type for item in run.get_outputs()}
    expected = {"version_number": "tensor(float)", "memory_size": "tensor(float)"}
    if size:
        names = ("continuous_actions", "deterministic_continuous_actions", "continuous_action_output_shape")
        expected |= dict.fromkeys(names, "tensor(float)")
    if branches:
        expected |= dict.fromkeys(("discrete_actions", "deterministic_discrete_actions"), "tensor(int64)")
        expected["discrete_action_output_shape"] = "tensor(float)"
    assert types == expected

    for rows in (1, 7):
        found = dict(zip(types, run.run(list(types), inputs_for(policy, rows)), strict=True))
        assert found["version_number"].tolist() == [3.0]
        assert found["memory_size"].tolist() == [0.0]
        if size:
            assert found["continuous_action_output_shape"].tolist() == [float(size)]
            assert found["continuous_actions"].shape == found["deterministic_continuous_actions"].shape == (rows, size)
        if branches:
            assert found["discrete_action_output_shape"].tolist() == [[float(width) for width in branches]]
            assert found["discrete_actions"].shape == found["deterministic_discrete_actions"].shape
            assert found["discrete_actions"].shape == (rows, len(branches))


@pytest.mark.parametrize("kind", ACTIONS)
def test_batch_axis_is_dynamic_opset_in_range_and_the_file_stands_alone(tmp_path, kind):
    policy = network(ACTIONS[kind], MIXED)
    export_onnx(policy, tmp_path / "policy.onnx")
    assert [item.name for item in tmp_path.iterdir()] == ["policy.onnx"]
    model = onnx.load(tmp_path / "policy.onnx")
    onnx.checker.check_model(model)
    assert 9 <= model.opset_import[0].version <= 15
    assert {item.domain for item in model.opset_import} == {""}
    batched = [*model.graph.input, *(item for item in model.graph.output if item.name.endswith("_actions"))]
    assert {item.type.tensor_type.shape.dim[0].dim_param for item in batched} == {"batch"}


@pytest.mark.parametrize(("kind", "observations"), list(itertools.product(ACTIONS, [VECTOR, MIXED, GOAL])))
def test_deterministic_outputs_are_torchs(tmp_path, kind, observations):
    policy = network(ACTIONS[kind], observations)
    run = session(policy, tmp_path / "policy.onnx")
    feed = inputs_for(policy, 200, seed=5)
    with torch.no_grad():
        raw = policy.distribution_inputs([torch.from_numpy(feed[f"obs_{i}"]) for i in range(len(observations))]).numpy()
    size, start = policy.action_spec.continuous_size, 2 * policy.action_spec.continuous_size
    if size:
        (found,) = run.run(["deterministic_continuous_actions"], feed)
        np.testing.assert_allclose(found, to_unity_range(raw[:, :size]), atol=1e-5)
        assert np.abs(found).max() > 0.5
    if policy.action_spec.discrete_branches:
        (found,) = run.run(["deterministic_discrete_actions"], feed)
        for branch, width in enumerate(policy.action_spec.discrete_branches):
            assert found[:, branch].tolist() == raw[:, start : start + width].argmax(axis=1).tolist()
            assert len(set(found[:, branch].tolist())) > 1
            start += width


def test_sampled_discrete_actions_follow_the_policy_and_the_masks(tmp_path):
    policy = network(ACTIONS["hybrid"], spread=1.0)
    run = session(policy, tmp_path / "policy.onnx")
    rows = 40_000
    feed = {name: np.repeat(value, rows, axis=0) for name, value in inputs_for(policy, 1).items()}
    feed["action_masks"][:, [1, 3]] = 0.0
    (found,) = run.run(["discrete_actions"], feed)
    raw = policy.distribution_inputs([torch.from_numpy(feed["obs_0"][:1])])
    masked = mask_logits(raw, torch.from_numpy(feed["action_masks"][:1]), policy.action_spec)[0]
    first, second = torch.softmax(masked[4:7], 0).detach().numpy(), torch.softmax(masked[7:], 0).detach().numpy()
    np.testing.assert_allclose(np.bincount(found[:, 0], minlength=3) / rows, first, atol=0.015)
    np.testing.assert_allclose(np.bincount(found[:, 1], minlength=2) / rows, second, atol=0.015)
    assert first[1] == second[0] == 0.0


def test_sampled_continuous_actions_follow_the_policy(tmp_path):
    policy = network(ACTIONS["continuous"], spread=0.3)
    run = session(policy, tmp_path / "policy.onnx")
    rows = 40_000
    feed = {name: np.repeat(value, rows, axis=0) for name, value in inputs_for(policy, 1).items()}
    (found,) = run.run(["continuous_actions"], feed)
    with torch.no_grad():
        raw = policy.distribution_inputs([torch.from_numpy(feed["obs_0"][:1])])[0].numpy()
    expected = to_unity_range(np.random.default_rng(0).normal(raw[:3], np.exp(raw[3:]), (rows, 3)).astype(np.float32))
    np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), expected.std(axis=0), atol=0.02)


def test_a_mask_overrules_the_likeliest_action(tmp_path):
    policy = network(ACTIONS["discrete"])
    run = session(policy, tmp_path / "policy.onnx")
    feed = inputs_for(policy, 100)
    (free,) = run.run(["deterministic_discrete_actions"], feed)
    feed["action_masks"][np.arange(100), free[:, 0]] = 0.0
    (bound,) = run.run(["deterministic_discrete_actions"], feed)
    assert (bound != free).all()


class DriftingNetwork(PolicyNetwork):
    """Answers otherwise for many rows than for one: what tracing freezes wrongly."""

    def step(self, observations, memory=None):
        inputs, memory = super().step(observations, memory)
        return inputs * 2 if len(observations[0]) > 1 else inputs, memory


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["continuous", "hybrid"])
def test_a_policy_that_is_exported_wrongly_is_an_error_and_leaves_no_file(tmp_path, kind):
    policy = network(ACTIONS[kind])
    policy.__class__ = DriftingNetwork
    with pytest.raises(OnnxExportError, match="deterministic_continuous_actions"):
        export_onnx(policy, tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []
