"""Mirrored environments: where they lie in the bucket, and what a request for one comes to."""

from pipeline.contracts.environments import RegistryEntry
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.request import BuildSource, TrainingRequest
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.rules.names import slug

PREFIX = "registry/"
"""Entries lie right below it, zips in a folder for each environment."""


def entry_key(environment: str) -> str:
    """What is known of an environment."""
    return f"{PREFIX}{environment}.json"


def build_key(environment: str, sha256: str) -> str:
    """Its zip; another zip has another key."""
    return f"{build_folder(environment)}{sha256}.zip"


def build_folder(environment: str) -> str:
    """Of its zips: that of now, and those that it took the place of."""
    return f"{PREFIX}{environment}/"


def located(request: TrainingRequest, entry: RegistryEntry) -> TrainingRequest:
    """The request with the mirrored zip in place of the environment's id, and what its program is to be started with.

    The policy is called by the environment, unless the request names one. The run's own arguments come last.

    Raises:
        InvalidDocumentError: the request wants another zip than the one that is mirrored.
    """
    wanted = request.build.sha256
    if wanted is not None and wanted != entry.sha256:
        message = f"{entry.environment} is mirrored with the SHA-256 {entry.sha256}, from {entry.source}"
        raise InvalidDocumentError([FieldProblem(field="build.sha256", message=message)])
    changes: dict[str, object] = {
        "build": BuildSource(key=entry.key, sha256=entry.sha256),
        "policy": request.policy or slug(entry.environment),
    }
    if entry.arguments:
        arguments = (*entry.arguments, *request.environment.arguments)
        changes["environment"] = request.environment.model_copy(update={"arguments": arguments})
    return request.model_copy(update=changes)
