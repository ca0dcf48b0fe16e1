"""Ports of the local cloud: on the loopback interface, free, and the same as last time where possible."""

import json
import secrets
import socket
from pathlib import Path

from local.errors import StartError
from local.records import write_private

HOST = "127.0.0.1"

_FILE_NAME = "ports.json"
_LOWEST, _HIGHEST = 20_000, 32_767
"""Below the ports that Linux gives to outgoing connections (net.ipv4.ip_local_port_range begins at 32768), which
could take a port between our look and the service's bind."""
_TRIES = 1_000


def choose_ports(state_dir: Path) -> tuple[int, int]:
    """Ports for the emulator and the SageMaker service; a cloud that is started again keeps its URLs.

    Raises:
        StartError: no port is free.
    """
    path = state_dir / _FILE_NAME
    chosen: list[int] = []
    for preferred in _read(path):
        chosen.append(free_port(preferred, besides=chosen))
    write_private(path, json.dumps(chosen))
    return chosen[0], chosen[1]


def free_port(preferred: int | None = None, *, besides: list[int] | None = None) -> int:
    """A port that nobody listens on, the preferred one if it is free.

    Raises:
        StartError: none was found.
    """
    taken = besides or []
    if preferred is not None and preferred not in taken and _is_free(preferred):
        return preferred
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST + 1)
        if port not in taken and _is_free(port):
            return port
    raise StartError(f"Found no free port between {_LOWEST} and {_HIGHEST}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _read(path: Path) -> tuple[int | None, int | None]:
    try:
        first, second = json.loads(path.read_text())
        return int(first), int(second)
    except (FileNotFoundError, ValueError, TypeError):
        return None, None
