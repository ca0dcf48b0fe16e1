"""Connections to a container's HTTP server, kept open between requests."""

import http.client
import select
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_MOST_IDLE = 64


@dataclass(frozen=True)
class Answer:
    """What the container answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionPool:
    """Kept-alive connections to one address; any number of threads may ask."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=_MOST_IDLE)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> Answer:
        """One request.

        Raises:
            TimeoutError: no answer in time.
            OSError, http.client.HTTPException: the server is not there, or broke off.
        """
        connection = self._take()
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_seconds)
            connection.connect()
        connection.sock.settimeout(timeout_seconds)
        try:
            connection.request(method, path, body or None, dict(headers))
            response = connection.getresponse()
            answer = Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> http.client.HTTPConnection | None:
        """An idle connection that the server has not closed meanwhile."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            # readable while nothing was asked: the server has closed it
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
