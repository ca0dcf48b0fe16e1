"""The port, taken before anything that takes long to import: SageMaker wants a connection accepted within 250 ms."""

import socket

BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Clients can connect from here on, and are answered once a server runs.

    Raises:
        OSError: the port is taken, or not ours to take.
    """
    listener = socket.create_server((host, port), backlog=BACKLOG)
    listener.setblocking(False)
    return listener
