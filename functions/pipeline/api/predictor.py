"""The predict API's work: check a request against the policy's spec, ask its endpoint once, answer.

What is in service is read from S3 (`policies/<policy>/current.json` and the spec it names) and kept in the process. It
is read anew when it is a minute old, and at most once a second when something hints that it has changed: the endpoint
names another version, an observation does not fit, or the endpoint is gone. No database is asked.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, Protocol, TypeVar

from pipeline.contracts.constants import POLICY_NAME_PATTERN
from pipeline.errors import (
    InvalidObservationError,
    NotYetConsistentError,
    PolicyAsleepError,
    PolicyNotFoundError,
    TransientError,
)
from pipeline.rules.observations import Checked, check_question
from pipeline.rules.questions import Question
from pipeline.rules.served import Current, Spec, read_current, read_spec

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""The published limit of one request. A serverless endpoint takes 4 MB and a Lambda 6 MB with the proxy's envelope."""

MAX_AGE_SECONDS = 60.0
MIN_AGE_SECONDS = 1.0

_POLICY_NAME = re.compile(POLICY_NAME_PATTERN)


class Answer(Protocol):
    """What an endpoint has answered, in whatever format: it tells which version it serves."""

    @property
    def version(self) -> str:
        """Of the policy."""


AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True)
class Answered(Generic[AnswerT]):
    """An answer, and the question as it was last put."""

    checked: Checked
    answer: AnswerT


@dataclass(frozen=True)
class _Served:
    """What is in service, and when that was read (monotonic seconds)."""

    current: Current
    spec: Spec
    read_at: float


@dataclass
class Predictor:
    """Answers predict requests; one for each process, so that what it has read is kept between requests.

    `load_current`: a policy's name → the JSON text of its `CurrentPolicy`; `load_spec`: its name and the spec's key →
    the JSON text of its `PolicySpec`.
    """

    load_current: Callable[[str], bytes]
    load_spec: Callable[[str, str], bytes]
    clock: Callable[[], float] = monotonic
    _known: dict[str, _Served] = field(default_factory=dict, init=False)

    def ask(self, policy: str, question: Question, send: Callable[[str, Checked], AnswerT]) -> Answered[AnswerT]:
        """Have `send` ask the endpoint that serves the policy, once the question fits.

        Raises:
            PolicyNotFoundError: no policy of this name is in service.
            PolicyAsleepError: its idle endpoint was taken down.
            InvalidObservationError: the question does not fit the policy's spec.
            StaleStateError, ModelNotReadyError, ModelError, ThrottledError, ServiceUnavailableError,
            NotYetConsistentError: by `send`.
        """
        served, checked = self._check(self._awake(policy), question)
        try:
            answer = send(served.current.endpoint_name, checked)
        except (NotYetConsistentError, InvalidObservationError):
            # The endpoint is another one by now, or serves another version: ask that one, once.
            fresh = self._read_again(served)
            _check_awake(fresh)
            if fresh.current == served.current:
                raise
            checked = check_question(fresh.spec, question)
            answer = send(fresh.current.endpoint_name, checked)
        else:
            if answer.version != served.current.version:
                with suppress(PolicyNotFoundError):  # the answer is there already
                    self._read_again(served)
        return Answered(checked, answer)

    def _check(self, served: _Served, question: Question) -> tuple[_Served, Checked]:
        """Check against what is known; before a refusal, against what is in service now."""
        try:
            return served, check_question(served.spec, question)
        except InvalidObservationError:
            fresh = self._read_again(served)
            if fresh.spec == served.spec:
                raise
            return fresh, check_question(fresh.spec, question)

    def _awake(self, policy: str) -> _Served:
        served = self._in_service(policy)
        if served.current.asleep:  # it may have been woken since
            served = self._read_again(served)
        _check_awake(served)
        return served

    def _in_service(self, policy: str) -> _Served:
        if not _POLICY_NAME.fullmatch(policy):
            raise PolicyNotFoundError(f"{policy!r} is no policy's name.")
        known = self._known.get(policy)
        if known is None:
            return self._read(policy, None)
        return known if self.clock() - known.read_at < MAX_AGE_SECONDS else self._read_or_keep(known)

    def _read_again(self, served: _Served) -> _Served:
        known = self._known.get(served.current.policy, served)
        return known if self.clock() - known.read_at < MIN_AGE_SECONDS else self._read_or_keep(known)

    def _read_or_keep(self, known: _Served) -> _Served:
        """What was known a moment ago serves better than no answer while S3 cannot be read."""
        try:
            return self._read(known.current.policy, known)
        except TransientError:
            return known

    def _read(self, policy: str, known: _Served | None) -> _Served:
        read_at = self.clock()
        try:
            current = read_current(self.load_current(policy))
        except PolicyNotFoundError:
            self._known.pop(policy, None)
            raise
        if known is not None and known.current == current:
            spec = known.spec
        else:
            spec = read_spec(self.load_spec(policy, current.spec_key))
        self._known[policy] = _Served(current, spec, read_at)
        return self._known[policy]


def _check_awake(served: _Served) -> None:
    if served.current.asleep:
        raise PolicyAsleepError(
            f"Nobody asked the policy {served.current.policy} for long, and its endpoint was taken down."
        )
