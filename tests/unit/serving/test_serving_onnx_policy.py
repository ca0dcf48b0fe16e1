"""ONNX policies: answers known by arithmetic, refusals that name the sensor."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rl_src.serving.errors import InvalidArtifactError, InvalidRequestError
from rl_src.serving.onnx_policy import OnnxPolicy
from tests.fakes.onnx_policies import write_linear_policy, write_scaling_policy

WEIGHTS = np.asarray([[1, 0, -1], [0, 2, 0]], np.float32)


@pytest.fixture(scope="module")
def discrete(tmp_path_factory: pytest.TempPathFactory) -> OnnxPolicy:
    path = tmp_path_factory.mktemp("models") / "discrete.onnx"
    write_linear_policy(path, WEIGHTS)
    return OnnxPolicy.load(path, sensor_names=["Position"])


@pytest.fixture(scope="module")
def continuous(tmp_path_factory: pytest.TempPathFactory) -> OnnxPolicy:
    path = tmp_path_factory.mktemp("models") / "continuous.onnx"
    write_scaling_policy(path, 0.5, (3, 2, 2))
    return OnnxPolicy.load(path)


def test_what_the_model_says_of_itself_is_read(discrete: OnnxPolicy, continuous: OnnxPolicy) -> None:
    assert (discrete.observation_shapes, discrete.discrete_branches, discrete.continuous_size) == (((2,),), (3,), 0)
    assert (continuous.observation_shapes, continuous.discrete_branches, continuous.continuous_size) == (
        ((3, 2, 2),),
        (),
        12,
    )


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-100, 100, width=32)))
def test_deterministic_actions_are_the_largest_products(discrete: OnnxPolicy, observations: np.ndarray) -> None:
    _, actions = discrete.act([observations])
    np.testing.assert_array_equal(actions[:, 0], np.argmax(observations @ WEIGHTS, axis=1))


def test_sampled_actions_come_from_the_other_output(discrete: OnnxPolicy) -> None:
    _, actions = discrete.act([np.asarray([[5, 0]], np.float32)], deterministic=False)
    assert actions.tolist() == [[2]]


def test_continuous_actions(continuous: OnnxPolicy) -> None:
    observation = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    actions, discrete_actions = continuous.act([observation])
    np.testing.assert_allclose(actions, observation.reshape(1, 12) * 0.5)
    assert discrete_actions.shape == (1, 0)


def test_a_mask_forbids_the_best_action(discrete: OnnxPolicy) -> None:
    observation = np.asarray([[5, 0], [5, 0]], np.float32)
    _, actions = discrete.act([observation], np.asarray([[1, 1, 1], [0, 1, 1]], np.float32))
    assert actions.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("observations", "masks", "message"),
    [
        ([np.zeros((1, 3))], None, r"Position has shape \[1, 3\]; \[N, 2\] is right"),
        ([np.zeros(2)], None, r"Position has shape \[2\]"),
        ([np.zeros((0, 2))], None, r"Position has shape \[0, 2\]"),
        ([np.zeros((1, 2)), np.zeros((1, 2))], None, "2 observations were given; the sensors are Position"),
        ([np.asarray([[np.nan, 0]])], None, "Position holds a value that is no finite"),
        ([np.asarray([[np.inf, 0]])], None, "Position holds a value that is no finite"),
        ([np.zeros((2, 2))], np.ones((1, 3)), r"action_masks has shape \[1, 3\]; \[2, 3\] is right"),
        ([np.zeros((1, 2))], np.zeros((1, 3)), "action_masks allows no action of branch 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    discrete: OnnxPolicy, observations: list, masks: np.ndarray | None, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        discrete.act(observations, masks)


def test_sensors_with_different_numbers_of_agents_are_refused(tmp_path: Path) -> None:
    write_linear_policy(tmp_path / "two.onnx", WEIGHTS, sensors=2)
    policy = OnnxPolicy.load(tmp_path / "two.onnx", sensor_names=["A", "B"])
    with pytest.raises(InvalidRequestError, match="B has 3 observations, A 2"):
        policy.act([np.zeros((2, 2)), np.zeros((3, 2))])


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InvalidArtifactError, match=r"model\.onnx is no model"):
        OnnxPolicy.load(tmp_path / "model.onnx")
