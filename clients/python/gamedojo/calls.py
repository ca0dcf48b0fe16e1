"""Every operation of the two APIs, once: what is sent, and how its answer is read. Nothing is sent here."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from gamedojo.errors import InputError, UnexpectedAnswerError
from gamedojo.models import (
    Build,
    BuildPage,
    BuildUpload,
    CreatedRun,
    DeletedBuild,
    DeletedEnvironment,
    DeletedPolicy,
    EvaluationReport,
    Health,
    LogPage,
    MetricsSeries,
    MultipartUpload,
    PartUrls,
    Policy,
    PolicyTraffic,
    Prediction,
    RegistryEntry,
    Run,
    RunPage,
    ServedVersion,
)
from gamedojo.observations import encoded
from gamedojo.reading import read
from gamedojo.retrying import Repeat

T = TypeVar("T")
Api = Literal["control", "predict"]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request of an API. `parse` reads the answer's JSON; a `body` is sent as JSON, `content` as it is."""

    method: str
    path: str
    parse: Callable[[Any], T]
    api: Api = "control"
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content: bytes | None = None
    repeat: Repeat = Repeat.SAFE


def list_runs(
    policy: str = "", status: str = "", build_sha256: str = "", limit: int | None = None, next_token: str = ""
) -> Call[RunPage]:
    """One page of runs, newest first."""
    params = _given(policy=policy, status=status, build_sha256=build_sha256, limit=limit, next_token=next_token)
    return Call("GET", "/training-runs", _run_page, params=params)


def start_run(request: Mapping[str, Any], idempotency_key: str) -> Call[CreatedRun]:
    """A training run; the same key and request are one run, however often they are sent. "": a key of its own."""
    headers = {"idempotency-key": idempotency_key or uuid.uuid4().hex}
    return Call("POST", "/training-runs", _reader(CreatedRun), headers=headers, body=dict(request))


def get_run(run_id: str) -> Call[Run]:
    """Everything known about a run."""
    return Call("GET", f"/training-runs/{_segment(run_id)}", _run)


def cancel_run(run_id: str) -> Call[Run]:
    """End a run."""
    return Call("DELETE", f"/training-runs/{_segment(run_id)}", _run)


def redrive_run(run_id: str) -> Call[Run]:
    """Begin a run again, after its last completed job; the API takes the same call twice as one."""
    return Call("POST", f"/training-runs/{_segment(run_id)}/redrive", _run)


def get_metrics(run_id: str, behavior: str, metrics: tuple[str, ...], points: int | None) -> Call[MetricsSeries]:
    """The series of a training."""
    params = _given(behavior=behavior, metrics=",".join(metrics), points=points)
    return Call("GET", f"/training-runs/{_segment(run_id)}/metrics", _whole(MetricsSeries), params=params)


def get_logs(run_id: str, job: str, limit: int | None, next_token: str) -> Call[LogPage]:
    """The newest lines of a run's log, or those since the page whose token it is."""
    params = _given(job=job, limit=limit, next_token=next_token)
    return Call("GET", f"/training-runs/{_segment(run_id)}/logs", _whole(LogPage), params=params)


def get_report(run_id: str) -> Call[EvaluationReport]:
    """The evaluation's report."""
    return Call("GET", f"/training-runs/{_segment(run_id)}/report", _whole(EvaluationReport))


def get_artifacts(run_id: str) -> Call[dict[str, str]]:
    """A run's files: name to presigned URL."""
    return Call("GET", f"/training-runs/{_segment(run_id)}/artifacts", _artifacts)


def list_builds(limit: int | None = None, next_token: str = "") -> Call[BuildPage]:
    """One page of builds, by key."""
    return Call("GET", "/builds", _build_page, params=_given(limit=limit, next_token=next_token))


def new_build(file_name: str, size_bytes: int | None = None) -> Call[BuildUpload | MultipartUpload]:
    """A place for a build; with its size, it is sent in parts. Sent twice, one of two places stays empty."""
    body = {"file_name": file_name} | ({} if size_bytes is None else {"size_bytes": size_bytes})
    return Call("POST", "/builds", _upload, body=body)


def get_build(build_id: str) -> Call[Build]:
    """One build."""
    return Call("GET", f"/builds/{_segment(build_id)}", _whole(Build))


def delete_build(build_id: str) -> Call[DeletedBuild]:
    """Remove a build, or give up one that is in parts."""
    return Call("DELETE", f"/builds/{_segment(build_id)}", _reader(DeletedBuild))


def get_part_urls(build_id: str, first: int, count: int) -> Call[PartUrls]:
    """Where to send `count` parts from number `first` on."""
    body = {"first": first, "count": count}
    return Call("POST", f"/builds/{_segment(build_id)}/parts", _reader(PartUrls), body=body)


def complete_build(build_id: str, size_bytes: int) -> Call[Build]:
    """Put the parts together; a build that is complete stays as it is."""
    body = {"size_bytes": size_bytes}
    return Call("POST", f"/builds/{_segment(build_id)}/complete", _whole(Build), body=body)


def list_environments() -> Call[tuple[RegistryEntry, ...]]:
    """What was mirrored of a registry."""
    return Call("GET", "/registry", _environments)


