"""AWS clients whose calls can fail: before they are done, or after, as when an answer is lost on its way.

A plan names one call of a run: in which state, which service and operation, and which of several.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ReadTimeoutError

_OPERATION = re.compile(r"[a-z]+(_[a-z0-9]+)+|publish|query|scan")
_NO_CALLS = {"get_paginator", "get_waiter", "can_paginate", "generate_presigned_url", "served_model"}


class Call(NamedTuple):
    """One call of a run: the number counts equal calls of the same state, from 0."""

    state: str
    service: str
    operation: str
    number: int

    def __str__(self) -> str:
        again = f" ({self.number + 1}.)" if self.number else ""
        return f"{self.state}: {self.service}.{self.operation}{again}"


class CrashError(BaseException):
    """The Lambda's process ends here; nothing of it can catch this."""


@dataclass
class Faults:
    """What goes wrong, by call, and every call that was made."""

    planned: dict[Call, str] = field(default_factory=dict)
    """One of `KINDS`; each goes wrong once."""
    made: list[Call] = field(default_factory=list)
    hit: list[Call] = field(default_factory=list)
    _counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    _here: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, execution: str, state: str) -> None:
        """The calls of this thread are those of this state, until the next one."""
        self._here.at = (execution, state)

    def around(self, service: str, operation: str, do: Callable[[], Any]) -> Any:
        """Do the call, or let it go wrong."""
        execution, state = getattr(self._here, "at", ("", ""))
        with self._lock:
            number = self._counts[execution, state, service, operation]
            self._counts[execution, state, service, operation] += 1
            call = Call(state, service, operation, number)
            self.made.append(call)
            kind = self.planned.pop(call, None)
            if kind is not None:
                self.hit.append(call)
        return do() if kind is None else KINDS[kind](operation, do)


class FaultyClient:
    """A client, with each of its operations in the hands of `Faults`."""

    def __init__(self, client: Any, service: str, faults: Faults) -> None:
        self._client, self._service, self._faults = client, service, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name in _NO_CALLS or not _OPERATION.fullmatch(name) or not callable(found):
            return found

        def call(*arguments: Any, **request: Any) -> Any:
            return self._faults.around(self._service, name, lambda: found(*arguments, **request))

        return call


def _refusal(code: str, status: int) -> Callable[[str, Callable[[], Any]], Any]:
    def fail(operation: str, _: Callable[[], Any]) -> Any:
        answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, operation)  # type: ignore[arg-type]

    return fail


def _lost_answer(operation: str, do: Callable[[], Any]) -> Any:
    do()
    raise ReadTimeoutError(endpoint_url=f"https://aws/{operation}")


def _crash_before(operation: str, do: Callable[[], Any]) -> Any:
    raise CrashError


def _crash_after(operation: str, do: Callable[[], Any]) -> Any:
    do()
    raise CrashError


KINDS: dict[str, Callable[[str, Callable[[], Any]], Any]] = {
    "throttled": _refusal("ThrottlingException", 400),
    "unavailable": _refusal("InternalFailure", 500),
    "answer lost": _lost_answer,
    "process killed before": _crash_before,
    "process killed after": _crash_after,
    "access denied": _refusal("AccessDeniedException", 403),
}
