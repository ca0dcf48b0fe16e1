"""The protocol's messages, from the descriptors that lie beside this file in a packed build (`messages.binpb`)."""

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DESCRIPTORS_FILE = "messages.binpb"
"""FileDescriptorProtos, each behind its length (4 bytes, big-endian), in the order of their dependencies."""

EXCHANGE_METHOD = "/communicator_objects.UnityToExternalProto/Exchange"
API_VERSION = "1.5.0"
PACKAGE_VERSION = "4.0.0"
STATUS_OK = 200
STATUS_QUIT = 400
COMMAND_STEP = 0
COMMAND_RESET = 1
PNG_COMPRESSION = 1


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    data = (Path(__file__).parent / DESCRIPTORS_FILE).read_bytes()
    offset = 0
    while offset < len(data):
        end = offset + 4 + int.from_bytes(data[offset : offset + 4], "big")
        pool.AddSerializedFile(data[offset + 4 : end])
        offset = end
    return pool


@cache
def message_class(name: str) -> Any:
    """The class of a message by its name, for example "AgentInfoProto"."""
    return GetMessageClass(_pool().FindMessageTypeByName(f"communicator_objects.{name}"))
