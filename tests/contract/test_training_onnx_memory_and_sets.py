"""Exported policies that remember, or see pictures and sets of entities, against Unity's format and against torch."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rl_src.envs.specs import ActionSpec, DimensionProperty, ObservationSpec
from rl_src.serving.onnx_policy import OnnxPolicy
from rl_src.training.artifacts.onnx_export import OPSET, export_onnx
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.settings.config import Memory, ResolvedNetwork

HYBRID = ActionSpec(2, (3, 2))
VECTOR = ObservationSpec("position", (6,))
CAMERA = ObservationSpec("camera", (3, 40, 36))
ENTITIES = ObservationSpec("others", (5, 4), (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE))
UNITS = 12


def network(observations: tuple[ObservationSpec, ...], settings: ResolvedNetwork) -> PolicyNetwork:
    """With opinions: the initial one is close to uniform."""
    torch.manual_seed(0)
    policy = PolicyNetwork(observations, HYBRID, settings)
    with torch.no_grad():
        policy.actor.head.weight.mul_(100.0)
    policy.update_moments([torch.randn(100, *item.shape) * 3 + 1 for item in observations])
    return policy.eval()


def remembering(observations: tuple[ObservationSpec, ...] = (VECTOR,)) -> PolicyNetwork:
    return network(observations, ResolvedNetwork((16,), "tanh", True, memory=Memory(UNITS, 8)))


def test_the_memory_has_unitys_names_and_shapes(tmp_path: Path) -> None:
    export_onnx(remembering(), tmp_path / "policy.onnx")
    model = onnx.load(tmp_path / "policy.onnx")
    assert model.opset_import[0].version == OPSET
    assert {item.domain for item in model.opset_import} == {""}
    run = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"), providers=["CPUExecutionProvider"])
    inputs = {item.name: item.shape for item in run.get_inputs()}
    assert list(inputs) == ["obs_0", "action_masks", "recurrent_in"]
    assert inputs["recurrent_in"] == ["batch", 1, 2 * UNITS]
    outputs = {item.name: item.shape for item in run.get_outputs()}
    assert (outputs["recurrent_out"][0], outputs["recurrent_out"][1:]) == ("batch", [1, 2 * UNITS])
    feed = {
        "obs_0": np.zeros((3, 6), np.float32),
        "action_masks": np.ones((3, 5), np.float32),
        "recurrent_in": np.zeros((3, 1, 2 * UNITS), np.float32),
    }
    size, memory = run.run(["memory_size", "recurrent_out"], feed)
    assert (size.tolist(), memory.shape) == ([2.0 * UNITS], (3, 1, 2 * UNITS))


@pytest.mark.parametrize("observations", [(VECTOR,), (VECTOR, CAMERA, ENTITIES)], ids=["vector", "mixed"])
def test_what_is_remembered_over_many_steps_is_torchs(
    tmp_path: Path, observations: tuple[ObservationSpec, ...]
) -> None:
    policy = remembering(observations)
    export_onnx(policy, tmp_path / "policy.onnx")
    served = OnnxPolicy.load(tmp_path / "policy.onnx")
    rng = np.random.default_rng(3)
    ours, theirs = torch.zeros(4, policy.memory_size), None
    for _ in range(20):
        seen = [rng.normal(1, 2, (4, *item.shape)).astype(np.float32) for item in observations]
        with torch.no_grad():
            raw, after = policy.step([torch.from_numpy(value) for value in seen], ours)
        assert after is not None
        continuous, _, theirs = served.step(seen, None, True, theirs)
        np.testing.assert_allclose(theirs, after.numpy(), atol=1e-5)
        np.testing.assert_allclose(continuous, raw[:, :2].clamp(-3, 3) / 3, atol=1e-5)
        ours = after


@pytest.mark.parametrize("kind", ["simple", "nature_cnn", "resnet", "match3"])
def test_every_image_encoder_is_exported_as_it_is(tmp_path: Path, kind: str) -> None:
    policy = network((CAMERA, VECTOR), ResolvedNetwork((16,), "relu", False, image_encoder=kind))  # type: ignore[arg-type]
    export_onnx(policy, tmp_path / "policy.onnx")
    seen = [np.random.default_rng(0).random((3, *item.shape), np.float32) for item in (CAMERA, VECTOR)]
    continuous, _, _ = OnnxPolicy.load(tmp_path / "policy.onnx").step(seen, None, True, None)
    with torch.no_grad():
        raw = policy.distribution_inputs([torch.from_numpy(value) for value in seen])
    np.testing.assert_allclose(continuous, raw[:, :2].clamp(-3, 3) / 3, atol=1e-5)
    assert np.abs(np.diff(continuous, axis=0)).max() > 1e-3, "the pictures make no difference"


def test_sets_of_entities_are_exported_as_they_are(tmp_path: Path) -> None:
    policy = network((ENTITIES, VECTOR), ResolvedNetwork((16,), "tanh", True))
    export_onnx(policy, tmp_path / "policy.onnx")
    seen = np.random.default_rng(0).normal(1, 3, (6, *ENTITIES.shape)).astype(np.float32)
    for row in range(6):
        seen[row, row:] = 0.0  # none, one, two, ... all five
    vector = np.zeros((6, *VECTOR.shape), np.float32)
    continuous, _, _ = OnnxPolicy.load(tmp_path / "policy.onnx").step([seen, vector], None, True, None)
    with torch.no_grad():
        raw = policy.distribution_inputs([torch.from_numpy(seen), torch.from_numpy(vector)])
    np.testing.assert_allclose(continuous, raw[:, :2].clamp(-3, 3) / 3, atol=1e-5)
