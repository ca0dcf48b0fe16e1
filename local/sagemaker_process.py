"""Starts the local SageMaker service (`local/sagemaker`), and tells it by a config file what it needs to know.

The process on record is the service's keeper, which starts it again should it be killed: nobody watches a cloud that
runs in the background, and SageMaker does not end with one of its machines.
"""

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.deployment import INFERENCE_IMAGE, TRAINING_IMAGE
from local.emulator import base_environment
from local.images.build import Images
from local.ports import HOST
from local.processes import ProcessRecord, start, wait_until_ready
from local.records import write_private
from local.settings import REGION, LocalSettings

NAME = "SageMaker service"

_START_SECONDS = 60.0


def start_sagemaker(
    settings: LocalSettings, *, port: int, emulator_url: str, images: Images | None = None
) -> ProcessRecord:
    """Write its config and start it; `wait_for_sagemaker` waits for it."""
    config_file = _config_file(settings)
    write_private(config_file, json.dumps(service_config(settings, port=port, images=images), indent=2))
    return start(
        NAME,
        [*_module(settings, "local.keeper"), *_module(settings, "local.sagemaker"), "--config", str(config_file)],
        environment={
            **base_environment(settings),
            "AWS_ENDPOINT_URL": emulator_url,
            "PYTHONPATH": str(settings.checkout),
            "PYTHONUNBUFFERED": "1",
        },
        log_file=log_file(settings),
        port=port,
    )


def wait_for_sagemaker(settings: LocalSettings, record: ProcessRecord) -> None:
    """Return when it accepts connections.

    Raises:
        StartError: it ended, or did not listen in time.
    """
    wait_until_ready(record, lambda: _listens(record.port), log_file=log_file(settings), seconds=_START_SECONDS)


def starts_from_images(settings: LocalSettings) -> bool:
    """Whether the service that was started last starts containers from images."""
    try:
        return bool(json.loads(_config_file(settings).read_text()).get("engine"))
    except OSError:
        return False


def service_config(settings: LocalSettings, *, port: int, images: Images | None = None) -> dict[str, Any]:
    """The service's config: where it listens, where it keeps its things, and what each image URI stands for.

    `images`: to start containers from; processes otherwise.
    """
    config = {
        "host": HOST,
        "port": port,
        "region": REGION,
        "state_dir": str(settings.state_dir / "sagemaker"),
        "time_scale": settings.wait_scale,
    }
    if images is not None:
        named = {TRAINING_IMAGE: images.training, INFERENCE_IMAGE: images.inference}
        return config | {
            "engine": asdict(images.engine),
            "images": {uri: {"container": name} for uri, name in named.items()},
        }
    container = settings.checkout / "container"
    image = {
        "path": [str(container), str(settings.python.parent), "/usr/local/bin", "/usr/bin", "/bin"],
        "environment": {"PYTHONPATH": os.pathsep.join((str(settings.checkout), str(settings.checkout / "functions")))},
    }
    return config | {"images": {TRAINING_IMAGE: image, INFERENCE_IMAGE: image}}


def log_file(settings: LocalSettings) -> Path:
    """What the service prints."""
    return settings.logs_dir / "sagemaker.log"


def _config_file(settings: LocalSettings) -> Path:
    return settings.state_dir / "sagemaker.json"


def _module(settings: LocalSettings, name: str) -> list[str]:
    return [str(settings.python), "-m", name]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
