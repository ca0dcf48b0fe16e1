"""The routes of both APIs, each once: what it takes, what it answers, which errors it has.

The OpenAPI documents are made from this table, wrong methods are told by it, and tests hold the template's routes and
the handlers' against it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from pipeline import errors
from pipeline.api import codes
from pipeline.api.codes import ErrorCode
from pipeline.contracts.api import (
    AcceptedRun,
    ArtifactLinks,
    Build,
    BuildPage,
    BuildQuery,
    CompleteRequest,
    DeletedBuild,
    DeletedPolicy,
    Health,
    LogPage,
    LogQuery,
    MetricsQuery,
    MetricsSeries,
    MultipartTicket,
    PartsRequest,
    PartUrls,
    PolicyDescription,
    PolicyHistory,
    PolicyList,
    PolicyTraffic,
    RollbackRequest,
    RunQuery,
    TrafficQuery,
    UploadRequest,
    UploadTicket,
)
from pipeline.contracts.environments import DeletedEnvironment, MirrorRequest, RegistryEntry, RegistryListing
from pipeline.contracts.evaluation import EvaluationReport
from pipeline.contracts.predict import PredictRequest, PredictResponse
from pipeline.contracts.request import TrainingRequest
from pipeline.contracts.run import RunPage, RunRecord

OK, CREATED, ACCEPTED = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED

Failure = type[errors.PipelineError] | ErrorCode


class AnyDocument(BaseModel):
    """An OpenAPI 3.1 document."""

    model_config = {"extra": "allow"}


@dataclass(frozen=True)
class Route:
    """One method of one path. `function`: the Lambda that answers it."""

    method: str
    path: str
    name: str
    summary: str
    function: Literal["control_read", "control_write", "predict"]
    answers: dict[HTTPStatus, tuple[type[BaseModel], ...]]
    failures: tuple[Failure, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_optional: bool = False
    takes_msgpack: bool = False
    takes_idempotency_key: bool = False
    needs_key: bool = True
    example: dict[str, Any] | None = None
    details: str = ""

    @property
    def all_failures(self) -> tuple[ErrorCode, ...]:
        """With those that every route has, each once."""
        shared: list[Failure] = [codes.INTERNAL, codes.TIMEOUT, codes.FILTERED, errors.ThrottledError]
        if self.needs_key:
            shared += [codes.API_KEY_INVALID, codes.QUOTA_EXCEEDED, errors.ServiceUnavailableError]
        if "{" in self.path:  # an id that has a slash in it leads to another path, or to none
            shared += [codes.ROUTE_NOT_FOUND, codes.METHOD_NOT_ALLOWED]
        if self.body is not None:
            shared += [errors.InvalidRequestError, codes.REQUEST_TOO_LARGE]
        found = [one if isinstance(one, ErrorCode) else codes.of_class(one) for one in (*self.failures, *shared)]
        return tuple(sorted(set(found), key=lambda one: (one.status, one.code)))


RUN_FAILURES = (errors.RunNotFoundError, errors.NotYetConsistentError)

_OF_ITSELF = (
    Route(
        "GET", "/health", "getHealth", "Whether the API answers, its version and stage. Needs no key.",
        "control_read", {OK: (Health,)}, needs_key=False,
    ),
    Route(
        "GET", "/openapi.json", "getDescription", "This document. Needs no key.",
        "control_read", {OK: (AnyDocument,)}, needs_key=False,
    ),
)  # fmt: skip

CONTROL: tuple[Route, ...] = (
    Route(
        "GET", "/training-runs", "listRuns", "Runs, newest first.",
        "control_read", {OK: (RunPage,)}, (errors.InvalidRequestError,), query=RunQuery,
    ),
    Route(
        "POST", "/training-runs", "startRun", "Start the run that the body describes.",
        "control_write", {ACCEPTED: (AcceptedRun,)},
        (errors.BuildNotFoundError, errors.EnvironmentNotMirroredError, errors.IdempotencyKeyReusedError),
        body=TrainingRequest,
        takes_idempotency_key=True,
        details="Without an Idempotency-Key, the same request is the same run, or its next attempt once that has "
        "failed or was cancelled. With one, the same key and request are the same run whatever has come of it, for "
        "30 days, and another key is another run.",
        example={
            "build": {"key": "uploads/4f1c2d3e4f5061728394a5b6c7d8e9f0/MyGame.zip"},
            "policy": "mygame",
            "stop": {"env_steps": 500000},
            "seed": 1,
        },
    ),
    Route(
        "GET", "/training-runs/{run_id}", "getRun", "Everything known about a run.",
        "control_read", {OK: (RunRecord,)}, RUN_FAILURES,
    ),
    Route(
        "DELETE", "/training-runs/{run_id}", "cancelRun",
        "End a run, whatever it is doing: 202 while what it made is being taken back, 200 once it is over.",
        "control_write", {OK: (RunRecord,), ACCEPTED: (RunRecord,)}, RUN_FAILURES,
    ),
    Route(
        "POST", "/training-runs/{run_id}/redrive", "redriveRun",
        "Begin a run that failed or was cancelled again, after its last completed job.",
        "control_write", {ACCEPTED: (RunRecord,)}, (*RUN_FAILURES, errors.ConflictError),
    ),
    Route(
        "GET", "/training-runs/{run_id}/metrics", "getMetrics",
        "How the training went, or goes: a series of every metric, for each behavior.",
        "control_read", {OK: (MetricsSeries,)}, (*RUN_FAILURES, errors.InvalidRequestError), query=MetricsQuery,
    ),
    Route(
        "GET", "/training-runs/{run_id}/logs", "getLogs",
        "What the run's jobs print: the newest lines, or those since the answer before.",
        "control_read", {OK: (LogPage,)}, (*RUN_FAILURES, errors.InvalidRequestError), query=LogQuery,
        details="Of a job on several hosts, those of its first one, which tells how the training goes. Where a job "
        "began anew on another machine, that one's lines come next, and then those of the run's next job, unless `job` "
        "names one.",
    ),
    Route(
        "GET", "/training-runs/{run_id}/report", "getReport", "The evaluation's report.",
        "control_read", {OK: (EvaluationReport,)}, (*RUN_FAILURES, errors.ReportNotFoundError),
    ),
    Route(
        "GET", "/training-runs/{run_id}/artifacts", "getArtifacts",
        "Presigned URLs of what the run has made so far.",
        "control_read", {OK: (ArtifactLinks,)}, RUN_FAILURES,
    ),
    Route(
        "GET", "/builds", "listBuilds", "Builds that were uploaded, by key; those in parts are not among them.",
        "control_read", {OK: (BuildPage,)}, (errors.InvalidRequestError,), query=BuildQuery,
    ),
    Route(
        "POST", "/builds", "newBuild",
        "A place for a build, where nothing starts a run, and where to send it: as a whole, or in parts.",
        "control_write", {CREATED: (UploadTicket, MultipartTicket)}, body=UploadRequest,
        details="With `size_bytes`, it is sent in parts: PUT each to its URL, ask for the URLs of more, then complete "
        "it. Parts may be sent side by side, and anew. What is not completed within three days is thrown away.",
        example={"file_name": "MyGame.zip"},
    ),
    Route(
        "GET", "/builds/{build_id}", "getBuild", "One build; while it is in parts, those that have come.",
        "control_read", {OK: (Build,)}, (errors.BuildNotFoundError,),
    ),
    Route(
        "DELETE", "/builds/{build_id}", "deleteBuild",
        "Remove a build, or give up one that is in parts. Runs keep copies of their own.",
        "control_write", {OK: (DeletedBuild,)}, (errors.BuildNotFoundError,),
    ),
    Route(
        "POST", "/builds/{build_id}/parts", "getPartUrls", "Where to send more parts, or the same ones after an hour.",
        "control_write", {OK: (PartUrls,)}, (errors.BuildNotFoundError, errors.ConflictError), body=PartsRequest,
        body_optional=True, example={"first": 101, "count": 100},
    ),
    Route(
        "POST", "/builds/{build_id}/complete", "completeBuild", "Put the parts together.",
        "control_write", {OK: (Build,)}, (errors.BuildNotFoundError, errors.ConflictError), body=CompleteRequest,
        example={"size_bytes": 7340032000},
    ),
    Route(
        "GET", "/registry", "listEnvironments", "Environments of a registry that were mirrored, by id.",
        "control_read", {OK: (RegistryListing,)},
    ),
    Route(
        "POST", "/registry", "mirrorEnvironment",
        "Make an upload the build of an environment, which runs then name by its id.",
        "control_write", {OK: (RegistryEntry,)}, (errors.BuildNotFoundError, errors.ConflictError), body=MirrorRequest,
        details="The zip is copied; the upload may go. The same zip once more changes nothing, another one is refused "
        "unless `replace` is true. A run on it fails if the zip's hash is not the one that is given here.",
        example={
            "environment": "MyGame",
            "key": "uploads/4f1c2d3e4f5061728394a5b6c7d8e9f0/MyGame.zip",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "source": "https://registry.example/linux/MyGame.zip",
        },
    ),
    Route(
        "DELETE", "/registry/{environment}", "deleteEnvironment",
        "Forget an environment, with the zips that were mirrored under its id. Runs keep copies of their own.",
        "control_write", {OK: (DeletedEnvironment,)}, (errors.EnvironmentNotMirroredError,),
    ),
    Route(
        "GET", "/policies", "listPolicies", "What is in service.", "control_read", {OK: (PolicyList,)},
    ),
    Route(
        "GET", "/policies/{policy}", "getPolicy", "What is in service under this name, what it observes and does.",
        "control_read", {OK: (PolicyDescription,)}, (errors.PolicyNotFoundError,),
    ),
    Route(
        "DELETE", "/policies/{policy}", "deletePolicy",
        "Take a policy out of service, with endpoint, configs, models and files; its runs stay.",
        "control_write", {OK: (DeletedPolicy,)},
        (errors.PolicyNotFoundError, errors.ConflictError, errors.LeaseHeldError, errors.NotYetConsistentError),
    ),
    Route(
        "GET", "/policies/{policy}/history", "getHistory", "What was in service under this name, newest first.",
        "control_read", {OK: (PolicyHistory,)}, (errors.PolicyNotFoundError,),
    ),
    Route(
        "GET", "/policies/{policy}/traffic", "getTraffic",
        "How often the policy's endpoint was asked, what failed, and how long its model took.",
        "control_read", {OK: (PolicyTraffic,)}, (errors.PolicyNotFoundError, errors.InvalidRequestError),
        query=TrafficQuery,
    ),
    Route(
        "POST", "/policies/{policy}/rollback", "rollBack",
        "Bring the version before, or the named one, into service again: a run, which deploys and verifies it.",
        "control_write", {ACCEPTED: (RunRecord,)}, (errors.PolicyNotFoundError, errors.ConflictError),
        body=RollbackRequest, body_optional=True, example={"version": "mygame-3f9c0a1b2c3d"},
    ),
    Route(
        "POST", "/policies/{policy}/wake", "wake",
        "Bring back an endpoint that was taken down because nobody asked it: a run.",
        "control_write", {ACCEPTED: (RunRecord,)}, (errors.PolicyNotFoundError, errors.ConflictError),
    ),
    *_OF_ITSELF,
)  # fmt: skip

PREDICT: tuple[Route, ...] = (
    Route(
        "POST", "/policies/{policy}/predict", "predict", "Observations in, actions out.",
        "predict", {OK: (PredictResponse,)},
        (
            errors.PolicyNotFoundError, errors.PolicyAsleepError, errors.InvalidObservationError,
            errors.StaleStateError, errors.UnsupportedMediaTypeError, errors.ModelNotReadyError, errors.ModelError,
            errors.NotYetConsistentError,
        ),
        body=PredictRequest, takes_msgpack=True,
        details="The request is checked against the policy's spec before the endpoint is asked. In MessagePack the "
        "body is the same document, with a tensor's `data` as binary. With `Accept: application/msgpack` the answer is "
        "the endpoint's own: `version`, `behavior`, `continuous` [N, C] and `discrete` [N, branches] as tensors, for "
        "one agent without their first dimension, and `state` if one was given.",
        example={"observations": {"BasicSensor": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]}},
    ),
    *_OF_ITSELF,
)  # fmt: skip


def methods_by_path(table: Iterable[Route]) -> dict[str, tuple[str, ...]]:
    """The methods that each path takes."""
    found: dict[str, tuple[str, ...]] = {}
    for route in table:
        found[route.path] = (*found.get(route.path, ()), route.method)
    return found


def allowed_methods(table: Iterable[Route], path: str) -> tuple[str, ...]:
    """The methods that a path as it was asked for takes; none: there is no such path."""
    for template, methods in methods_by_path(table).items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return methods
    return ()
