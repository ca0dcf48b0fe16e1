"""The fault plan: what goes wrong, when and how often. Set by a JSON file or by `PUT /_admin/faults`.

    {"faults": [
        {"kind": "throttling", "action": "Create*", "skip": 1, "times": 2},
        {"kind": "lost_answer", "action": "CreateEndpoint", "resource": "my-endpoint"},
        {"kind": "spot_interruption", "resource": "my-job*", "after_seconds": 20}
    ]}

| kind | what happens |
|---|---|
| `throttling`, `resource_limit`, `internal_failure`, `service_unavailable`, `access_denied` | the call is refused |
| `lost_request` | the connection breaks, nothing was done |
| `lost_answer` | the connection breaks after everything was done |
| `capacity_error` | a job's or an endpoint's instances are not to be had |
| `spot_interruption` | a spot job's instances are taken away, `after_seconds` of the double into Training |
| `host_loss` | host `host` of a job is killed, `after_seconds` into Training |
| `failing_ping` | an endpoint's new container never passes /ping |
| `failing_rollback` | an endpoint's rollback fails |

A call or an event counts for a fault when `action` (of the API, a glob) and `resource` (its name, a glob) fit; so many
are skipped, then so many are hit (`times: null` for all). Of several faults that are due, the first happens.
"""

import fnmatch
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from local.sagemaker import errors

CallKind = Literal[
    "throttling",
    "resource_limit",
    "internal_failure",
    "service_unavailable",
    "access_denied",
    "lost_request",
    "lost_answer",
]
EventKind = Literal["capacity_error", "spot_interruption", "host_loss", "failing_ping", "failing_rollback"]

_CALL_KINDS = frozenset(get_args(CallKind))
_TIMED = frozenset({"spot_interruption", "host_loss"})

_REFUSALS: dict[str, tuple[type[errors.ApiError], str]] = {
    "throttling": (errors.RateExceededError, "Rate exceeded"),
    "resource_limit": (
        errors.ResourceLimitExceededError,
        "The account-level service limit 'fault plan' is 0 Instances, with current utilization of 0 Instances and a "
        "request delta of 1 Instances.",
    ),
    "internal_failure": (errors.InternalError, "The request processing has failed because of an unknown error."),
    "service_unavailable": (errors.ServiceUnavailableError, "The request has failed due to a temporary failure."),
    "access_denied": (errors.AccessDeniedError, "User is not authorized to perform this action: the fault plan."),
}


class Fault(BaseModel):
    """One line of the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: CallKind | EventKind
    action: str = "*"
    resource: str = "*"
    skip: int = Field(0, ge=0)
    times: int | None = Field(1, ge=1)
    after_seconds: float = Field(0.0, ge=0)
    host: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind in _TIMED and self.skip:
            raise ValueError(f"{self.kind} takes no skip: name the moment by after_seconds")
        if self.kind not in _TIMED and self.after_seconds:
            raise ValueError(f"{self.kind} takes no after_seconds: count by skip")
        if self.kind not in _CALL_KINDS and self.action != "*":
            raise ValueError(f"{self.kind} takes no action: it is no call of the API")
        return self

    def refusal(self) -> errors.ApiError | None:
        """How the call is refused; None for a fault that is no refusal."""
        found = _REFUSALS.get(self.kind)
        return found[0](found[1]) if found is not None else None


class _Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    faults: list[Fault] = []


class Faults:
    """The plan, and how much of it has happened. A file that changes is read anew, and counted from zero."""

    def __init__(self, path: Path) -> None:
        """Read the plan, if the file is there.

        Raises:
            ConfigError: it is no fault plan.
        """
        self._path = path
        self._lock = threading.Lock()
        self._plan: list[Fault] = []
        self._met: list[int] = []
        self._stamp: tuple[int, int] | None = None
        self._read_if_changed()

    def call(self, action: str, resource: str) -> Fault | None:
        """What happens to this call of the API."""
        return self._due(
            lambda fault: fault.kind in _CALL_KINDS and fnmatch.fnmatchcase(action, fault.action), resource
        )

    def event(self, kind: EventKind, resource: str, elapsed_seconds: float = 0.0) -> Fault | None:
        """Whether this happens now to a job or an endpoint."""
        return self._due(lambda fault: fault.kind == kind and elapsed_seconds >= fault.after_seconds, resource)

    def set(self, document: Any) -> None:
        """Replace the plan, in the file too.

        Raises:
            errors.ValidationError: it is none.
        """
        try:
            plan = _Plan.model_validate(document)
        except ValidationError as error:
            raise errors.ValidationError(f"This is no fault plan: {_shown(error)}") from error
        fresh = self._path.with_suffix(".new")
        fresh.write_text(plan.model_dump_json())
        with self._lock:
            os.replace(fresh, self._path)  # noqa: PTH105
            self._take(plan)

    def document(self) -> dict[str, Any]:
        """The plan, with how often each fault has happened."""
        with self._lock:
            self._read_if_changed()
            return {
                "faults": [
                    {**fault.model_dump(), "happened": _happened(fault, met)}
                    for fault, met in zip(self._plan, self._met, strict=True)
                ]
            }

    def _due(self, fits: Callable[[Fault], bool], resource: str) -> Fault | None:
        with self._lock:
            self._read_if_changed()
            for number, fault in enumerate(self._plan):
                if not (fits(fault) and fnmatch.fnmatchcase(resource, fault.resource)):
                    continue
                self._met[number] += 1
                met = self._met[number]
                if met > fault.skip and (fault.times is None or met <= fault.skip + fault.times):
                    return fault
        return None

    def _read_if_changed(self) -> None:
        if _stamp(self._path) == self._stamp:
            return
        try:
            plan = _Plan.model_validate_json(self._path.read_text()) if self._path.exists() else _Plan()
        except ValidationError as error:
            raise errors.ConfigError(f"{self._path} is no fault plan: {_shown(error)}") from error
        self._take(plan)

    def _take(self, plan: _Plan) -> None:
        self._plan, self._met = plan.faults, [0] * len(plan.faults)
        self._stamp = _stamp(self._path)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _happened(fault: Fault, met: int) -> int:
    most = met if fault.times is None else fault.times
    return max(0, min(met - fault.skip, most))


def _shown(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
