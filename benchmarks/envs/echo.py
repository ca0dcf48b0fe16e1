"""Servers that answer each message with the same bytes: what gRPC itself costs."""

import queue
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import grpc
import numpy as np

from benchmarks.envs.costless_build import BEHAVIOR, CONTINUOUS_ACTIONS
from rl_src.envs.batches import Actions
from rl_src.envs.encoding import ActionEncoder
from rl_src.envs.protocol import opaque_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec
from rl_src.envs.transport import ExchangeServer

_SECONDS = 60.0


def reply_bytes(agents: int) -> bytes:
    """A command to step, with an action for each agent."""
    spec = BehaviorSpec(BEHAVIOR, (), ActionSpec(CONTINUOUS_ACTIONS))
    actions = Actions(np.zeros((agents, CONTINUOUS_ACTIONS), np.float32), np.zeros((agents, 0), np.int32))
    message = opaque_class("UnityMessageProto")()
    message.header.status = 200
    message.unity_input.rl_input.agent_actions[BEHAVIOR] = ActionEncoder(spec, hybrid=True).encode(actions, agents)
    return bytes(message.SerializeToString())


class _Echo:
    port: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class SocketEcho(_Echo):
    """On our own transport."""

    def __init__(self, agents: int) -> None:
        self._server = ExchangeServer()
        self._reply = reply_bytes(agents)
        self.port = self._server.port

    def exchange(self) -> None:
        self._server.receive(_SECONDS, _alive)
        self._server.reply(self._reply)

    def close(self) -> None:
        self._server.close()


class GrpcioEcho(_Echo):
    """On grpcio's server. It answers in its own threads; `exchange` only counts."""

    def __init__(self, agents: int) -> None:
        reply = reply_bytes(agents)
        self._seen: queue.SimpleQueue[None] = queue.SimpleQueue()

        def answer(_request: bytes, _context: object) -> bytes:
            self._seen.put(None)
            return reply

        self._server = grpc.server(
            ThreadPoolExecutor(1),
            options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)),
        )
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
        service = grpc.method_handlers_generic_handler(
            "communicator_objects.UnityToExternalProto", {"Exchange": handler}
        )
        self._server.add_generic_rpc_handlers((service,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def exchange(self) -> None:
        self._seen.get(timeout=_SECONDS)

    def close(self) -> None:
        self._server.stop(None).wait()


def _alive() -> bool:
    return True
