"""What a game's process can do to its trainer, apart from what it plays."""

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import grpc

from sample_builds.player.command_line import parse
from sample_builds.player.messages import EXCHANGE_METHOD, STATUS_OK, message_class
from sample_builds.player.scene import varint

CRASH_CODE = 134
MISSING_LIBRARY_CODE = 127
"""What the dynamic loader ends a program with (ld.so(8))."""

FLOOD_BYTES = 10 * 1024 * 1024
GARBAGE = b"\xff\xfe not a message of this protocol"
_ANSWER_SECONDS = 60.0
_LENGTH_DELIMITED = 2


def crash(log: Callable[[str], None]) -> NoReturn:
    """End as Unity's player does after an exception in native code, with the last words of the log before it."""
    log("NullReferenceException: Object reference not set to an instance of an object")
    log("  at BasicController.FixedUpdate () [0x00000] in <sample>:0")
    os._exit(CRASH_CODE)


def segfault() -> None:
    """End by SIGSEGV."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


def be_killed() -> None:
    """End by SIGKILL and say nothing, as when the kernel takes a process that ate the memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> NoReturn:
    """Live on, silent."""
    while True:
        time.sleep(3600)


def miss_a_library() -> NoReturn:
    """End with the dynamic loader's words for a missing library, and an empty log: it comes before all else."""
    line = parse(sys.argv[1:])
    if line.log_file is not None:
        line.log_file.write_bytes(b"")
    sys.stderr.write(
        f"{sys.argv[0]}: error while loading shared libraries: libGL.so.1: cannot open shared object file: "
        "No such file or directory\n"
    )
    sys.stderr.flush()
    os._exit(MISSING_LIBRARY_CODE)


def connect_and_hang() -> NoReturn:
    """Open the trainer's port and send nothing."""
    with _connection():
        hang()


def speak_http_1() -> NoReturn:
    """Send the trainer what a browser would."""
    with _connection() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        hang()


def send_instead(message: bytes) -> NoReturn:
    """Make the protocol's call with bytes of one's own, then leave, whatever the answer."""
    call: Callable[..., bytes] = grpc.insecure_channel(f"localhost:{_port()}").unary_unary(EXCHANGE_METHOD)
    try:
        call(message, timeout=_ANSWER_SECONDS, wait_for_ready=True)
    except grpc.RpcError:
        pass  # hung up on, which is what it deserves
    finally:
        os._exit(0)


def message_with_agents(behavior: str, agents: bytes) -> bytes:
    """A message of agents that no AgentInfoProto need be: put together by hand, where protobuf would refuse."""
    header = message_class("HeaderProto")(status=STATUS_OK).SerializeToString()
    agent_infos = _field(1, behavior.encode()) + _field(2, agents)  # an entry of the map in unity_rl_output.proto
    return _field(1, header) + _field(2, _field(1, _field(2, agent_infos)))


def flood_stderr() -> None:
    """Write more than any pipe holds."""
    line = b"WARNING: Shader Unsupported: 'Standard' - All subshaders removed\n"
    data = memoryview(line * (FLOOD_BYTES // len(line) + 1))
    while data:
        data = data[os.write(2, data) :]


def leave_a_grandchild(log: Callable[[str], None]) -> None:
    """Start a process in a session of its own that ignores what it may; the log has its id."""
    started, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            os.write(tell, str(os.getpid()).encode())
            hang()
        os._exit(0)
    os.wait()
    log(f"Grandchild {os.read(started, 32).decode()}")
    os.close(started)
    os.close(tell)


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED]) + varint(len(payload)) + payload


def _connection() -> socket.socket:
    return socket.create_connection(("127.0.0.1", _port()))


def _port() -> int:
    port = parse(sys.argv[1:]).port
    if port is None:
        sys.exit("This fault needs a trainer: --mlagents-port is missing.")
    return port
