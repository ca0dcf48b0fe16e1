"""Builds side by side: each answers at its own pace, and one that breaks is started again without the others.

All of it happens in the caller's thread, which waits for all builds at once; only a restart, which takes seconds, has a
thread of its own while the other builds play on.
"""

import logging
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rl_src.cores import usable_cores
from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.errors import BuildProcessError
from rl_src.envs.side_channels import Sampler
from rl_src.envs.specs import BehaviorSpec
from rl_src.envs.transport import WAKEFUL_SECONDS

SceneStep = Mapping[str, BehaviorStep]
"""One build's answer: fully qualified behavior name (`Basic?team=0`) to its step."""

Parameters = Mapping[str, float | Sampler]

_LOGGER = logging.getLogger(__name__)
_LOOK_AGAIN_SECONDS = 0.05
"""Between two looks at what poll does not tell: messages read by housekeeping, restarts that are done, time-outs."""


class BuildClient(Protocol):
    """What a group needs of `UnityClient`."""

    @property
    def specs(self) -> Mapping[str, BehaviorSpec]:
        """Every behavior seen so far."""
        ...

    def set_parameters(self, parameters: Parameters) -> None:
        """New values of environment parameters, with the next command."""
        ...

    def send_reset(self, parameters: Parameters | None = None) -> None:
        """Begin anew."""
        ...

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        """Act."""
        ...

    def has_answer(self) -> bool:
        """Whether `receive` would return, or raise, at once."""
        ...

    def receive(self) -> SceneStep:
        """The answer to what was sent."""
        ...

    def descriptors(self) -> Sequence[int]:
        """What to poll for it."""
        ...

    def close(self) -> None:
        """End the build."""
        ...


@dataclass(frozen=True)
class RestartPolicy:
    """How often a build that crashed, hung, quit or did not come up again is restarted.

    ML-Agents' own trainer has 10 in a build's lifetime, too (`max_lifetime_restarts`).
    """

    lifetime: int = 10
    in_a_row: int = 3
    recovered_after_answers: int = 100
    """A build that has answered so often since its restart begins a new row."""
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0

    def pause_seconds(self, attempt: int) -> float:
        """Before the n-th restart in a row, from 1: it doubles."""
        return min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (attempt - 1))


@dataclass(frozen=True)
class Answer:
    """What one build told.

    `restarted`: the build had to be started anew; its episodes that were open have no end, and `steps` answers its
    first reset. `generation`: restarts so far; agent ids are unique within one generation only.
    """

    steps: SceneStep
    generation: int = 0
    restarted: bool = False


@dataclass
class _Place:
    """One build and what has become of it. Either `client` or `restart` is set."""

    client: BuildClient | None = None
    restart: "Future[tuple[BuildClient, SceneStep]] | None" = None
    awaited: bool = False
    generation: int = 0
    in_a_row: int = 0
    answers: int = 0
    parameters: dict[str, float | Sampler] = field(default_factory=dict)


