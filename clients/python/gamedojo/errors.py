"""The exception tree of the client.

GamedojoError
├── InputError               what was asked for cannot be right: a missing file, JSON that does not parse
│   └── ConnectionSettingsError  nothing says where the stack is, or what says so is incomplete
├── UnreachableError         no answer after every retry: refused, dropped, timed out
├── UnexpectedAnswerError    an answer that is not the API's, for example a proxy's HTML page
├── DownloadError            a registry's server has not what its manifest names, or sends something else
├── UploadInterruptedError   parts of a build could not be sent; what has come is kept, and the upload can go on
├── ApiError                 the API's own error answer (problem details, RFC 9457)
└── WaitTimeoutError         a run did not appear in time
"""

from dataclasses import dataclass
from typing import Any

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})


class GamedojoError(Exception):
    """Base of all. `remedy` says what to do about it; it may be empty."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InputError(GamedojoError):
    """What was asked for cannot be right; nothing was sent."""


class ConnectionSettingsError(InputError):
    """Nothing says where the stack is, or what says so is incomplete."""


class UnreachableError(GamedojoError):
    """No answer after every retry."""


class UnexpectedAnswerError(GamedojoError):
    """An answer that is not the API's."""


class DownloadError(GamedojoError):
    """A registry's server has not what its manifest names, or sends something else."""


class UploadInterruptedError(GamedojoError):
    """Parts of a build could not be sent. `upload` is what `upload_build` takes as `resume`, to send the rest."""

    def __init__(self, message: str, upload: Any) -> None:
        super().__init__(message, "Upload the same file again: what has come is kept for three days.")
        self.upload = upload


class WaitTimeoutError(GamedojoError):
    """A run did not appear in time."""


@dataclass(frozen=True)
class FieldProblem:
    """One field that is wrong: its dotted path ("" for the document itself) and what would be right."""

    field: str
    message: str


class ApiError(GamedojoError):
    """The API's error answer.

    `status` is HTTP's, `code` is stable and for programs, `detail` says what is wrong, `remedy` what would be right,
    `errors` names each field that is wrong.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        remedy: str = "",
        errors: tuple[FieldProblem, ...] = (),
        title: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail or title or f"HTTP status {status}", remedy)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.title = title
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_input_error(self) -> bool:
        """True when the request itself is wrong, so that sending it again cannot help."""
        return self.status in (400, 413, 415, 422)

    @property
    def is_transient(self) -> bool:
        """True when the same request may succeed later."""
        return self.status in RETRYABLE_STATUSES


def api_error(status: int, document: Any, *, text: str = "", retry_after_seconds: float | None = None) -> ApiError:
    """Make an ApiError of a problem document, or of whatever else an error answer's body was.

    API Gateway's own errors (a wrong key, throttling) are `{"message": "Forbidden"}` and no problem document.
    """
    problem = document if isinstance(document, dict) else {}
    detail = problem.get("detail") or problem.get("message") or problem.get("title") or text.strip()[:500]
    return ApiError(
        status=status,
        code=str(problem.get("code") or f"Http{status}"),
        detail=str(detail or f"HTTP status {status} without an explanation"),
        remedy=str(problem.get("remedy") or _REMEDIES.get(status, "")),
        errors=tuple(
            FieldProblem(field=str(entry.get("field", "")), message=str(entry.get("message", "")))
            for entry in _list(problem.get("errors"))
            if isinstance(entry, dict)
        ),
        title=str(problem.get("title") or ""),
        retry_after_seconds=retry_after_seconds,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_REMEDIES = {
    403: "Check the API key: the control API and the predict API have keys of their own.",
    429: "Wait a moment, or ask for a usage plan with a higher rate.",
}
