"""The policy as ONNX, in the format that a Unity scene loads.

Names, shapes and constants are those of ML-Agents' model version 3. No Unity was at hand to load the files: they are
checked against that description, the ONNX checker and ONNX Runtime.
The legacy exporter is used on purpose: with opset 15, torch's newer one writes opset 18 and a second file.
"""

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from rl_src.training.errors import OnnxExportError
from rl_src.training.networks.action_distribution import mask_logits
from rl_src.training.networks.network import PolicyNetwork

OPSET = 15
"""The highest that Unity's Inference Engine reads (it takes 9 to 15)."""

MODEL_VERSION = 3.0
TOLERANCE = 1e-5
CHECKED_ROWS = 64

_EXPORTER_LOGGER = "torch.onnx"


class UnityPolicy(nn.Module):
    """What is exported: observations (and masks) in; actions in Unity's range and the format's constants out."""

    def __init__(self, network: PolicyNetwork) -> None:
        super().__init__()
        self.network = network
        spec = network.action_spec
        self.continuous_size = spec.continuous_size
        self.branches = tuple(spec.discrete_branches)
        self.version_number = _constant([MODEL_VERSION])
        self.memory_size = _constant([float(network.memory_size)])
        self.continuous_shape = _constant([float(self.continuous_size)])
        self.discrete_shape = _constant([[float(width) for width in self.branches]])

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """obs_0, …, obs_n[, action_masks][, recurrent_in] -> the outputs of `output_names`, in their order."""
        raw, memory = self.distribution(*inputs)
        outputs: list[torch.Tensor] = [self.version_number, self.memory_size]
        if memory is not None:
            outputs.append(memory.unsqueeze(1))
        if self.continuous_size:
            outputs += self._continuous(raw)
        if self.branches:
            outputs += self._discrete(raw)
        return tuple(outputs)

    def distribution(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Masked distribution inputs, and the memory afterwards."""
        sensors = len(self.network.observation_specs)
        masks = inputs[sensors] if self.branches else None
        memory = inputs[-1].squeeze(1) if self.network.memory_size else None
        raw, memory = self.network.step(list(inputs[:sensors]), memory)
        return mask_logits(raw, masks, self.network.action_spec), memory

    def _continuous(self, raw: torch.Tensor) -> list[torch.Tensor]:
        size = self.continuous_size
        mean, deviation = raw[:, :size], raw[:, size : 2 * size].exp()
        sampled = mean + torch.randn_like(mean) * deviation
        return [sampled.clamp(-3.0, 3.0) / 3.0, self.continuous_shape, mean.clamp(-3.0, 3.0) / 3.0]

    def _discrete(self, raw: torch.Tensor) -> list[torch.Tensor]:
        sampled, greedy, start = [], [], 2 * self.continuous_size
        for width in self.branches:
            logits = raw[:, start : start + width]
            sampled.append(torch.multinomial(torch.softmax(logits, dim=1), 1))
            greedy.append(logits.argmax(dim=1, keepdim=True))
            start += width
        return [torch.cat(sampled, dim=1), self.discrete_shape, torch.cat(greedy, dim=1)]


def output_names(network: PolicyNetwork) -> list[str]:
    """The graph's outputs, in order."""
    names = ["version_number", "memory_size"]
    if network.memory_size:
        names.append("recurrent_out")
    if network.action_spec.continuous_size:
        names += ["continuous_actions", "continuous_action_output_shape", "deterministic_continuous_actions"]
    if network.action_spec.discrete_branches:
        names += ["discrete_actions", "discrete_action_output_shape", "deterministic_discrete_actions"]
    return names


def export_onnx(network: PolicyNetwork, path: Path) -> None:
    """Write the policy to `path`, after ONNX Runtime has given torch's answers on random observations.

    Raises:
        OnnxExportError: it gave others; nothing is left at `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    policy = UnityPolicy(network).eval()
    try:
        _export(policy, draft)
        _check(policy, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _export(policy: UnityPolicy, path: Path) -> None:
    names = input_names(policy.network)
    outputs = output_names(policy.network)
    dynamic = [*names, *(name for name in outputs if name.endswith(("_actions", "recurrent_out")))]
    logger = logging.getLogger(_EXPORTER_LOGGER)
    level = logger.level
    with warnings.catch_warnings():
        # It warns of its own deprecation, and of constants that do not depend on the inputs: these are meant.
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                policy,
                tuple(torch.from_numpy(value) for value in _random_inputs(policy.network, 1)),
                str(path),
                opset_version=OPSET,
                input_names=names,
                output_names=outputs,
                dynamic_axes={name: {0: "batch"} for name in dynamic},
                dynamo=False,
            )
        finally:
            logger.setLevel(level)


def input_names(network: PolicyNetwork) -> list[str]:
    """The graph's inputs, in order."""
    names = [f"obs_{i}" for i in range(len(network.observation_specs))]
    names += ["action_masks"] if network.action_spec.discrete_branches else []
    return [*names, "recurrent_in"] if network.memory_size else names


def _check(policy: UnityPolicy, path: Path) -> None:
    inputs = _random_inputs(policy.network, CHECKED_ROWS)
    with torch.no_grad():
        expected = policy(*(torch.from_numpy(value) for value in inputs))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    names = output_names(policy.network)
    found = session.run(names, dict(zip(input_names(policy.network), inputs, strict=True)))
    for name, ours, theirs in zip(names, expected, found, strict=True):
        if name in ("continuous_actions", "discrete_actions"):
            continue  # sampled
        difference = _difference(ours.numpy(), np.asarray(theirs), policy, inputs, name)
        if difference > TOLERANCE:
            raise OnnxExportError(
                f"output {name} of the exported policy differs from the trained one by {difference:g}."
            )


def _difference(
    ours: NDArray[np.generic],
    theirs: NDArray[np.generic],
    policy: UnityPolicy,
    inputs: Sequence[NDArray[np.float32]],
    name: str,
) -> float:
    """Largest difference of an output; for chosen indices, of the logits of the two choices."""
    if ours.shape != theirs.shape:
        return float("inf")
    if name != "deterministic_discrete_actions":
        return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))
    with torch.no_grad():
        logits = policy.distribution(*(torch.from_numpy(value) for value in inputs))[0].numpy()
    worst, start = 0.0, 2 * policy.continuous_size
    for branch, width in enumerate(policy.branches):
        part = logits[:, start : start + width]
        chosen = [np.take_along_axis(part, side[:, branch : branch + 1].astype(np.int64), 1) for side in (ours, theirs)]
        worst = max(worst, float(np.abs(chosen[0] - chosen[1]).max(initial=0.0)))
        start += width
    return worst


def _random_inputs(network: PolicyNetwork, rows: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((rows, *item.shape), dtype=np.float32) for item in network.observation_specs]
    branches = network.action_spec.discrete_branches
    if branches:
        masks = (rng.random((rows, sum(branches))) < 0.7).astype(np.float32)
        masks[:, np.cumsum((0, *branches[:-1]))] = 1.0  # Unity never forbids all actions of a branch
        masks[: rows // 2] = 1.0
        inputs.append(masks)
    if network.memory_size:
        inputs.append(rng.uniform(-1, 1, (rows, 1, network.memory_size)).astype(np.float32))
    return inputs


def _constant(values: list[float] | list[list[float]]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values), requires_grad=False)
