"""Python client of a gamedojo stack: train policies from Unity builds, and ask them for actions.

Where to look: `client` (the calls), `connection` (where the stack is), `models` (what the APIs answer), `errors`,
`following` (a run until it ends), `cli` (the `gamedojo` command line).
"""

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
    WaitTimeoutError,
)
from gamedojo.following import follow_run
from gamedojo.models import (
    Action,
    ActionSpec,
    Behavior,
    CreatedRun,
    ObservationSpec,
    Policy,
    Prediction,
    Progress,
    Run,
    RunPage,
)
from gamedojo.transport import RetryPolicy

__all__ = [
    "Action",
    "ActionSpec",
    "ApiError",
    "Behavior",
    "Connection",
    "ConnectionSettingsError",
    "CreatedRun",
    "FieldProblem",
    "GamedojoClient",
    "GamedojoError",
    "InputError",
    "ObservationSpec",
    "Policy",
    "Prediction",
    "Progress",
    "RetryPolicy",
    "Run",
    "RunPage",
    "UnexpectedAnswerError",
    "UnreachableError",
    "WaitTimeoutError",
    "find_connection",
    "follow_run",
]
