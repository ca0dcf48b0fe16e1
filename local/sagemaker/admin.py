"""What SageMaker does not have: the routes by which tests and users set the double's faults and clock.

| route | what |
|---|---|
| `GET /_admin/faults` | the fault plan, with how often each fault has happened |
| `PUT /_admin/faults` | replace it (see faults.py) |
| `GET /_admin/clock` | `{"now": seconds since 1970}` of the double |
| `POST /_admin/clock` | `{"advance_seconds": N}`: let so much time pass at once |
"""

from typing import Any

from local.sagemaker.errors import UnknownOperationError, ValidationError
from local.sagemaker.platform import Platform

PREFIX = "/_admin/"


class Admin:
    """The routes."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def call(self, method: str, path: str, document: Any) -> dict[str, Any]:
        """Answer one request.

        Raises:
            ValidationError: the document is not what the route takes.
            UnknownOperationError: there is no such route.
        """
        match method, path.removeprefix(PREFIX):
            case "GET", "faults":
                return self._platform.faults.document()
            case "PUT", "faults":
                self._platform.faults.set(document)
                return self._platform.faults.document()
            case "GET", "clock":
                return {"now": self._platform.clock.now()}
            case "POST", "clock":
                return {"now": self._platform.clock.advance(_seconds(document))}
        raise UnknownOperationError(f"The double has no {method} {path}.")


def _seconds(document: Any) -> float:
    seconds = document.get("advance_seconds") if isinstance(document, dict) else None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        raise ValidationError('The clock takes {"advance_seconds": N}, N at least 0.')
    return float(seconds)
