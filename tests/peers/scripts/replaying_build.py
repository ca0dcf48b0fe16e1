#!/usr/bin/env python3
"""A build that says what another has said: sends recorded requests in their order, whatever it is told.

    replaying_build.py [-nographics -batchmode] --mlagents-port N [-logFile F] REQUESTS REPLIES

Reads the requests from one file and writes the replies that it gets to another (formats: tests/peers/exchanges.py).
"""

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import grpc

METHOD = "/communicator_objects.UnityToExternalProto/Exchange"
CONNECT_SECONDS = 30


def main() -> None:
    """Send all, then end."""
    port = sys.argv[sys.argv.index("--mlagents-port") + 1]
    requests, replies = (Path(name) for name in sys.argv[-2:])
    with grpc.insecure_channel(f"localhost:{port}") as channel, replies.open("wb") as file:
        call: Callable[..., bytes] = channel.unary_unary(METHOD)
        data, at = requests.read_bytes(), 0
        while at < len(data):
            end = at + 4 + struct.unpack_from("<I", data, at)[0]
            reply = call(data[at + 4 : end], timeout=CONNECT_SECONDS, wait_for_ready=True)
            file.write(struct.pack("<I", len(reply)) + reply)
            file.flush()
            at = end


if __name__ == "__main__":
    main()
