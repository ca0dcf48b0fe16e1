"""As `play`, and writes the raw messages as well: what came and went on the wire, beside what the client made of it.

Runs in `.venv-peers`, with the arguments of `play`. The client is the unmodified one; its gRPC server is told to hand
messages over as bytes, which are noted and then parsed and serialized as ever. The trainer's goodbye is left out.
"""

# mypy: disable-error-code="import-untyped, import-not-found"

from typing import Any

import grpc
from mlagents_envs import rpc_communicator
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from tests.peers.exchanges import FILE, write_messages
from tests.peers.scripts.play import Player, parsed

_SERVICE, _METHOD = "communicator_objects.UnityToExternalProto", "Exchange"


class Recorder:
    """Notes messages in the order in which they pass; there is never more than one on its way."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def add_to_server(self, servicer: Any, server: Any) -> None:
        """As the generated `add_UnityToExternalProtoServicer_to_server`, but for the notes."""
        handler = grpc.unary_unary_rpc_method_handler(servicer.Exchange, self._parse, self._serialize)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),))

    def _parse(self, data: bytes) -> Any:
        self.messages.append(data)
        return UnityMessageProto.FromString(data)

    def _serialize(self, message: Any) -> bytes:
        data = bytes(message.SerializeToString())
        self.messages.append(data)
        return data


def main() -> None:
    """Play, and save both sides of it."""
    arguments, recorder = parsed(), Recorder()
    rpc_communicator.add_UnityToExternalProtoServicer_to_server = recorder.add_to_server
    session = Player(arguments).play(arguments.resets, arguments.steps)
    session.save(arguments.output)
    # Greeting and first state come before the first command; then there is one request for each command.
    requests = 2 + len(session.commands)
    write_messages(arguments.output / FILE, recorder.messages[: 2 * requests - 1])


if __name__ == "__main__":
    main()
