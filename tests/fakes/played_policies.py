"""ONNX policies that play sample builds as arithmetic says: with a memory, by a controller, or by chance."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rl_src.envs.client import UnityClient
from rl_src.envs.spaces import random_actions
from rl_src.serving.onnx_policy import OnnxPolicy

Load = Callable[[], Mapping[str, OnnxPolicy]]

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def loader(models: Mapping[str, Path]) -> Load:
    """Reads the models anew at each call."""
    return lambda: {name: OnnxPolicy.load(path) for name, path in models.items()}


def chance_policies(program: Path, folder: Path, behaviors: int = 1) -> Load:
    """Policies that play by chance, one for each of so many behaviors, which may show up late."""
    numbers = np.random.default_rng(0)
    with UnityClient(program) as client:
        steps = client.reset()
        while len(client.specs) < behaviors:
            waiting = {name: step.decisions for name, step in steps.items() if len(step.decisions)}
            actions = {name: random_actions(client.specs[name].actions, own, numbers) for name, own in waiting.items()}
            steps = client.step(actions)
        specs = {spec.behavior_name: spec for spec in client.specs.values()}
    for name, spec in specs.items():
        shapes = [sensor.shape for sensor in spec.observations]
        actions = spec.actions
        write_chance_policy(folder / f"{name}.onnx", shapes, actions.continuous_size, actions.discrete_branches)
    return loader({name: folder / f"{name}.onnx" for name in specs})


def write_counting_policy(path: Path, size: int, choices: int, moves: Sequence[int]) -> None:
    """Discrete, one branch, with a memory of two numbers: decisions so far, and their negative.

    The n-th decision of an episode is the choice `moves[n]`; past the last one it stays there. Deterministic and
    sampled actions are the same, and observations [size] do not matter.
    """
    constants = {
        **_said(2, branches=[choices]),
        "moves": np.asarray(moves, np.int64),
        "last": np.asarray(len(moves) - 1, np.float32),
        "steps": np.asarray([[[1, -1]]], np.float32),
        "first": np.asarray([0], np.int64),
    }
    nodes = [
        helper.make_node("Add", ["recurrent_in", "steps"], ["recurrent_out"]),
        helper.make_node("Gather", ["recurrent_in", "first"], ["counted"], axis=2),
        helper.make_node("Flatten", ["counted"], ["count"], axis=1),
        helper.make_node("Min", ["count", "last"], ["capped"]),
        helper.make_node("Cast", ["capped"], ["place"], to=INT64),
        helper.make_node("Gather", ["moves", "place"], ["deterministic_discrete_actions"]),
        helper.make_node("Identity", ["deterministic_discrete_actions"], ["discrete_actions"]),
    ]
    inputs = {
        "obs_0": (FLOAT, ["batch", size]),
        "action_masks": (FLOAT, ["batch", choices]),
        "recurrent_in": (FLOAT, ["batch", 1, 2]),
    }
    outputs = {"recurrent_out": (FLOAT, ["batch", 1, 2])} | _discrete_outputs(1)
    _save(path, nodes, inputs, outputs, constants)


def write_controller(path: Path, weights: np.ndarray) -> None:
    """Continuous: both actions are observation · `weights` [size, actions], clipped to [-1, 1]."""
    size, actions = weights.shape
    constants = {
        **_said(0, continuous=actions),
        "w": weights.astype(np.float32),
        "low": np.asarray(-1, np.float32),
        "high": np.asarray(1, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["obs_0", "w"], ["wanted"]),
        helper.make_node("Clip", ["wanted", "low", "high"], ["deterministic_continuous_actions"]),
        helper.make_node("Identity", ["deterministic_continuous_actions"], ["continuous_actions"]),
    ]
    _save(path, nodes, {"obs_0": (FLOAT, ["batch", size])}, _continuous_outputs(actions), constants)


def write_scoring_policy(path: Path, weights: Sequence[np.ndarray], bias: np.ndarray, branches: Sequence[int]) -> None:
    """Discrete, deterministic, whatever the masks: of each branch the choice with the highest score.

    Args:
        path: of the file.
        weights: of each sensor, [its size, sum(branches)]: scores are linear in what is seen.
        bias: [sum(branches)].
        branches: choices of each.
    """
    constants = {**_said(0, branches=branches), "bias": bias.astype(np.float32)}
    constants |= {f"w_{index}": matrix.astype(np.float32) for index, matrix in enumerate(weights)}
    inputs = {f"obs_{index}": (FLOAT, ["batch", len(matrix)]) for index, matrix in enumerate(weights)}
    nodes = [
        helper.make_node("MatMul", [f"obs_{index}", f"w_{index}"], [f"part_{index}"]) for index in range(len(weights))
    ]
    nodes.append(helper.make_node("Sum", [*(f"part_{index}" for index in range(len(weights))), "bias"], ["scores"]))
    nodes.append(helper.make_node("Split", ["scores", "sizes"], [f"scores_{i}" for i in range(len(branches))], axis=1))
    nodes += _best("scores", len(branches), "deterministic_")
    nodes.append(helper.make_node("Identity", ["deterministic_discrete_actions"], ["discrete_actions"]))
    constants["sizes"] = np.asarray(branches, np.int64)
    inputs["action_masks"] = (FLOAT, ["batch", sum(branches)])
    _save(path, nodes, inputs, _discrete_outputs(len(branches)), constants)


def write_chance_policy(
    path: Path, shapes: Sequence[tuple[int, ...]], continuous: int, branches: Sequence[int]
) -> None:
    """Sampled: any allowed choice, any continuous action. Deterministic: the last allowed choice, and 0."""
    constants = _said(0, continuous=continuous, branches=branches)
    nodes: list[onnx.NodeProto] = []
    outputs: dict[str, tuple[int, list[object]]] = {}
    inputs = {f"obs_{index}": (FLOAT, ["batch", *shape]) for index, shape in enumerate(shapes)}
    if continuous:
        constants |= {"nothing": np.zeros((int(np.prod(shapes[0])), continuous), np.float32)}
        nodes += [
            helper.make_node("Flatten", ["obs_0"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "nothing"], ["deterministic_continuous_actions"]),
            helper.make_node(
                "RandomUniformLike", ["deterministic_continuous_actions"], ["continuous_actions"], low=-1.0, high=1.0
            ),
        ]
        outputs |= _continuous_outputs(continuous)
    if branches:
        inputs["action_masks"] = (FLOAT, ["batch", sum(branches)])
        more, known = _chances(branches)
        nodes += more
        constants |= known
        outputs |= _discrete_outputs(len(branches))
    _save(path, nodes, inputs, outputs, constants)


def _chances(branches: Sequence[int]) -> tuple[list[onnx.NodeProto], Mapping[str, np.ndarray]]:
    nodes = [
        helper.make_node("RandomUniformLike", ["action_masks"], ["noise"], low=0.5, high=1.0),
        helper.make_node("Mul", ["action_masks", "noise"], ["tickets"]),
        helper.make_node("Split", ["action_masks", "sizes"], [f"allowed_{i}" for i in range(len(branches))], axis=1),
        helper.make_node("Split", ["tickets", "sizes"], [f"tickets_{i}" for i in range(len(branches))], axis=1),
    ]
    nodes += _best("allowed", len(branches), "deterministic_") + _best("tickets", len(branches), "")
    return nodes, {"sizes": np.asarray(branches, np.int64)}


def _best(source: str, branches: int, prefix: str) -> list[onnx.NodeProto]:
    """Of each branch the choice that has most, the last of several."""
    chosen = [f"{source}_choice_{index}" for index in range(branches)]
    nodes = [
        helper.make_node("ArgMax", [f"{source}_{index}"], [name], axis=1, keepdims=1, select_last_index=1)
        for index, name in enumerate(chosen)
    ]
    return [*nodes, helper.make_node("Concat", chosen, [f"{prefix}discrete_actions"], axis=1)]


def _said(memory: int, *, continuous: int = 0, branches: Sequence[int] = ()) -> dict[str, np.ndarray]:
    """What a model says of itself."""
    said = {"version_number": np.asarray([3], np.float32), "memory_size": np.asarray([memory], np.float32)}
    if continuous:
        said["continuous_action_output_shape"] = np.asarray([continuous], np.float32)
    if branches:
        said["discrete_action_output_shape"] = np.asarray([branches], np.float32)
    return said


def _discrete_outputs(branches: int) -> dict[str, tuple[int, list[object]]]:
    names = ("discrete_actions", "deterministic_discrete_actions")
    return {name: (INT64, ["batch", branches]) for name in names} | {
        "discrete_action_output_shape": (FLOAT, [1, branches])
    }


def _continuous_outputs(actions: int) -> dict[str, tuple[int, list[object]]]:
    names = ("continuous_actions", "deterministic_continuous_actions")
    return {name: (FLOAT, ["batch", actions]) for name in names} | {"continuous_action_output_shape": (FLOAT, [1])}


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, list[object]]],
    outputs: Mapping[str, tuple[int, list[object]]],
    constants: Mapping[str, np.ndarray],
) -> None:
    outputs = {"version_number": (FLOAT, [1]), "memory_size": (FLOAT, [1]), **outputs}
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
