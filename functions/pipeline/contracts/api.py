"""Small requests and answers of the control API; run records and training requests have their own files."""

from typing import Literal

from pydantic import Field

from pipeline.contracts.base import Contract, PolicyName, RunId
from pipeline.contracts.cost import CostEstimate
from pipeline.contracts.policy import CurrentPolicy, PolicySpec, ServedVersion
from pipeline.contracts.run import RunStatus


class RunQuery(Contract):
    """The query parameters of `GET /training-runs`."""

    policy: PolicyName | None = None
    status: RunStatus | None = None
    build_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="of the zip")
    limit: int = Field(default=20, ge=1, le=100)
    next_token: str | None = Field(default=None, min_length=1)


class AcceptedRun(Contract):
    """The answer of `POST /training-runs`. `links` are paths of this API."""

    run_id: RunId
    policy: PolicyName
    status: RunStatus
    estimate: CostEstimate
    links: dict[str, str]


class ArtifactLinks(Contract):
    """The answer of `GET /training-runs/{run_id}/artifacts`: artifact name to presigned URL."""

    artifacts: dict[str, str]
    expires_in_seconds: int


class UploadRequest(Contract):
    """The body of `POST /builds`."""

    file_name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ ()-]{0,199}\.(zip|ZIP)$",
        description="the zip's name without folders, for example MyGame.zip",
    )


class UploadTicket(Contract):
    """The answer of `POST /builds`: where to send the zip. `key` is what a training request then names."""

    key: str
    upload_url: str
    method: Literal["PUT"] = "PUT"
    expires_in_seconds: int


class RollbackRequest(Contract):
    """The body of `POST /policies/{policy}/rollback`."""

    version: RunId | None = Field(default=None, description="left out: the one that was in service before")


class PolicyHistory(Contract):
    """The answer of `GET /policies/{policy}/history`, newest first."""

    versions: tuple[ServedVersion, ...]


class DeletedPolicy(Contract):
    """The answer of `DELETE /policies/{policy}`: the versions that can no longer be rolled back to."""

    policy: PolicyName
    versions: tuple[RunId, ...]


class PolicyList(Contract):
    """The answer of `GET /policies`: what is in service, by name."""

    policies: tuple[CurrentPolicy, ...]


class PolicyDescription(CurrentPolicy):
    """The answer of `GET /policies/{policy}`."""

    spec: PolicySpec
