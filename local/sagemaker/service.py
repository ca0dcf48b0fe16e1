"""Puts the service together: `start(config)` for tests and other programs, `python -m local.sagemaker` for itself.

The way of a request:

    server ─▶ control_plane ─▶ training_api ─▶ training_run ─▶ supervisor ─▶ train
                            └▶ endpoints_api ─▶ endpoint_life ─▶ deployment ─▶ supervisor ─▶ serve
    server ─▶ runtime ─▶ endpoint_life ─▶ deployment ─▶ upstream ─▶ serve
"""

import logging
import threading

from local.sagemaker.admin import Admin
from local.sagemaker.config import ServiceConfig
from local.sagemaker.control_plane import ControlPlane
from local.sagemaker.platform import Platform
from local.sagemaker.runtime import Runtime
from local.sagemaker.server import SageMakerServer

_POLL_SECONDS = 0.05
"""How soon the server sees that it is to end; requests do not wait for it."""

_log = logging.getLogger(__name__)


class Service:
    """A running service."""

    def __init__(self, platform: Platform, control_plane: ControlPlane, server: SageMakerServer) -> None:
        self._platform = platform
        self._control_plane = control_plane
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """For boto3's `endpoint_url`, of both "sagemaker" and "sagemaker-runtime"."""
        return f"http://{self._platform.config.host}:{self.port}"

    def stop(self) -> None:
        """End every job and endpoint, then the server; nothing is left running."""
        self._control_plane.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._platform.close()


def start(config: ServiceConfig) -> Service:
    """Start the service; it answers when this returns.

    Raises:
        OSError: the port is taken.
    """
    platform = Platform.build(config)
    control_plane = ControlPlane(platform)
    runtime = Runtime(platform, control_plane.endpoints)
    try:
        server = SageMakerServer(config.host, config.port, control_plane, runtime, Admin(platform))
    except BaseException:
        control_plane.close()
        platform.close()
        raise
    service = Service(platform, control_plane, server)
    if config.port_file is not None:
        config.port_file.write_text(str(service.port))
    _log.info("The local SageMaker service listens at %s", service.url)
    return service
