"""From what broke to what a game developer is told: code, cause, remedy."""

import json
import re
from typing import NamedTuple

from pipeline import errors
from pipeline.contracts.run import Failure

_CODED = re.compile(r"\[(?P<code>[A-Za-z0-9]+)\] (?P<cause>.*)", re.DOTALL)
_CONTAINER_FAILURE = re.compile(r"\[(?P<code>[A-Za-z0-9]+)\] (?P<cause>.*?) Remedy: (?P<remedy>.*)", re.DOTALL)
"""What `container/` writes to /opt/ml/output/failure, wherever SageMaker puts it into FailureReason."""

_EXIT_CODE = re.compile(r",? ?exit code: (?P<code>\d+)\s*$")
"""SageMaker appends it to what the container wrote."""

_KILLED = "137"  # 128 + SIGKILL; inside a job, that is the kernel's out-of-memory killer


class _Words(NamedTuple):
    code: str
    cause: str
    remedy: str


_SEE_LOG = "See the job's log in CloudWatch Logs."
_AGAIN = "Start the run again; if it lasts, see the log of the step."
_STEP_FUNCTIONS = {
    "States.Timeout": _Words("Timeout", "A step of ours took longer than it may.", _AGAIN),
    "Sandbox.Timedout": _Words("Timeout", "A step of ours took longer than it may.", _AGAIN),
    "States.TaskFailed": _Words("Internal", "A step failed on our side.", _AGAIN),
    "Lambda.Unknown": _Words(
        "OutOfMemory", "A step of ours ended without an answer, most likely out of memory.", _AGAIN
    ),
    "Runtime.ExitError": _Words("OutOfMemory", "A step of ours was ended, most likely out of memory.", _AGAIN),
}
"""Errors that Step Functions and Lambda name themselves (their developer guides, "Error names" and "Errors")."""


def job_failure(reason: str) -> tuple[str, str]:
    """Cause and remedy in a job's FailureReason.

    The cause keeps a code in front (`[BuildCrashed] …`), where `classify` finds it again.
    """
    if match := _CONTAINER_FAILURE.search(reason):
        return f"[{match['code']}] {match['cause']}", _EXIT_CODE.sub("", match["remedy"]).strip()
    if (ended := _EXIT_CODE.search(reason)) and ended["code"] == _KILLED:
        return "[OutOfMemory] The job was killed, most likely out of memory.", (
            "Choose a larger instances.instance_type, or a smaller environment.num_builds."
        )
    if reason.startswith("CapacityError"):
        return f"[Capacity] AWS has no machine of this type free: {reason}", (
            "Start the run again later, or choose another instances.instance_type."
        )
    return reason or "The job failed without saying why.", _SEE_LOG


def classify(state: str, error: str, cause: str) -> Failure:
    """What is written into the run record.

    Args:
        state: the state that failed.
        error: the error's name, as Step Functions caught it.
        cause: the Lambda's error as JSON (`errorType`, `errorMessage`), or any text.
    """
    if words := _STEP_FUNCTIONS.get(error):
        return Failure(code=words.code, state=state, cause=words.cause, remedy=words.remedy, retryable=True)
    message, kind = _message(cause), getattr(errors, error, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.PipelineError)):
        return Failure(
            code="Internal",
            state=state,
            cause=f"{error or 'An error'}: {message}",
            remedy="This is a fault on our side: see the log of the step.",
        )
    text, _, remedy = message.partition(" Remedy: ")
    coded = _CODED.fullmatch(text)
    own_code = "Internal" if kind is errors.PipelineError else kind.code()
    return Failure(
        code=coded["code"] if coded else own_code,
        state=state,
        cause=coded["cause"] if coded else text,
        remedy=remedy or kind.default_remedy,
        retryable=issubclass(kind, errors.TransientError),
    )


def _message(cause: str) -> str:
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause
