"""`serve`: answer /ping and /invocations with the policies in /opt/ml/model."""

import logging
import os
import sys

from container.opt_ml import OptMl
from rl_src.serving.errors import ServingError
from rl_src.serving.listener import listen

log = logging.getLogger(__name__)


def main() -> int:
    """The entry point; returns the exit code: 0 after SIGTERM, 1 without a sound artifact or a free port."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    host = os.environ.get("GAMEDOJO_SERVE_HOST") or "127.0.0.1"
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)
    cores = int(os.environ.get("GAMEDOJO_SERVE_CORES") or 0) or None
    try:
        listener = listen(host, port)
    except OSError as error:
        log.error("%s:%d cannot be listened at: %s", host, port, error)
        return 1
    from rl_src.serving.server import ModelServer  # asyncio and its loop take ten times as long as all of the above

    try:
        ModelServer(OptMl.from_environment().model, listener, cores).run()
    except ServingError:
        log.exception("the artifact cannot be served")
        return 1
    return 0
