"""The protocol's message descriptors, as a packed build carries them.

Read from the text of `mlagents_envs` 0.28.0's generated modules, which cannot be imported under protobuf >= 4.
"""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Each after those that it depends on.
_PROTO_FILES = (
    "agent_action",
    "observation",
    "agent_info",
    "capabilities",
    "space_type",
    "brain_parameters",
    "command",
    "header",
    "unity_rl_input",
    "unity_rl_initialization_input",
    "unity_input",
    "unity_rl_output",
    "unity_rl_initialization_output",
    "unity_output",
    "unity_message",
)


def packed_descriptors() -> bytes:
    """All FileDescriptorProtos, each behind its length (4 bytes, big-endian)."""
    return b"".join(len(serialized).to_bytes(4, "big") + serialized for serialized in _serialized())


def _serialized() -> Iterator[bytes]:
    package = find_spec("mlagents_envs")
    if package is None or not package.submodule_search_locations:
        raise ImportError("mlagents-envs 0.28.0 is needed to pack a sample build; install requirements/dev.")
    folder = Path(package.submodule_search_locations[0], "communicator_objects")
    for name in _PROTO_FILES:
        tree = ast.parse((folder / f"{name}_pb2.py").read_text("utf-8"))
        yield next(
            node.value.args[0].value.encode("latin-1")
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword)
            and node.arg == "serialized_pb"
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.args[0], ast.Constant)
            and isinstance(node.value.args[0].value, str)
        )
