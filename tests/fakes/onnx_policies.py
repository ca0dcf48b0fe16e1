"""Policies in Unity's format whose answers are known by arithmetic, made by hand with onnx.helper."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_linear_policy(path: Path, weights: np.ndarray, sensors: int = 1) -> None:
    """Discrete, one branch, `weights` [size, choices].

    The deterministic action is the largest allowed entry of obs · W; the sampled one is always the last choice, so that
    the two can be told apart.
    """
    size, choices = weights.shape
    constants = {
        "w": weights.astype(np.float32),
        "version_number": np.asarray([3], np.float32),
        "memory_size": np.asarray([0], np.float32),
        "discrete_action_output_shape": np.asarray([[choices]], np.float32),
        "one": np.asarray(1, np.float32),
        "huge": np.asarray(1e8, np.float32),
        "last": np.asarray([[choices - 1]], np.int64),
    }
    nodes = [
        helper.make_node("Sum" if sensors > 1 else "Identity", [f"obs_{i}" for i in range(sensors)], ["obs"]),
        helper.make_node("MatMul", ["obs", "w"], ["logits"]),
        helper.make_node("Sub", ["action_masks", "one"], ["forbidden"]),
        helper.make_node("Mul", ["forbidden", "huge"], ["penalty"]),
        helper.make_node("Add", ["logits", "penalty"], ["masked"]),
        helper.make_node("ArgMax", ["masked"], ["deterministic_discrete_actions"], axis=1, keepdims=1),
        helper.make_node("Mul", ["deterministic_discrete_actions", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "last"], ["discrete_actions"]),
    ]
    constants["zero"] = np.asarray(0, np.int64)
    inputs = [helper.make_tensor_value_info(f"obs_{i}", TensorProto.FLOAT, ["batch", size]) for i in range(sensors)]
    inputs.append(helper.make_tensor_value_info("action_masks", TensorProto.FLOAT, ["batch", choices]))
    outputs = [
        helper.make_tensor_value_info("version_number", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("memory_size", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("discrete_actions", TensorProto.INT64, ["batch", 1]),
        helper.make_tensor_value_info("deterministic_discrete_actions", TensorProto.INT64, ["batch", 1]),
        helper.make_tensor_value_info("discrete_action_output_shape", TensorProto.FLOAT, [1, 1]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    _save(path, nodes, inputs, outputs, initializers)


def write_scaling_policy(path: Path, scale: float, shape: tuple[int, ...] = (2,)) -> None:
    """Continuous: the deterministic action is `scale` times the observation, the sampled one its negative."""
    size = int(np.prod(shape))
    constants = {
        "scale": np.asarray(scale, np.float32),
        "minus": np.asarray(-scale, np.float32),
        "version_number": np.asarray([3], np.float32),
        "memory_size": np.asarray([0], np.float32),
        "continuous_action_output_shape": np.asarray([size], np.float32),
    }
    nodes = [
        helper.make_node("Flatten", ["obs_0"], ["flat"], axis=1),
        helper.make_node("Mul", ["flat", "scale"], ["deterministic_continuous_actions"]),
        helper.make_node("Mul", ["flat", "minus"], ["continuous_actions"]),
    ]
    inputs = [helper.make_tensor_value_info("obs_0", TensorProto.FLOAT, ["batch", *shape])]
    names = {"version_number": [1], "memory_size": [1], "continuous_action_output_shape": [1]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in names.items()]
    outputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name in ("continuous_actions", "deterministic_continuous_actions")
    ]
    _save(path, nodes, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in constants.items()])


def write_summing_policy(path: Path, size: int = 2) -> None:
    """Continuous, with a memory of `size`: it remembers the sum of all observations, and that is its action."""
    constants = {
        "version_number": np.asarray([3], np.float32),
        "memory_size": np.asarray([size], np.float32),
        "continuous_action_output_shape": np.asarray([size], np.float32),
        "axes": np.asarray([1], np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["obs_0", "axes"], ["step"]),
        helper.make_node("Add", ["step", "recurrent_in"], ["recurrent_out"]),
        helper.make_node("Squeeze", ["recurrent_out", "axes"], ["deterministic_continuous_actions"]),
        helper.make_node("Identity", ["deterministic_continuous_actions"], ["continuous_actions"]),
    ]
    inputs = [
        helper.make_tensor_value_info("obs_0", TensorProto.FLOAT, ["batch", size]),
        helper.make_tensor_value_info("recurrent_in", TensorProto.FLOAT, ["batch", 1, size]),
    ]
    names = {"version_number": [1], "memory_size": [1], "continuous_action_output_shape": [1]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in names.items()]
    outputs.append(helper.make_tensor_value_info("recurrent_out", TensorProto.FLOAT, ["batch", 1, size]))
    outputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name in ("continuous_actions", "deterministic_continuous_actions")
    ]
    _save(path, nodes, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in constants.items()])


def write_artifact(folder: Path, weights: np.ndarray, version: str = "game-1", behavior: str = "Game") -> Path:
    """A serving artifact with one linear policy."""
    write_linear_policy(folder / "policies" / f"{behavior}.onnx", weights)
    return write_manifest(folder, {behavior: (weights.shape[0],)}, version)


def write_manifest(
    folder: Path, behaviors: dict[str, tuple[int, ...]], version: str = "game-1", sensor: str = "Sensor"
) -> Path:
    """What makes an artifact of the models in `policies/`; each has one sensor, of the shape that is given."""
    spec = {
        "format_version": 1,
        "policy": "game",
        "version": version,
        "behaviors": [
            {
                "name": behavior,
                "onnx": f"policies/{behavior}.onnx",
                "observations": [{"name": sensor, "shape": list(shape)}],
            }
            for behavior, shape in behaviors.items()
        ],
    }
    (folder / "policy_spec.json").write_text(json.dumps(spec))
    files = {
        str(path.relative_to(folder)): {
            "size_bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in folder.rglob("*")
        if path.is_file()
    }
    (folder / "manifest.json").write_text(json.dumps({"format_version": 1, "run_id": version, "files": files}))
    return folder


def _save(path: Path, nodes: list, inputs: list, outputs: list, initializers: list) -> None:
    graph = helper.make_graph(nodes, "policy", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
