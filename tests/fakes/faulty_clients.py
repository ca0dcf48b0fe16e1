"""AWS clients whose calls can fail: before they are done, or after, as when an answer is lost on its way.

A plan names one call of a run: in which state, which service and operation, and which of several.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.fakes import aws_refusals
from tests.fakes.aws_refusals import Refusal, Request

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


Do = Callable[[], Any]
Find = Callable[[str, str, Request, Any], aws_refusals.Answer]
Kind = Callable[[Call, Request, Do], Any]
"""How a call goes wrong."""


class CrashError(BaseException):
    """The Lambda's process ends here; nothing of it can catch this."""


class TransferCrashError(Exception):
    """The same in a thread of S3's managed transfers, which hands on nothing but an Exception."""


@dataclass
class Faults:
    """What goes wrong, by call, and every call that was made."""

    planned: dict[Call, str] = field(default_factory=dict)
    """One of `KINDS`; each goes wrong once."""
    made: list[Call] = field(default_factory=list)
    hit: list[Call] = field(default_factory=list)
    left_out: dict[tuple[Call, str], str] = field(default_factory=dict)
    """Why AWS would not answer a call so, of those that were made without a fault, by call and kind."""
    _counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    _here: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, execution: str, state: str, in_transfer: bool = False) -> None:
        """The calls of this thread are those of this state, until the next one."""
        self._here.at = (execution, state, in_transfer)

    def forget(self) -> None:
        """The calls that were made until now."""
        self.made.clear()
        self.left_out.clear()

    def executor(self, max_workers: int) -> ThreadPoolExecutor:
        """For S3's managed transfers: what its threads call is called by the state that has made it."""
        execution, state, _ = self._place()
        return ThreadPoolExecutor(max_workers, initializer=self.enter, initargs=(execution, state, True))

    def around(self, service: str, operation: str, request: Request, do: Do) -> Any:
        """Do the call, or let it go wrong."""
        execution, state, in_transfer = self._place()
        with self._lock:
            number = self._counts[execution, state, service, operation]
            self._counts[execution, state, service, operation] += 1
            call = Call(state, service, operation, number)
            self.made.append(call)
            kind = self.planned.pop(call, None)
            if kind is not None:
                self.hit.append(call)
        try:
            return self._look(call, request, do) if kind is None else KINDS[kind](call, request, do)
        except CrashError as crash:
            if in_transfer:
                raise TransferCrashError from crash
            raise

    def _place(self) -> tuple[str, str, bool]:
        place: tuple[str, str, bool] = getattr(self._here, "at", ("", "", False))
        return place

    def _look(self, call: Call, request: Request, do: Do) -> Any:
        answer = None
        try:
            answer = do()
            return answer
        finally:
            for kind, find in REFUSALS.items():
                found = find(call.service, call.operation, request, answer)
                if isinstance(found, str):
                    self.left_out[call, kind] = found


class FaultyClient:
    """A client, with each of its operations in the hands of `Faults`."""

    def __init__(self, client: Any, service: str, faults: Faults) -> None:
        self._client, self._service, self._faults = client, service, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name in _NO_CALLS or not _OPERATION.fullmatch(name) or not callable(found):
            return found

        def call(*arguments: Any, **request: Any) -> Any:
            return self._faults.around(self._service, name, request, lambda: found(*arguments, **request))

        return call


def _fail(call: Call, refusal: Refusal) -> NoReturn:
    answer = {
        "Error": {"Code": refusal.code, "Message": refusal.message},
        "ResponseMetadata": {"HTTPStatusCode": refusal.status},
    }
    raise ClientError(answer, call.operation)  # type: ignore[arg-type]


def _refused(code: str, status: int) -> Kind:
    return lambda call, request, do: _fail(call, Refusal(code, code, status))


def _refused_as(find: Find) -> Kind:
    def refuse(call: Call, request: Request, do: Do) -> Any:
        answer = do() if aws_refusals.only_reads(call.operation) else None
        refusal = find(call.service, call.operation, request, answer)
        if isinstance(refusal, str):  # AWS has no such answer: the call goes right
            return answer if aws_refusals.only_reads(call.operation) else do()
        if refusal.again:
            do()
        _fail(call, refusal)

    return refuse


def _lost_answer(call: Call, request: Request, do: Do) -> Any:
    do()
    raise ReadTimeoutError(endpoint_url=f"https://aws/{call.operation}")


def _crash_before(call: Call, request: Request, do: Do) -> Any:
    raise CrashError


def _crash_after(call: Call, request: Request, do: Do) -> Any:
    do()
    raise CrashError


REFUSALS: dict[str, Find] = {"conflict": aws_refusals.conflict, "not found": aws_refusals.not_found}
"""Kinds that not every call can meet."""

KINDS: dict[str, Kind] = {
    "throttled": _refused("ThrottlingException", 400),
    "unavailable": _refused("InternalFailure", 500),
    "answer lost": _lost_answer,
    **{kind: _refused_as(find) for kind, find in REFUSALS.items()},
    "process killed before": _crash_before,
    "process killed after": _crash_after,
    "access denied": _refused("AccessDeniedException", 403),
}
