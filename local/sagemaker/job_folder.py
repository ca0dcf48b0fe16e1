"""The folder that is a container's file system: `/opt/ml` in the layout of SageMaker, home, temporary files.

    <scratch>/ml/input/config/{hyperparameters,inputdataconfig,resourceconfig,checkpointconfig}.json
    <scratch>/ml/input/data/<channel>/…
    <scratch>/ml/{model,checkpoints,code}, ml/output/{failure,data}
    <scratch>/{home,work}
    <scratch>/tmp -> /tmp/sm-…

The last is the container's /tmp. Sockets in it must have paths of less than 108 bytes, which a deep state directory
would not leave room for.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.sagemaker.errors import JobFailedError
from local.sagemaker.processes import BASE_DIR_VARIABLE

CONTAINER_BASE_DIR = Path("/opt/ml")
TEMPORARY_PREFIX = "sm-"

_FAILURE_CHARACTERS = 1024
_TEMPORARY_LINK = "tmp"


class ContainerFolder:
    """One container's folders; `remove()` leaves nothing."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.base = scratch / "ml"
        self.work = scratch / "work"
        self.home = scratch / "home"
        for folder in (self.base / "model", self.base / "output" / "data", self.base / "code", self.work, self.home):
            folder.mkdir(parents=True)
        self.temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir="/tmp"))
        (scratch / _TEMPORARY_LINK).symlink_to(self.temporary)

    @property
    def model(self) -> Path:
        """What becomes, or came from, model.tar.gz."""
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        """What becomes output.tar.gz."""
        return self.base / "output" / "data"

    def environment(self, image_path: str, image_environment: Mapping[str, str]) -> dict[str, str]:
        """What a container has before the request's own variables; nothing of the service's environment is in it."""
        return {
            "PATH": image_path,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            **image_environment,
            BASE_DIR_VARIABLE: str(self.base),
        }

    def relocated(self, path: str) -> Path:
        """A path of the container, such as /opt/ml/checkpoints, in this folder.

        Raises:
            JobFailedError: it is not below /opt/ml, which is all that is relocated.
        """
        absolute = Path(path)
        if not absolute.is_relative_to(CONTAINER_BASE_DIR) or ".." in absolute.parts:
            raise JobFailedError(f"ClientError: The local service has no path {path!r}: only those below /opt/ml.")
        return self.base / absolute.relative_to(CONTAINER_BASE_DIR)

    def failure(self) -> str:
        """What the container wrote to /opt/ml/output/failure."""
        try:
            with (self.base / "output" / "failure").open(errors="replace") as file:
                return file.read(_FAILURE_CHARACTERS)
        except OSError:
            return ""

    def remove(self) -> None:
        """Delete everything."""
        remove_container_folder(self.scratch)


def remove_container_folder(scratch: Path) -> None:
    """Delete a container's folders, given the one that names the other."""
    with contextlib.suppress(OSError):
        shutil.rmtree((scratch / _TEMPORARY_LINK).readlink(), ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)


def write_job_config(
    folder: ContainerFolder, request: Mapping[str, Any], host: str, hosts: Sequence[str], interface: str
) -> None:
    """The files of /opt/ml/input/config, from a CreateTrainingJob request, for one of the job's hosts.

    `interface`: of the network by which the hosts reach one another.
    """
    resources = request["ResourceConfig"]
    instance_type = resources["InstanceType"]
    documents: dict[str, Any] = {
        "hyperparameters": request.get("HyperParameters", {}),
        "inputdataconfig": {
            channel["ChannelName"]: _channel_document(channel, request)
            for channel in request.get("InputDataConfig", [])
        },
        "resourceconfig": {
            "current_host": host,
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": list(hosts),
            "instance_groups": [
                {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": list(hosts)}
            ],
            "network_interface_name": interface,
        },
    }
    if "CheckpointConfig" in request:
        documents["checkpointconfig"] = request["CheckpointConfig"]
    config = folder.base / "input" / "config"
    config.mkdir(parents=True)
    for name, document in documents.items():
        (config / f"{name}.json").write_text(json.dumps(document))


def _channel_document(channel: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    document = {
        "TrainingInputMode": channel.get("InputMode", request["AlgorithmSpecification"]["TrainingInputMode"]),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        document["ContentType"] = channel["ContentType"]
    return document
