"""A build in a thread: it sends what it is given over a real connection, and hundreds are played in a second."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from rl_src.envs import client as client_module
from rl_src.envs.player import PlayerExit, PlayerLimits
from rl_src.envs.protocol import EXCHANGE_METHOD
from rl_src.envs.sightings import Sighting
from rl_src.envs.specs import BehaviorSpec

_PATIENCE_SECONDS = 10
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class ThreadedBuild:
    """Stands for launcher and player: it is alive while its thread sends."""

    limits = PlayerLimits()

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = messages
        self._thread: threading.Thread | None = None

    def start(self, port: int) -> "ThreadedBuild":
        """As `Launcher.start`."""
        self._thread = threading.Thread(target=self._send, args=(port,), daemon=True)
        self._thread.start()
        return self

    def _send(self, port: int) -> None:
        with grpc.insecure_channel(f"localhost:{port}", options=_UNLIMITED) as channel:
            call: Any = channel.unary_unary(EXCHANGE_METHOD)
            try:
                for message in self._messages:
                    call(message, timeout=_PATIENCE_SECONDS, wait_for_ready=True)
            except grpc.RpcError:
                pass  # hung up on

    def needs_display(self, specs: Sequence[BehaviorSpec]) -> bool:
        """As `Launcher.needs_display`: it draws nothing."""
        return False

    def is_alive(self) -> bool:
        """As `Player.is_alive`."""
        return self._thread is not None and self._thread.is_alive()

    def poll(self) -> PlayerExit | None:
        """As `Player.poll`."""
        return None if self.is_alive() else PlayerExit(code=0)

    def kill(self) -> None:
        """As `Player.kill`: the server is about to close, which ends the thread."""

    close = kill

    def log_lines(self) -> list[str]:
        """As `Player.log_lines`."""
        return []

    output_lines = log_lines

    def log_tail(self) -> str:
        """As `Player.log_tail`."""
        return ""

    def sightings(self) -> Sequence[Sighting]:
        """As `Player.sightings`: nobody looks."""
        return ()

    def join(self) -> None:
        """Wait until it has nothing more to send."""
        if self._thread is not None:
            self._thread.join()


def client_of(messages: Sequence[bytes], **settings: Any) -> tuple[client_module.UnityClient, ThreadedBuild]:
    """A client that plays a build which sends these messages; the first two are its handshake.

    Raises:
        UnityEnvironmentError: as of any build.
    """
    build = ThreadedBuild(messages)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(client_module, "Launcher", lambda *_: build)
        defaults = {"startup_timeout_seconds": _PATIENCE_SECONDS, "step_timeout_seconds": _PATIENCE_SECONDS}
        return client_module.UnityClient(Path("/nowhere/Game.x86_64"), **{**defaults, **settings}), build