class BuildGroup:
    """Runs several copies of a build. Close it, or use it as a context manager.

    Args:
        make_client: starts one copy: (index, generation) -> client. A build that is restarted gets the next generation,
            so that it can be given another seed: with the same one, what broke it may come again.
        number: of copies.
        restarts: when to give up.

    Raises:
        UnityEnvironmentError: a copy did not come up at first; the others have been ended.
    """

    def __init__(
        self,
        make_client: Callable[[int, int], BuildClient],
        number: int,
        restarts: RestartPolicy | None = None,
    ) -> None:
        self.may_look: Callable[[], bool] = lambda: True
        """Whether a core is free to look for an answer without sleeping, which is done for one quick build alone."""
        self._make_client = make_client
        self._policy = restarts or RestartPolicy()
        self._is_quick = self._is_alone = number == 1 and usable_cores() > 1
        self._closing = threading.Event()
        self._look_at_all_at = 0.0
        self._threads = ThreadPoolExecutor(number, "build")
        starts = [self._threads.submit(make_client, index, 0) for index in range(number)]
        failures = [error for start in starts if (error := start.exception()) is not None]
        self._places = [_Place(start.result()) for start in starts if start.exception() is None]
        if failures:
            self.close()
            raise failures[0]

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def specs(self) -> dict[str, BehaviorSpec]:
        """Every behavior that any of the builds has shown so far, by fully qualified name."""
        return {name: spec for place in self._places if place.client for name, spec in place.client.specs.items()}

    @property
    def restarts(self) -> int:
        """How many restarts there have been, of all builds."""
        return sum(place.generation for place in self._places)

    def set_parameters(self, parameters: Parameters) -> None:
        """New values of environment parameters for all builds, with the next command; kept over restarts."""
        for place in self._places:
            place.parameters.update(parameters)
            if place.client is not None:
                place.client.set_parameters(parameters)

    def reset(self, parameters: Parameters | None = None) -> list[Answer]:
        """Reset all builds; their answers, in order."""
        for index in range(len(self)):
            self.send_reset(index, parameters)
        answers = self._all(set(range(len(self))))
        return [answers[index] for index in range(len(self))]

    def step(self, actions: Sequence[Mapping[str, Actions]]) -> list[Answer]:
        """Step all builds; `actions` and answers in the order of the builds."""
        answers = self.step_some(dict(enumerate(actions)))
        return [answers[index] for index in range(len(self))]

    def step_some(self, actions: Mapping[int, Mapping[str, Actions]]) -> dict[int, Answer]:
        """Step the builds that are named by their index, and wait for all of these."""
        for index, own in actions.items():
            self.send_step(index, own)
        return self._all(set(actions))

    def send_reset(self, index: int, parameters: Parameters | None = None) -> None:
        """Reset one build. Its answer comes by `receive`."""
        self._places[index].parameters.update(parameters or {})
        self._send(index, lambda client: client.send_reset(parameters))

    def send_step(self, index: int, actions: Mapping[str, Actions]) -> None:
        """Act in one build. Its answer comes by `receive`."""
        self._send(index, lambda client: client.send_step(actions))

    def receive(self, timeout_seconds: float | None = None) -> list[tuple[int, Answer]]:
        """Wait until at least one build has answered; every answer that is there, with the build's index.

        Empty when time is up, or when nothing was sent.

        Raises:
            BuildProcessError: a build broke too often.
            UnityEnvironmentError: a build misbehaved in a way that a restart would not mend.
        """
        began = now = time.monotonic()
        deadline = None if timeout_seconds is None else began + timeout_seconds
        while any(place.awaited for place in self._places):
            if now >= self._look_at_all_at:
                self._look_at_all_at = now + _LOOK_AGAIN_SECONDS
                heard = list(range(len(self)))
            else:
                heard = self._look() or self._wait(deadline)
            answers = self._answers_of(heard)
            if answers or (deadline is not None and now >= deadline):
                self._is_quick = self._is_alone and time.monotonic() < began + WAKEFUL_SECONDS
                return answers
            now = time.monotonic()
        return []

    def close(self) -> None:
        """End all builds. May be called twice."""
        self._closing.set()
        self._threads.shutdown(wait=True)
        for place in self._places:
            if place.restart is not None and place.restart.exception() is None:
                place.client, _ = place.restart.result()
            if place.client is not None:
                place.client.close()
            place.awaited, place.restart = False, None

    def _all(self, awaited: set[int]) -> dict[int, Answer]:
        answers: dict[int, Answer] = {}
        while not awaited <= answers.keys():
            answers.update(self.receive())
        return answers

    def _send(self, index: int, send: Callable[[BuildClient], None]) -> None:
        place = self._places[index]
        if place.awaited or place.client is None:
            raise RuntimeError(f"Build {index} has not answered yet to what it was sent before.")
        send(place.client)
        place.awaited = True

    def _answers_of(self, indexes: Iterable[int]) -> list[tuple[int, Answer]]:
        found = []
        for index in indexes:
            place = self._places[index]
            answer = self._take(index, place) if place.awaited else None
            if answer is not None:
                place.awaited = False
                found.append((index, answer))
        return found

    def _take(self, index: int, place: _Place) -> Answer | None:
        """This build's answer, if it is there; what has gone wrong with it is dealt with."""
        try:
            if place.restart is not None:
                if not place.restart.done():
                    return None
                restart, place.restart = place.restart, None
                place.client, steps = restart.result()
                return Answer(steps, place.generation, restarted=True)
            assert place.client is not None
            if not place.client.has_answer():
                return None
            steps = place.client.receive()
        except BuildProcessError as error:
            self._restart(index, place, error)
            return None
        place.answers += 1
        return Answer(steps, place.generation)

    def _restart(self, index: int, place: _Place, error: BuildProcessError) -> None:
        if place.client is not None:
            place.client.close()
            place.client = None
        if place.answers >= self._policy.recovered_after_answers:
            place.in_a_row = 0
        if place.in_a_row >= self._policy.in_a_row or place.generation >= self._policy.lifetime:
            place.awaited = False
            times = "once" if place.generation == 1 else f"{place.generation} times"
            before = f" It had been restarted {times} before." if place.generation else ""
            raise type(error)(error.cause + before, error.remedy) from error
        place.in_a_row += 1
        place.generation += 1
        place.answers = 0
        pause_seconds = self._policy.pause_seconds(place.in_a_row)
        _LOGGER.warning("Build %d is started again in %g s: %s", index, pause_seconds, error.cause)
        place.restart = self._threads.submit(self._start_again, index, place, pause_seconds)

    def _start_again(self, index: int, place: _Place, pause_seconds: float) -> tuple[BuildClient, SceneStep]:
        """In a thread of its own."""
        if self._closing.wait(pause_seconds):
            raise BuildProcessError("The builds were closed during a restart.", "Start anew.")
        client = self._make_client(index, place.generation)
        client.send_reset(place.parameters)
        return client, client.receive()

    def _look(self) -> list[int]:
        """Look for a quick build's answer for a moment, as `ExchangeServer.receive` does; the build, if it has one."""
        client = self._places[0].client
        if not self._is_quick or client is None or not self.may_look():
            return []
        until = time.monotonic() + WAKEFUL_SECONDS
        while time.monotonic() < until:
            if client.has_answer():
                return [0]
        return []

    def _wait(self, deadline: float | None) -> list[int]:
        """Until something may have come, or for a moment; the builds from which it may be."""
        poll = select.poll()  # not select(): a trainer may have more than 1,024 descriptors open
        owners: dict[int, int] = {}
        unpolled: list[int] = []  # nothing to poll: they must be asked
        for index, place in enumerate(self._places):
            if place.awaited and place.client is not None:
                descriptors = place.client.descriptors()
                if not descriptors:
                    unpolled.append(index)
                for descriptor in descriptors:
                    owners[descriptor] = index
                    poll.register(descriptor, select.POLLIN)
        until = self._look_at_all_at if deadline is None else min(self._look_at_all_at, deadline)
        heard = poll.poll(0.0 if unpolled else max(0.0, until - time.monotonic()) * 1000)
        return unpolled + [owners[descriptor] for descriptor, _ in heard]
