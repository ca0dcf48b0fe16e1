"""Reads a .demo file with the unmodified loader of `mlagents` 1.1.0, and writes down what it makes of it.

    cd <repository> && .venv-peers/bin/python -m tests.peers.scripts.read_demo FILE.demo OUTPUT.npz

Runs in `.venv-peers`.
"""

# mypy: disable-error-code="import-untyped, import-not-found"

import sys
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBuffer, BufferKey
from mlagents.trainers.demo_loader import demo_to_buffer, load_demonstration
from mlagents.trainers.trajectory import ObsUtil


def main(demo: str, output: str) -> None:
    """Write the buffer's columns."""
    _, pairs, expected = load_demonstration(demo)
    spec, buffer = demo_to_buffer(demo, 1)
    columns: dict[str, Any] = {
        "records": np.array([len(pairs), expected]),
        "ended": np.array([pair.agent_info.done for pair in pairs]),
        "branches": np.array(spec.action_spec.discrete_branches),
        "continuous_size": np.array(spec.action_spec.continuous_size),
        "rewards": np.array(buffer[BufferKey.ENVIRONMENT_REWARDS], np.float32),
        "done": np.array(buffer[BufferKey.DONE], np.float32),
    }
    for index in range(len(spec.observation_specs)):
        columns[f"observations_{index}"] = np.array(buffer[ObsUtil.get_name_at(index)], np.float32)
    columns |= {key.value: _rows(buffer, key) for key in (BufferKey.CONTINUOUS_ACTION, BufferKey.DISCRETE_ACTION)}
    np.savez(output, **columns)


def _rows(buffer: AgentBuffer, key: BufferKey) -> np.ndarray:
    return np.array(buffer[key], np.float32) if key in buffer else np.zeros((0, 0), np.float32)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
