"""The reference's client on current protobuf.

Its generated modules refuse to be imported under protobuf >= 4. Here they are replaced, before it is imported, by
modules with the same classes and constants, made from the descriptors in the files' text. Nothing else of it changes.
"""

import ast
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "mlagents_envs.communicator_objects"
_SERIALIZED = re.compile(r"serialized_pb=_b\((?P<literal>'.*')\)")


def install() -> None:
    """Call before mlagents_envs is imported."""
    spec = find_spec("mlagents_envs")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("mlagents-envs is not installed in this environment")
    folder = Path(spec.submodule_search_locations[0], "communicator_objects")
    # unity_to_external_pb2 has no messages, and nobody imports it: the service is in its _grpc module.
    paths = [path for path in sorted(folder.glob("*_pb2.py")) if path.stem != "unity_to_external_pb2"]
    serialized = {path.stem: _serialized(path) for path in paths}
    pool = DescriptorPool()
    waiting = dict(serialized)
    while waiting:  # a file can be added when those that it depends on are there
        for name, data in list(waiting.items()):
            try:
                pool.AddSerializedFile(data)
            except TypeError:
                continue
            del waiting[name]
    for name in serialized:
        file = pool.FindFileByName(f"mlagents_envs/communicator_objects/{name.removesuffix('_pb2')}.proto")
        module = ModuleType(f"{_PACKAGE}.{name}")
        module.DESCRIPTOR = file  # type: ignore[attr-defined]
        for message in file.message_types_by_name.values():
            setattr(module, message.name, GetMessageClass(message))
        for enum in file.enum_types_by_name.values():
            setattr(module, enum.name, EnumTypeWrapper(enum))
            for value in enum.values:
                setattr(module, value.name, value.number)
        sys.modules[module.__name__] = module


def _serialized(path: Path) -> bytes:
    match = _SERIALIZED.search(path.read_text("utf-8"))
    if match is None:
        raise ImportError(f"no message descriptor in {path}")
    return bytes(ast.literal_eval(match["literal"]).encode("latin-1"))