def mirror_environment(
    environment: str,
    key: str,
    sha256: str,
    source: str,
    arguments: Sequence[str],
    expected_return: float | None,
    description: str,
    replacing: bool,
) -> Call[RegistryEntry]:
    """Make an upload the build of an environment; the same zip once more changes nothing."""
    request = {
        "environment": environment,
        "key": key,
        "sha256": sha256,
        "source": source,
        "arguments": list(arguments),
        "expected_return": expected_return,
        "description": description,
        "replace": replacing,
    }
    return Call("POST", "/registry", _environment, body=request)


def delete_environment(environment: str) -> Call[DeletedEnvironment]:
    """Forget a mirrored environment."""
    return Call("DELETE", f"/registry/{_segment(environment)}", _reader(DeletedEnvironment))


def list_policies() -> Call[tuple[Policy, ...]]:
    """What is in service."""
    return Call("GET", "/policies", _policies)


def get_policy(policy: str) -> Call[Policy]:
    """One policy in service."""
    return Call("GET", f"/policies/{_segment(policy)}", _policy)


def delete_policy(policy: str) -> Call[DeletedPolicy]:
    """Take a policy out of service."""
    return Call("DELETE", f"/policies/{_segment(policy)}", _reader(DeletedPolicy))


def get_history(policy: str) -> Call[tuple[ServedVersion, ...]]:
    """What was in service under this name, newest first."""
    return Call("GET", f"/policies/{_segment(policy)}/history", _history)


def get_traffic(policy: str, window: str) -> Call[PolicyTraffic]:
    """How often a policy's endpoint was asked, and how fast it was."""
    return Call("GET", f"/policies/{_segment(policy)}/traffic", _whole(PolicyTraffic), params=_given(window=window))


def roll_back(policy: str, version: str) -> Call[Run]:
    """Bring an earlier version into service; without a version, the one before: sent twice, that may be two back."""
    repeat = Repeat.SAFE if version else Repeat.UNLESS_DONE
    path = f"/policies/{_segment(policy)}/rollback"
    return Call("POST", path, _run, body={"version": version} if version else {}, repeat=repeat)


def wake(policy: str) -> Call[Run]:
    """Bring back an endpoint that was taken down; a call that is repeated names the same run."""
    return Call("POST", f"/policies/{_segment(policy)}/wake", _run)


def get_health(api: Api) -> Call[Health]:
    """Whether an API answers."""
    return Call("GET", "/health", _reader(Health), api)


def get_description(api: Api) -> Call[dict[str, Any]]:
    """An API's OpenAPI document."""
    return Call("GET", "/openapi.json", _object, api)


def predict(policy: str, request: Mapping[str, Any]) -> Call[Prediction]:
    """Actions for observations; the body is MessagePack if it has tensors in it, and JSON otherwise."""
    content, content_type = encoded(request)
    path = f"/policies/{_segment(policy)}/predict"
    headers = {"content-type": content_type}
    return Call("POST", path, _whole(Prediction), "predict", headers=headers, content=content)


def _given(**params: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value not in (None, "")}


def _segment(name: str) -> str:
    if not name:
        raise InputError("A name is empty.")
    return quote(name, safe="")


def _reader(model: type[T]) -> Callable[[Any], T]:
    return lambda document: read(model, document)


def _whole(model: type[T]) -> Callable[[Any], T]:
    """A reader that keeps the answer as it came beside what the client knows of it."""
    return lambda document: replace(read(model, document), document=document)  # type: ignore[type-var]


_run = _whole(Run)
_build = _whole(Build)
_version = _whole(ServedVersion)
_environment = _whole(RegistryEntry)


def _policy(document: Any) -> Policy:
    """The spec's behaviors may stand beside the policy's fields or below `spec`."""
    if isinstance(document, dict) and isinstance(document.get("spec"), dict):
        return replace(read(Policy, {**document["spec"], **document}), document=document)
    return replace(read(Policy, document), document=document)


def _run_page(document: Any) -> RunPage:
    page = read(RunPage, document)
    return replace(page, runs=tuple(map(_run, document["runs"])))


def _build_page(document: Any) -> BuildPage:
    page = read(BuildPage, document)
    return replace(page, builds=tuple(map(_build, document["builds"])))


def _upload(document: Any) -> BuildUpload | MultipartUpload:
    in_parts = isinstance(document, dict) and document.get("method") == "MULTIPART"
    return read(MultipartUpload, document) if in_parts else read(BuildUpload, document)


def _artifacts(document: Any) -> dict[str, str]:
    return {name: str(url) for name, url in _entry(document, "artifacts", dict).items()}


def _environments(document: Any) -> tuple[RegistryEntry, ...]:
    return tuple(map(_environment, _entry(document, "environments", list)))


def _policies(document: Any) -> tuple[Policy, ...]:
    return tuple(map(_policy, _entry(document, "policies", list)))


def _history(document: Any) -> tuple[ServedVersion, ...]:
    return tuple(map(_version, _entry(document, "versions", list)))


def _entry(document: Any, name: str, kind: type[T]) -> T:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, kind):
        raise UnexpectedAnswerError(f"The answer has no {'list' if kind is list else 'object'} named {name}.")
    return found


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise UnexpectedAnswerError("The answer is no object.")
    return document
