"""A policy in the ONNX format that Unity loads (Inference Engine, formerly Sentis).

Inputs: `obs_0`…`obs_n` [batch, *shape] in sensor order, `action_masks` [batch, sum of branches] with 1 = allowed,
`recurrent_in` [batch, 1, memory] where the policy has a memory; zeros at an episode's start.
Outputs: `continuous_actions` and `deterministic_continuous_actions` [batch, C] in Unity's range, `discrete_actions` and
`deterministic_discrete_actions` [batch, branches], `recurrent_out`, `version_number`, `memory_size`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rl_src.serving.errors import InvalidArtifactError, InvalidRequestError

Floats = NDArray[np.float32]

_RESULTS = ("continuous", "discrete", "memory")

_VERSION_NUMBER = 3  # Unity's ModelApiVersion.MLAgents2_0


@dataclass(frozen=True, slots=True)
class Feed:
    """Checked inputs of the model for `count` agents, by the names of its inputs."""

    count: int
    inputs: dict[str, NDArray[np.generic]]

    @classmethod
    def joined(cls, feeds: Sequence["Feed"]) -> "Feed":
        """Several as one batch, in their order."""
        inputs = {name: np.concatenate([feed.inputs[name] for feed in feeds]) for name in feeds[0].inputs}
        return cls(sum(feed.count for feed in feeds), inputs)


class OnnxPolicy:
    """One behavior's policy. Calls from several threads are fine: ONNX Runtime's sessions are thread-safe."""

    def __init__(self, session: onnxruntime.InferenceSession, sensor_names: Sequence[str] = ()) -> None:
        inputs = {node.name: node for node in session.get_inputs()}
        self._session = session
        self._outputs = {node.name for node in session.get_outputs()}
        self._sensors = [f"obs_{index}" for index in range(sum(name.startswith("obs_") for name in inputs))]
        if not self._sensors or not set(self._sensors) <= set(inputs):
            raise InvalidArtifactError(f"the model's inputs are {', '.join(inputs)}; obs_0, obs_1, … are needed")
        self.memory_size = self._memory_size(inputs)
        self.sensor_names = tuple(sensor_names) or tuple(self._sensors)
        self.observation_shapes = tuple(tuple(inputs[name].shape[1:]) for name in self._sensors)
        self._wants_masks = "action_masks" in inputs
        self.discrete_branches = self._branches()
        self.continuous_size = self._continuous_size()
        self._wanted = {deterministic: self._outputs_for(deterministic) for deterministic in (True, False)}

    @classmethod
    def load(cls, path: Path, threads: int = 1, sensor_names: Sequence[str] = ()) -> "OnnxPolicy":
        """Read a model file.

        Args:
            path: the .onnx file.
            threads: for one call; for small networks more than one rarely pays.
            sensor_names: names for error messages, in sensor order.

        Raises:
            InvalidArtifactError: no ONNX file, or none in Unity's format.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait for work take the core from whoever reads the next request.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            raise InvalidArtifactError(f"{path.name} is no model that ONNX Runtime reads: {error}") from error
        try:
            return cls(session, sensor_names)
        except InvalidArtifactError:
            raise
        except Exception as error:  # it is asked what it says of itself, and its shapes may be anything
            raise InvalidArtifactError(f"{path.name} is no policy in Unity's format: {error!r}") from error

    def act(
        self,
        observations: Sequence[NDArray[np.generic]],
        action_masks: Floats | None = None,
        deterministic: bool = True,
        memory: Floats | None = None,
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Actions for a batch.

        Args:
            observations: one [N, *shape] for each sensor, in order.
            action_masks: [N, sum of branches], 1 = allowed; None allows all.
            deterministic: the likeliest actions, or sampled ones.
            memory: [N, memory_size], see `step`.

        Returns:
            continuous [N, C] float32 and discrete [N, branches] int64.

        Raises:
            InvalidRequestError: a shape does not fit, or a value is no finite number.
        """
        continuous, discrete, _ = self.step(observations, action_masks, deterministic, memory)
        return continuous, discrete

    def step(
        self,
        observations: Sequence[NDArray[np.generic]],
        action_masks: Floats | None = None,
        deterministic: bool = True,
        memory: Floats | None = None,
    ) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Actions for a batch, and what the policy remembers of it.

        Args:
            observations: see `act`.
            action_masks: see `act`.
            deterministic: see `act`.
            memory: [N, memory_size], what this returned at each agent's decision before; zeros, or None for all, at an
                episode's start.

        Returns:
            continuous [N, C] float32, discrete [N, branches] int64 and the new memory [N, memory_size] float32.

        Raises:
            InvalidRequestError: a shape does not fit, or a value is no finite number.
        """
        return self.run(self.prepare(observations, action_masks, memory), deterministic)

    def prepare(
        self,
        observations: Sequence[NDArray[np.generic]],
        action_masks: Floats | None = None,
        memory: Floats | None = None,
    ) -> Feed:
        """Check a batch, without asking the model; arguments and errors are those of `step`."""
        inputs = self._observed(observations)
        count = len(inputs[self._sensors[0]])
        if self._wants_masks:
            inputs["action_masks"] = self._masks(action_masks, count)
        remembered = self._memory(memory, count)
        if self.memory_size:
            inputs["recurrent_in"] = remembered[:, None, :]
        return Feed(count, inputs)

    def run(self, feed: Feed, deterministic: bool = True) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Ask the model what `prepare` has checked; the results are those of `step`."""
        results = dict(zip(_RESULTS, self._empty(feed.count), strict=True))
        names = self._wanted[deterministic]
        results |= zip(names, self._session.run(list(names.values()), feed.inputs), strict=True)
        return (
            np.ascontiguousarray(results["continuous"], np.float32),
            np.ascontiguousarray(results["discrete"]).astype(np.int64, copy=False).reshape(feed.count, -1),
            np.ascontiguousarray(results["memory"], np.float32).reshape(feed.count, self.memory_size),
        )

    def answers(self) -> bool:
        """Whether the model gives finite actions for observations of zeros; what `/ping` asks."""
        continuous, _ = self.act([np.zeros((1, *shape), np.float32) for shape in self.observation_shapes])
        return bool(np.isfinite(continuous).all())

    def _outputs_for(self, deterministic: bool) -> dict[str, str]:
        """The model's outputs by what they are; only what it has."""
        prefix = "deterministic_" if deterministic else ""
        wanted = {kind: f"{prefix}{kind}_actions" for kind, size in self._kinds() if size}
        return wanted | ({"memory": "recurrent_out"} if self.memory_size else {})

    def _empty(self, count: int) -> tuple[Floats, NDArray[np.int64], Floats]:
        """What a model answers that has no such output."""
        return np.zeros((count, 0), np.float32), np.zeros((count, 0), np.int64), np.zeros((count, 0), np.float32)

    def _observed(self, observations: Sequence[NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        if len(observations) != len(self._sensors):
            raise InvalidRequestError(
                f"{len(observations)} observations were given; the sensors are {', '.join(self.sensor_names)}"
            )
        feed: dict[str, NDArray[np.generic]] = {}
        count: int | None = None
        for key, name, shape, given in zip(
            self._sensors, self.sensor_names, self.observation_shapes, observations, strict=True
        ):
            array = np.asarray(given, np.float32)
            if array.shape[1:] != shape or not len(array):
                raise InvalidRequestError(f"{name} has shape {list(array.shape)}; [N, {str(list(shape))[1:]} is right")
            if count is not None and len(array) != count:
                raise InvalidRequestError(f"{name} has {len(array)} observations, {self.sensor_names[0]} {count}")
            if not np.isfinite(array).all():
                raise InvalidRequestError(f"{name} holds a value that is no finite float32 number")
            feed[key], count = np.ascontiguousarray(array), len(array)
        return feed

    def _masks(self, action_masks: Floats | None, count: int) -> Floats:
        size = sum(self.discrete_branches)
        if action_masks is None:
            return np.ones((count, size), np.float32)
        masks = np.asarray(action_masks, np.float32)
        if masks.shape != (count, size):
            raise InvalidRequestError(f"action_masks has shape {list(masks.shape)}; [{count}, {size}] is right")
        start = 0
        for branch, branch_size in enumerate(self.discrete_branches):
            if not (masks[:, start : start + branch_size] > 0).any(axis=1).all():
                raise InvalidRequestError(f"action_masks allows no action of branch {branch}")
            start += branch_size
        return masks

    def _memory(self, memory: Floats | None, count: int) -> Floats:
        if memory is None:
            return np.zeros((count, self.memory_size), np.float32)
        array = np.asarray(memory, np.float32)
        if array.shape != (count, self.memory_size):
            raise InvalidRequestError(f"memory has shape {list(array.shape)}; [{count}, {self.memory_size}] is right")
        if not np.isfinite(array).all():
            raise InvalidRequestError("memory holds a value that is no finite float32 number")
        return np.ascontiguousarray(array)

    def _memory_size(self, inputs: Mapping[str, onnxruntime.NodeArg]) -> int:
        """Of `recurrent_in`; 0 without."""
        if "recurrent_in" not in inputs:
            return 0
        if "recurrent_out" not in self._outputs:
            raise InvalidArtifactError("the model has the input recurrent_in, but no output recurrent_out")
        size = inputs["recurrent_in"].shape[-1]
        if not isinstance(size, int) or size < 1:
            raise InvalidArtifactError(f"recurrent_in has the shape {inputs['recurrent_in'].shape}: its size is open")
        return size

    def _kinds(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return ("continuous", self.continuous_size), ("discrete", len(self.discrete_branches))

    def _constant(self, name: str) -> NDArray[np.generic]:
        feed: dict[str, NDArray[np.generic]] = {
            key: np.zeros((1, *shape), np.float32)
            for key, shape in zip(self._sensors, self.observation_shapes, strict=True)
        }
        if self._wants_masks:
            width = next(node.shape[1] for node in self._session.get_inputs() if node.name == "action_masks")
            feed["action_masks"] = np.ones((1, width), np.float32)
        if self.memory_size:
            feed["recurrent_in"] = np.zeros((1, 1, self.memory_size), np.float32)
        return np.asarray(self._session.run([name], feed)[0])

    def _branches(self) -> tuple[int, ...]:
        if "version_number" not in self._outputs or int(self._constant("version_number").item()) != _VERSION_NUMBER:
            raise InvalidArtifactError(f"the model says another version_number than {_VERSION_NUMBER}")
        if "discrete_action_output_shape" not in self._outputs:
            return ()
        return tuple(int(size) for size in self._constant("discrete_action_output_shape").reshape(-1))

    def _continuous_size(self) -> int:
        if "continuous_action_output_shape" not in self._outputs:
            return 0
        return int(self._constant("continuous_action_output_shape").reshape(-1)[0])
