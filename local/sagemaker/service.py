"""Puts the service together: `start(config)` for tests and other programs, `python -m local.sagemaker` for itself.

HTTP ─▶ server ─▶ control_plane ─▶ training_api ─▶ training_run ─▶ supervisor ─▶ train
              └─▶ runtime ─────▶ endpoint_life ─▶ deployment ──▶ supervisor ─▶ serve
"""

import logging
import threading

from cheroot.wsgi import Server

from local.sagemaker.config import ServiceConfig
from local.sagemaker.control_plane import ControlPlane
from local.sagemaker.platform import Platform
from local.sagemaker.runtime import Runtime
from local.sagemaker.server import Application, http_server

_log = logging.getLogger(__name__)


class Service:
    """A running service."""

    def __init__(self, platform: Platform, control_plane: ControlPlane, server: Server) -> None:
        self._platform = platform
        self._control_plane = control_plane
        self._server = server
        self._thread = threading.Thread(target=server.serve, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.bind_addr[1]
        return port

    @property
    def url(self) -> str:
        """For boto3's `endpoint_url`, of both "sagemaker" and "sagemaker-runtime"."""
        return f"http://{self._platform.config.host}:{self.port}"

    def stop(self) -> None:
        """End every job and endpoint, then the server; nothing is left running."""
        self._control_plane.close()
        self._server.stop()
        self._thread.join()
        self._platform.close()


def start(config: ServiceConfig) -> Service:
    """Start the service; it answers when this returns.

    Raises:
        OSError: the port is taken.
    """
    platform = Platform.build(config)
    control_plane = ControlPlane(platform)
    application = Application(control_plane, Runtime(platform, control_plane.endpoints))
    try:
        server = http_server(application, host=config.host, port=config.port, threads=config.http_threads)
    except BaseException:
        control_plane.close()
        platform.close()
        raise
    service = Service(platform, control_plane, server)
    if config.port_file is not None:
        config.port_file.write_text(str(service.port))
    _log.info("The local SageMaker service listens at %s", service.url)
    return service
