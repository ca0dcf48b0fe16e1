"""The server of one artifact: listens at once, loads beside it, drains on SIGTERM.

numpy, ONNX Runtime and the codec are imported by the thread that loads the models: until then `/ping` says 503, but
says it within a tenth of a second.
"""

import asyncio
import logging
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import uvloop

from rl_src.cores import usable_cores
from rl_src.serving.http_connection import Connection, Connections
from rl_src.serving.listener import BACKLOG
from rl_src.serving.metrics import Metrics
from rl_src.serving.service import InferenceService

GRACE_SECONDS = 25.0
"""SageMaker kills an inference container 30 s after SIGTERM."""
LAST_CALL_SECONDS = 0.25
"""Between SIGTERM and the end of listening: who has just sent a request is still answered."""
SWEEP_SECONDS = 1.0
METRICS_SECONDS = 60.0

log = logging.getLogger(__name__)


class ModelServer:
    """Serves one artifact until SIGTERM; requests under way are answered first."""

    def __init__(self, folder: Path, listener: socket.socket, cores: int | None = None) -> None:
        self._folder = folder
        self._listener = listener
        self._cores = cores or usable_cores()
        self._service = InferenceService()
        self._metrics = Metrics(time.time)
        self._policy, self._version = "", ""
        self._error: Exception | None = None

    def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            InvalidArtifactError: the model cannot be served.
        """
        uvloop.run(self._serve())
        if self._error is not None:
            raise self._error

    async def _serve(self) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        connections = Connections(self._service, time.monotonic)
        server = await loop.create_server(lambda: Connection(connections), sock=self._listener, backlog=BACKLOG)
        threading.Thread(target=self._load, args=(loop, stop), name="load-models", daemon=True).start()
        sweeper = asyncio.create_task(self._sweep(connections))
        await stop.wait()
        self._service.draining = connections.draining = True
        await asyncio.sleep(LAST_CALL_SECONDS)
        server.close()
        connections.close_idle()
        until = time.monotonic() + GRACE_SECONDS
        while connections.open and time.monotonic() < until:
            await asyncio.sleep(0.01)
        sweeper.cancel()
        self._tell_metrics()

    def _load(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        try:
            from rl_src.serving.model import Model

            model = Model.load(self._folder, self._cores, self._metrics)
        except Exception as error:
            self._error = error
            loop.call_soon_threadsafe(stop.set)
            return
        self._policy, self._version = model.policy, model.version
        self._service.model = model
        log.info("serving version %s", model.version)

    async def _sweep(self, connections: Connections) -> None:
        told = time.monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            connections.sweep()
            if time.monotonic() - told >= METRICS_SECONDS:
                self._tell_metrics()
                told = time.monotonic()

    def _tell_metrics(self) -> None:
        line = self._metrics.line(self._policy, self._version)
        if line is not None:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
