"""From what broke to what a game developer is told: code, cause, remedy."""

import json
import re

from pipeline import errors
from pipeline.contracts.run import Failure

_CONTAINER_FAILURE = re.compile(r"\[(?P<code>[A-Za-z0-9]+)\] (?P<cause>.*?) Remedy: (?P<remedy>.*)", re.DOTALL)
"""What `container/` writes to /opt/ml/output/failure, wherever SageMaker puts it into FailureReason."""

_SUFFIX = re.compile(r", exit code: \d+\s*$")

_STEP_FUNCTIONS = {
    "States.Timeout": (
        "Timeout",
        "A step took longer than it may.",
        "Start the run again; if it lasts, see the log.",
        True,
    ),
    "States.TaskFailed": (
        "Internal",
        "A step failed on our side.",
        "See the log of the step; start the run again.",
        True,
    ),
    "Lambda.Unknown": (
        "OutOfMemory",
        "A step ended without an answer, most likely out of memory.",
        "See the log.",
        True,
    ),
}


def job_failure(reason: str) -> tuple[str, str]:
    """Cause and remedy in a job's FailureReason.

    The cause keeps the container's code in front (`[BuildCrashed] …`), where `classify` finds it again.
    """
    match = _CONTAINER_FAILURE.search(reason)
    if match:
        return f"[{match['code']}] {match['cause']}", _SUFFIX.sub("", match["remedy"]).strip()
    return reason or "The job failed without saying why.", "See the job's log in CloudWatch Logs."


def classify(state: str, error: str, cause: str) -> Failure:
    """What is written into the run record.

    Args:
        state: the state that failed.
        error: the error's name, as Step Functions caught it.
        cause: the Lambda's error as JSON (`errorType`, `errorMessage`), or any text.
    """
    if error in _STEP_FUNCTIONS:
        code, words, remedy, retryable = _STEP_FUNCTIONS[error]
        return Failure(code=code, state=state, cause=words, remedy=remedy, retryable=retryable)
    message, kind = _message(cause), getattr(errors, error, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.PipelineError)):
        return Failure(
            code="Internal",
            state=state,
            cause=f"{error or 'An error'}: {message}",
            remedy="This is a fault on our side: see the log of the step.",
        )
    text, _, remedy = message.partition(" Remedy: ")
    code = kind.code()
    inner = re.match(r"\[(?P<code>[A-Za-z0-9]+)\] (?P<cause>.*)", text, re.DOTALL)
    if inner:
        code, text = inner["code"], inner["cause"]
    return Failure(
        code=code,
        state=state,
        cause=text,
        remedy=remedy or kind.default_remedy,
        retryable=issubclass(kind, errors.TransientError),
    )


def _message(cause: str) -> str:
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause
