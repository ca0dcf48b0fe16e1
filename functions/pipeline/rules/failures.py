"""From what broke to what a game developer is told: code, cause, remedy."""

import json
import re
from typing import NamedTuple

from pipeline import errors
from pipeline.contracts.run import Failure
from pipeline.rules.job_failures import RETRYABLE
from pipeline.rules.redaction import redact

_CODED = re.compile(r"\[(?P<code>[A-Za-z0-9]+)\] (?P<cause>.*)", re.DOTALL)


FOR_OPERATORS = frozenset(
    {
        # errors of the pipeline's own
        *("Internal", "Timeout", "Throttled", "ServiceUnavailable", "NotYetConsistent", "ModelNotReady", "LeaseHeld"),
        *("DeadlineExceeded", "ExecutionEnded", "DeploymentFailed", "VerificationFailed", "Model", "ArtifactInvalid"),
        # of jobs: the account's quotas, images, rights and data
        *("Capacity", "Platform", "ImagePull", "StorageAccess", "UnknownOrigin"),
    }
)
"""Codes that those who run the stack have to look at. The others are mended by who sent the build or the request."""


class _Words(NamedTuple):
    code: str
    cause: str
    remedy: str


_AGAIN = "Start the run again; if it lasts, see the log of the step."
_IN_VAIN = "It was tried again until that was given up: redrive the run later; if it lasts, see the log of the step."
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


def classify(state: str, error: str, cause: str) -> Failure:
    """What is written into the run record, without anything secret.

    Args:
        state: the state that failed.
        error: the error's name, as Step Functions caught it.
        cause: the Lambda's error as JSON (`errorType`, `errorMessage`), or any text.
    """
    found = _classified(state, error, cause)
    return found.model_copy(update={"cause": redact(found.cause), "remedy": redact(found.remedy)})


def _classified(state: str, error: str, cause: str) -> Failure:
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
    if (remedy or kind.default_remedy) == errors.TransientError.default_remedy:
        remedy = _IN_VAIN
    own_code = "Internal" if kind is errors.PipelineError else kind.code()
    code = coded["code"] if coded else own_code
    return Failure(
        code=code,
        state=state,
        cause=coded["cause"] if coded else text,
        remedy=remedy or kind.default_remedy,
        retryable=issubclass(kind, errors.TransientError) or code in RETRYABLE,
    )


def _message(cause: str) -> str:
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause
