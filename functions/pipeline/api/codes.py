"""Every code that an error answer of the APIs can have: its status, what it means, what to do.

Codes are stable: programs go by them. Those of our own errors are the classes' names without the suffix; the others are
of what happens before an error of ours can, some of it in API Gateway (template.yaml, GatewayResponses).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from pipeline import errors

_STATUS: dict[type[errors.PipelineError], HTTPStatus] = {
    errors.InputError: HTTPStatus.BAD_REQUEST,
    errors.BuildRejectedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BuildNotFoundError: HTTPStatus.NOT_FOUND,
    errors.EnvironmentNotMirroredError: HTTPStatus.NOT_FOUND,
    errors.RunNotFoundError: HTTPStatus.NOT_FOUND,
    errors.PolicyNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ReportNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.PolicyAsleepError: HTTPStatus.CONFLICT,
    errors.IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ThrottledError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.LeaseHeldError: HTTPStatus.CONFLICT,
    errors.StepFailedError: HTTPStatus.BAD_GATEWAY,
    errors.DeadlineExceededError: HTTPStatus.GATEWAY_TIMEOUT,
    errors.PipelineError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_MEANINGS: dict[type[errors.PipelineError], str] = {
    errors.InvalidRequestError: "The request breaks its contract; `errors` names each field that is wrong.",
    errors.ThrottledError: "More requests a second than the key's usage plan allows, or AWS itself.",
}
"""Where an error class, which a run may end with too, says it otherwise."""

RETRY_AFTER_SECONDS = {HTTPStatus.TOO_MANY_REQUESTS: 1, HTTPStatus.SERVICE_UNAVAILABLE: 5}
"""Where another try may help: after so long."""


@dataclass(frozen=True)
class ErrorCode:
    """One code. `by_gateway`: API Gateway answers it, before a function is asked."""

    code: str
    status: HTTPStatus
    meaning: str
    remedy: str
    by_gateway: bool = False


REQUEST_TOO_LARGE = ErrorCode(
    "RequestTooLarge",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The body is above the published limit.",
    "Send less in one request.",
)
ROUTE_NOT_FOUND = ErrorCode(
    "RouteNotFound",
    HTTPStatus.NOT_FOUND,
    "This API has no such path.",
    "Compare path and method with the API's documentation.",
)
METHOD_NOT_ALLOWED = ErrorCode(
    "MethodNotAllowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "The path does not take this method; the header Allow names those that it takes.",
    "Send one of the methods in the header Allow.",
)
INTERNAL = ErrorCode(
    "Internal",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something failed on our side that we did not foresee. The log tells what, under the request id.",
    "Try again; if it lasts, look for this request id in the log.",
)
API_KEY_INVALID = ErrorCode(
    "ApiKeyInvalid",
    HTTPStatus.FORBIDDEN,
    "The API key is missing, or is none of this API's.",
    "Send a key of this API in the header x-api-key.",
    by_gateway=True,
)
QUOTA_EXCEEDED = ErrorCode(
    "QuotaExceeded",
    HTTPStatus.TOO_MANY_REQUESTS,
    "This key has used up its usage plan's requests for the day.",
    "Wait until tomorrow, or raise the usage plan's quota.",
    by_gateway=True,
)
FILTERED = ErrorCode(
    "Filtered",
    HTTPStatus.FORBIDDEN,
    "The web application firewall lets this request not through.",
    "Look at the rules of the web ACL that the stack is given.",
    by_gateway=True,
)
TIMEOUT = ErrorCode(
    "Timeout", HTTPStatus.GATEWAY_TIMEOUT, "No answer within 29 seconds.", "Try again.", by_gateway=True
)

_OTHERS = (
    REQUEST_TOO_LARGE,
    ROUTE_NOT_FOUND,
    METHOD_NOT_ALLOWED,
    INTERNAL,
    API_KEY_INVALID,
    QUOTA_EXCEEDED,
    FILTERED,
    TIMEOUT,
)


def of_class(kind: type[errors.PipelineError]) -> ErrorCode:
    """An error of ours: its own code, and the status of the nearest class that has one."""
    status = next(_STATUS[base] for base in kind.__mro__ if base in _STATUS)
    meaning = _MEANINGS.get(kind) or (kind.__doc__ or "").strip().partition("\n")[0]
    return ErrorCode(kind.code(), status, meaning, to_caller(kind.default_remedy))


def to_caller(remedy: str) -> str:
    """What a state of a run need not do, because it is tried again, a caller must do himself."""
    return "Pause, then try again." if remedy == errors.TransientError.default_remedy else remedy


def all_codes() -> tuple[ErrorCode, ...]:
    """Every one, by status, then by name."""
    ours = [of_class(kind) for kind in _subclasses(errors.InputError, errors.TransientError, errors.StepFailedError)]
    return tuple(sorted((*ours, *_OTHERS), key=lambda one: (one.status, one.code)))


def _subclasses(*bases: type[errors.PipelineError]) -> Iterator[type[errors.PipelineError]]:
    for base in bases:
        for kind in base.__subclasses__():
            yield kind
            yield from _subclasses(kind)
