"""`python -m local.sagemaker --config FILE`: run the service until SIGTERM or SIGINT."""

import argparse
import logging
import signal
import sys
from pathlib import Path

from local.sagemaker.config import ServiceConfig
from local.sagemaker.errors import ConfigError
from local.sagemaker.service import start

_SWITCH_INTERVAL_SECONDS = 0.0005
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main() -> int:
    """Run until told to end; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.sagemaker", description="A SageMaker of this machine.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file; see config.py for its fields")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # An invocation must not wait 5 ms, the default, for a thread that publishes logs or metrics
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    # Blocked before any thread is there, so that the main thread alone gets them, by sigwait
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        service = start(ServiceConfig.from_file(options.config))
    except (ConfigError, OSError) as error:
        print(f"The local SageMaker service cannot start: {error}", file=sys.stderr)
        return 1
    signal.sigwait(_SIGNALS)
    logging.getLogger(__name__).info("Ending all jobs and endpoints")
    service.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
