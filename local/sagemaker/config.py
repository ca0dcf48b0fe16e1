"""What the service is told: where it listens, where it keeps its things, and what each image stands for."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from local.images.engine import Engine
from local.sagemaker.errors import ConfigError

TIME_SCALE_VARIABLE = "SFN_WAIT_SCALE"
"""The emulator's variable for its Wait states and retry delays; one value makes both clouds equally quick."""


@dataclass(frozen=True)
class Image:
    """What a container image stands for here.

    For processes directories for PATH, and the ENV of its Dockerfile; for an engine the name of a `container` image.
    """

    path: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    container: str = ""


@dataclass(frozen=True)
class Timing:
    """Every time that SageMaker sets, so that a test can shorten it. Sources: facts of the AWS documentation."""

    stop_grace_seconds: float = 120.0
    """StopTrainingJob and MaxRuntime: from SIGTERM to SIGKILL."""
    endpoint_stop_grace_seconds: float = 30.0
    """An inference container: from SIGTERM to SIGKILL."""
    shutdown_grace_seconds: float = 5.0
    """When this service itself ends: from SIGTERM to SIGKILL, for jobs and endpoints alike."""
    ping_timeout_seconds: float = 2.0
    startup_timeout_seconds: float = 240.0
    """Until /ping must be 200, if the variant names no ContainerStartupHealthCheckTimeoutInSeconds."""
    serverless_startup_timeout_seconds: float = 180.0
    invocation_timeout_seconds: float = 60.0
    checkpoint_sync_seconds: float = 2.0
    publish_seconds: float = 0.5
    """Logs and metrics are sent to the emulator this often."""
    restart_backoff_seconds: float = 0.5
    """First pause before an inference process that ended is started again; doubles up to 30 s."""
    starting_seconds: float = 0.0
    """A training job's phase Starting at the least; a cloud takes minutes, a laptop need not. This and the following
    are the double's seconds (see clock.py)."""
    pending_seconds: float = 0.0
    image_download_seconds: float = 0.0
    spot_retry_seconds: float = 60.0
    """A spot job that found no capacity looks again after so long."""
    endpoint_instance_seconds: float = 0.0
    """Until an endpoint's instance is there, before its container is started."""
    rolling_back_seconds: float = 0.0
    """An endpoint's status RollingBack at the least."""
    alarm_poll_seconds: float = 10.0
    """The alarms of a deployment are looked at this often while it bakes."""


@dataclass(frozen=True)
class ServiceConfig:
    """Everything the service needs to know.

    Attributes:
        state_dir: state file, and the scratch folders of jobs and endpoints.
        images: repository name of an image URI -> what it stands for; registry and tag are not looked at.
        engine: Docker or Podman, to start containers from images; None starts processes.
        emulator_url: the emulator, for S3, CloudWatch Logs and CloudWatch.
        port: 0 takes a free one.
        port_file: the port is written there once the service answers.
        quotas: name of a service quota, such as "ml.m5.xlarge for training job usage" -> instances.
        rates: operation -> calls a second before it is throttled, such as {"ListTrainingJobs": 2}.
        time_scale: real seconds to a second of the double; SFN_WAIT_SCALE of the environment by default.
        fault_plan: a JSON file, see faults.py; `<state_dir>/faults.json` by default.
        spot_price_share: what spot costs of the full price, for BillableTimeInSeconds.
    """

    state_dir: Path
    images: Mapping[str, Image]
    emulator_url: str
    host: str = "127.0.0.1"
    port: int = 0
    port_file: Path | None = None
    region: str = "us-east-1"
    account_id: str = "000000000000"
    quotas: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    time_scale: float = 1.0
    fault_plan: Path | None = None
    spot_price_share: float = 0.3
    engine: Engine | None = None
    timing: Timing = Timing()

    @classmethod
    def from_file(cls, path: Path, environment: Mapping[str, str] = os.environ) -> "ServiceConfig":
        """Read a JSON file with these fields; `emulator_url` is AWS_ENDPOINT_URL where the file has none.

        Raises:
            ConfigError: no JSON, an unknown field, a field missing.
        """
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"Cannot read the config {path}: {error}") from error
        document.setdefault("emulator_url", environment.get("AWS_ENDPOINT_URL"))
        document.setdefault("time_scale", environment.get(TIME_SCALE_VARIABLE, 1.0))
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ServiceConfig":
        """The same from a parsed document.

        Raises:
            ConfigError: an unknown field, or one missing.
        """
        values = dict(document)
        _check_names("config", values, cls)
        for name in ("state_dir", "images", "emulator_url"):
            if not values.get(name):
                raise ConfigError(f"The config lacks {name!r} (emulator_url may come from AWS_ENDPOINT_URL).")
        images = {}
        for uri, image in values["images"].items():
            images[repository_name(uri)] = _image(uri, image, with_engine=bool(values.get("engine")))
        _check_names("timing", values.get("timing", {}), Timing)
        values |= {
            "images": images,
            "engine": Engine.from_document(values["engine"]) if values.get("engine") else None,
            "state_dir": Path(values["state_dir"]).absolute(),
            "timing": Timing(**values.get("timing", {})),
            "port_file": Path(values["port_file"]) if values.get("port_file") else None,
            "fault_plan": Path(values["fault_plan"]).absolute() if values.get("fault_plan") else None,
            "time_scale": _scale(values.get("time_scale", 1.0)),
        }
        return cls(**values)

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource, such as `arn("training-job", "mine")`."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{kind}/{name}"


def repository_name(image_uri: str) -> str:
    """`123456789012.dkr.ecr.us-east-1.amazonaws.com/team/train:1.2` -> `team/train`.

    As Docker reads it: the part before the first slash is a registry if it has a dot or a colon, or is `localhost`.
    """
    first, slash, rest = image_uri.partition("/")
    path = rest if slash and ("." in first or ":" in first or first == "localhost") else image_uri
    return path.partition("@")[0].partition(":")[0]


def _image(uri: str, document: Mapping[str, Any], *, with_engine: bool) -> Image:
    _check_names(f"image {uri!r}", document, Image)
    needed = "container" if with_engine else "path"
    if not document.get(needed):
        how = "containers are started by an engine" if with_engine else "containers are processes"
        raise ConfigError(f"The image {uri!r} lacks {needed!r}: {how}.")
    return Image(tuple(document.get("path", ())), dict(document.get("environment", {})), document.get("container", ""))


def _scale(value: Any) -> float:
    try:
        scale = float(value)
    except (TypeError, ValueError):
        scale = 0.0
    if not 0 < scale <= 1:
        raise ConfigError(f"time_scale ({TIME_SCALE_VARIABLE}) must be above 0 and at most 1, not {value!r}.")
    return scale


def _check_names(what: str, values: Mapping[str, Any], model: type[Any]) -> None:
    known = {each.name for each in fields(model)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"The {what} has unknown fields: {', '.join(unknown)}. Known: {', '.join(sorted(known))}")
