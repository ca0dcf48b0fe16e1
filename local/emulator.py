"""The emulator: ministack stands in for every AWS service but SageMaker.

Facts that this file relies on, tried with ministack 1.5.33:

- Functions inherit the emulator's environment, so it gets one made from nothing: what the user has in theirs (keys,
  proxies, PYTHONPATH) must not reach a function. For the same reason AWS_ENDPOINT_URL and its SageMaker variants are
  set here: they are how functions find both services.
- A new process listens on all interfaces unless BIND_HOST says otherwise, and opens an MQTT port unless
  IOT_MTLS_ENABLED is 0.
- It writes `ministack-*` into TMPDIR (code of the functions, a pid file).
- It saves its state on SIGTERM alone; `durable_emulator.py` saves it as it goes, so that SIGKILL costs a second or so.
"""

import http.client
import os
from pathlib import Path
from urllib.parse import urlsplit

from local.aws import ACCESS_KEY
from local.ports import HOST
from local.processes import MARKER, ProcessRecord, start, wait_until_ready
from local.settings import REGION, LocalSettings

NAME = "emulator"

_START_SECONDS = 60.0
_PROGRAM = Path(__file__).with_name("durable_emulator.py")


def url(port: int) -> str:
    """The endpoint of a service that listens on this port."""
    return f"http://{HOST}:{port}"


def base_environment(settings: LocalSettings) -> dict[str, str]:
    """What every process of the cloud gets: enough to run, nothing of the user's."""
    return {
        "PATH": os.pathsep.join((str(settings.python.parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": str(settings.home_dir),
        "TMPDIR": str(settings.temporary_dir),
        "LANG": "C.UTF-8",
        "AWS_DEFAULT_REGION": REGION,
        MARKER: str(settings.state_dir),
        **ACCESS_KEY,
    }


def emulator_environment(settings: LocalSettings, *, port: int, sagemaker_url: str) -> dict[str, str]:
    """The emulator's environment, most of which its functions inherit."""
    folder = settings.state_dir / "emulator"
    return {
        **base_environment(settings),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "LOG_LEVEL": "INFO",
        "SFN_WAIT_SCALE": str(settings.wait_scale),
        "AWS_ENDPOINT_URL": url(port),
        "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sagemaker_url,
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": sagemaker_url,
    }


def start_emulator(settings: LocalSettings, *, port: int, sagemaker_url: str) -> ProcessRecord:
    """Start it; `wait_for_emulator` waits for it."""
    return start(
        NAME,
        # -P: the script's folder, which is this room, is no place to import from
        [str(settings.python), "-P", str(_PROGRAM), str(deployed_file(settings))],
        environment=emulator_environment(settings, port=port, sagemaker_url=sagemaker_url),
        log_file=log_file(settings),
        port=port,
    )


def wait_for_emulator(settings: LocalSettings, record: ProcessRecord) -> None:
    """Return when it answers.

    Raises:
        StartError: it ended, or did not answer in time.
    """
    address = f"{url(record.port)}/_ministack/health"
    wait_until_ready(record, lambda: answers(address), log_file=log_file(settings), seconds=_START_SECONDS)


def deployed_file(settings: LocalSettings) -> Path:
    """Says which template stands in the emulator; not there while one is being deployed."""
    return settings.state_dir / "deployed.json"


def log_file(settings: LocalSettings) -> Path:
    """What the emulator prints, with the start and end of every invocation."""
    return settings.logs_dir / "emulator.log"


def answers(address: str) -> bool:
    """True when a GET of this URL is answered with 200."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
