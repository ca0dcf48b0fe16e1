"""Python client of a gamedojo stack: train policies from Unity builds, and ask them for actions.

Where to look: `client` and `async_client` (the calls), `connection` (where the stack is), `models` (what the APIs
answer), `errors`, `following` (a run until it ends), `cli` (the `gamedojo` command line). Within: `calls` (every
operation once), `flows` and `uploading` (what takes several), `transport` and `async_transport` (HTTP).

Names are imported when they are first used: the command line answers `--help` without an HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gamedojo.async_client import AsyncGamedojoClient
    from gamedojo.client import GamedojoClient
    from gamedojo.connection import Connection, find_connection
    from gamedojo.errors import (
        ApiError,
        ConnectionSettingsError,
        FieldProblem,
        GamedojoError,
        InputError,
        UnexpectedAnswerError,
        UnreachableError,
        UploadInterruptedError,
        WaitTimeoutError,
    )
    from gamedojo.following import Patience, follow_run, follow_run_async
    from gamedojo.models import (
        Action,
        ActionSpec,
        Behavior,
        Build,
        BuildPage,
        CreatedRun,
        EvaluationReport,
        Health,
        LogLine,
        LogPage,
        MetricsSeries,
        ObservationSpec,
        Policy,
        PolicyTraffic,
        Prediction,
        Progress,
        Run,
        RunPage,
        ServedVersion,
    )
    from gamedojo.observations import Tensor
    from gamedojo.retrying import RetryPolicy
    from gamedojo.uploading import PartialUpload

_PLACES = {
    "async_client": ("AsyncGamedojoClient",),
    "client": ("GamedojoClient",),
    "connection": ("Connection", "find_connection"),
    "errors": (
        "ApiError",
        "ConnectionSettingsError",
        "FieldProblem",
        "GamedojoError",
        "InputError",
        "UnexpectedAnswerError",
        "UnreachableError",
        "UploadInterruptedError",
        "WaitTimeoutError",
    ),
    "following": ("Patience", "follow_run", "follow_run_async"),
    "models": (
        "Action",
        "ActionSpec",
        "Behavior",
        "Build",
        "BuildPage",
        "CreatedRun",
        "EvaluationReport",
        "Health",
        "LogLine",
        "LogPage",
        "MetricsSeries",
        "ObservationSpec",
        "Policy",
        "PolicyTraffic",
        "Prediction",
        "Progress",
        "Run",
        "RunPage",
        "ServedVersion",
    ),
    "observations": ("Tensor",),
    "retrying": ("RetryPolicy",),
    "uploading": ("PartialUpload",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Action",
    "ActionSpec",
    "ApiError",
    "AsyncGamedojoClient",
    "Behavior",
    "Build",
    "BuildPage",
    "Connection",
    "ConnectionSettingsError",
    "CreatedRun",
    "EvaluationReport",
    "FieldProblem",
    "GamedojoClient",
    "GamedojoError",
    "Health",
    "InputError",
    "LogLine",
    "LogPage",
    "MetricsSeries",
    "ObservationSpec",
    "PartialUpload",
    "Patience",
    "Policy",
    "PolicyTraffic",
    "Prediction",
    "Progress",
    "RetryPolicy",
    "Run",
    "RunPage",
    "ServedVersion",
    "Tensor",
    "UnexpectedAnswerError",
    "UnreachableError",
    "UploadInterruptedError",
    "WaitTimeoutError",
    "find_connection",
    "follow_run",
    "follow_run_async",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"gamedojo.{_MODULE_OF[name]}"), name)
