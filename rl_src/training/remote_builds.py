"""Builds on the other hosts of a Ray cluster, played from this one as if they ran here.

Each is a Ray actor with a `UnityClient` of its own; `RemoteBuild` is its end here. A host that is lost takes its builds
with it: to `BuildGroup` they are builds that broke, and it starts them again, on the hosts that are left.
"""

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.errors import BuildProcessError
from rl_src.envs.group import BuildClient, Parameters
from rl_src.envs.side_channels import Sampler
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.config import TrainingConfig
from rl_src.training.host_build import HostBuild
from rl_src.training.scenes import Scenes, start_client

_ACTOR_SECONDS = 60.0
"""For Ray to start a process that imports us, and for what is late on the way; on top of the build's own time-outs."""

_CLOSE_SECONDS = 15.0

log = logging.getLogger(__name__)

SceneStep = Mapping[str, BehaviorStep]


class BuildHostLostError(BuildProcessError):
    """The host of a build does not answer any more, or cannot start one."""

    default_remedy: ClassVar[str] = "See the log of that host; one host is enough to train, with fewer builds."


@dataclass(frozen=True)
class _Reply:
    """What an actor answers. Errors are values: Ray would wrap them in a class that is no longer theirs."""

    steps: SceneStep | None = None
    specs: Mapping[str, BehaviorSpec] | None = None
    error: Exception | None = None


class BuildActor:
    """In a process of its own on the build's host."""

    def __init__(self) -> None:
        self._client: BuildClient | None = None
        self._known = 0

    def start(self, config: TrainingConfig, index: int, generation: int) -> _Reply:
        """Start the build that this host has unpacked."""
        try:
            host = HostBuild.from_environment()
            own = replace(config, executable=host.executable, run_as=host.run_as)
            self._client = start_client(own, host.work_dir, index, generation)
        except Exception as error:
            return _Reply(error=error)
        return _Reply()

    def exchange(self, actions: Mapping[str, Actions] | None, parameters: Parameters) -> _Reply:
        """One step; a reset without actions."""
        client = self._client
        assert client is not None
        try:
            client.set_parameters(parameters)
            if actions is None:
                client.send_reset()
            else:
                client.send_step(actions)
            steps = client.receive()
        except Exception as error:
            return _Reply(error=error)
        specs = dict(client.specs) if len(client.specs) != self._known else None
        self._known = len(client.specs)
        return _Reply(steps, specs)

    def close(self) -> None:
        """End the build."""
        if self._client is not None:
            self._client.close()


class RemoteBuild:
    """A build on another host, with `UnityClient`'s interface as far as a group needs it. Close it.

    Args:
        node: Ray's id of the host.
        config: of the training.
        index: of the build.
        generation: how often it has been restarted.

    Raises:
        BuildHostLostError: the host is gone.
        UnityEnvironmentError: the build did not come up there.
    """

    def __init__(self, node: str, config: TrainingConfig, index: int, generation: int) -> None:
        self.node = node
        self._index = index
        self._seconds = config.environment.step_timeout_seconds + _ACTOR_SECONDS
        self._specs: dict[str, BehaviorSpec] = {}
        self._parameters: dict[str, float | Sampler] = {}
        self._answer: Future[_Reply] | None = None
        self._deadline = 0.0
        self._lost = False
        self._lock = threading.Lock()
        self._wake: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._actor = _remote(node)
            start = self._actor.start.remote(config, index, generation)
            seconds = config.environment.startup_timeout_seconds + _ACTOR_SECONDS
            reply: _Reply = ray.get(start, timeout=seconds)
            if reply.error is not None:
                raise reply.error
        except RayError as error:
            self.close()
            raise self._host_lost(error) from error
        except BaseException:
            self.close()
            raise

    @property
    def specs(self) -> Mapping[str, BehaviorSpec]:
        """Every behavior seen so far."""
        return self._specs

    def set_parameters(self, parameters: Parameters) -> None:
        """New values of environment parameters, with the next command."""
        self._parameters.update(parameters)

    def send_reset(self, parameters: Parameters | None = None) -> None:
        """Begin anew."""
        self._parameters.update(parameters or {})
        self._send(None)

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        """Act."""
        self._send(dict(actions))

    def has_answer(self) -> bool:
        """Whether `receive` would return, or raise, at once."""
        with self._lock:
            if self._wake is not None:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)  # before we look: what comes after that wakes again
        answered = self._answer is not None and self._answer.done()
        return answered or self._lost or time.monotonic() >= self._deadline

    def receive(self) -> SceneStep:
        """The answer to what was sent."""
        answer, self._answer = self._answer, None
        assert answer is not None
        try:
            reply = self._awaited(answer)
        except (RayError, TimeoutError) as error:
            self.close()
            raise self._host_lost(error) from error
        if reply.specs is not None:
            self._specs = dict(reply.specs)
        if reply.error is not None:
            self.close()
            raise reply.error
        assert reply.steps is not None
        return reply.steps

    def descriptors(self) -> list[int]:
        """What to poll for the answer."""
        return [self._wake] if self._wake is not None else []

    def lose(self) -> None:
        """The host is known to be gone; Ray would find out later. From another thread."""
        self._lost = True
        self._notify()

    def close(self) -> None:
        """End the build. May be called twice."""
        with self._lock:
            wake, self._wake = self._wake, None
        if wake is None:
            return
        os.close(wake)
        actor = getattr(self, "_actor", None)
        if actor is None:
            return
        if not self._lost:
            with suppress(Exception):
                ray.get(actor.close.remote(), timeout=_CLOSE_SECONDS)
        with suppress(Exception):
            ray.kill(actor)  # the player's supervisor ends the player then

    def _send(self, actions: Mapping[str, Actions] | None) -> None:
        parameters, self._parameters = self._parameters, {}
        self._deadline = time.monotonic() + self._seconds
        try:
            answer: Future[_Reply] = self._actor.exchange.remote(actions, parameters).future()
        except RayError as error:
            answer = Future()
            answer.set_exception(error)  # told where answers are awaited
        self._answer = answer
        answer.add_done_callback(lambda _: self._notify())

    def _awaited(self, answer: "Future[_Reply]") -> _Reply:
        """In short waits: `lose` must be heard, too."""
        while True:
            with suppress(TimeoutError):
                return answer.result(0.0 if answer.done() else 0.2)
            if self._lost or time.monotonic() >= self._deadline:
                raise TimeoutError("it was lost" if self._lost else "it does not answer")

    def _notify(self) -> None:
        with self._lock:
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def _host_lost(self, error: Exception) -> BuildHostLostError:
        first = (str(error).splitlines() or [""])[0]
        return BuildHostLostError(f"The host of build {self._index} was lost ({type(error).__name__}: {first}).")


class RemoteBuilds:
    """A driver of the cluster that plays builds on all its hosts, this one included: a context manager.

    Builds are given to the hosts in turn. One that breaks is started again on the host that has the fewest.

    Args:
        config: of the training.
        address: of the cluster.
        host_address: of this host.
        work_dir: scratch, on this host.
    """

    def __init__(self, config: TrainingConfig, address: str, host_address: str, work_dir: Path) -> None:
        self._config, self._address, self._host_address = config, address, host_address
        self._work_dir = work_dir
        self._lock = threading.Lock()
        self._where: dict[int, str] = {}  # build -> host address
        self._builds: dict[int, RemoteBuild] = {}
        self._unusable: set[str] = set()

    def __enter__(self) -> "RemoteBuilds":
        handler = signal.getsignal(signal.SIGTERM)
        ray.init(
            address=self._address,
            _node_ip_address=self._host_address,
            log_to_driver=False,
            configure_logging=False,
        )
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put one of its own there
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def start(self, builds_each: int) -> Scenes:
        """Start so many builds on each host of the cluster.

        Raises:
            UnityEnvironmentError: a build did not come up.
        """
        hosts = self._hosts()
        with self._lock:
            self._where = {index: hosts[index % len(hosts)] for index in range(builds_each * len(hosts))}
        log.info("%d builds on each of %d hosts", builds_each, len(hosts))
        return Scenes(self._make, len(self._where), lockstep=self._config.environment.lockstep)

    def lose(self, address: str) -> None:
        """A host is gone: its builds are lost now, and none is started there again."""
        with self._lock:
            self._unusable.add(address)
            mine = [index for index, host in self._where.items() if host == address and index in self._builds]
            builds = [self._builds[index] for index in mine]
        for build in builds:
            build.lose()

    def _hosts(self) -> list[str]:
        """The addresses of hosts that builds can be started on; this one is the first."""
        others = sorted(_nodes())
        return [self._host_address, *(item for item in others if item not in {self._host_address, *self._unusable})]

    def _make(self, index: int, generation: int) -> BuildClient:
        """In threads of the group. A host on which no build can be started is left out from then on."""
        with self._lock:
            address = self._where[index]
        if generation or address in self._unusable:
            address = self._emptiest(index)
        while address != self._host_address:
            try:
                build = RemoteBuild(self._node(address), self._config, index, generation)
            except BuildHostLostError as error:
                log.warning("No more builds are started on %s: %s", address, error.cause)
                with self._lock:
                    self._unusable.add(address)
                address = self._emptiest(index)
                continue
            with self._lock:
                self._builds[index] = build
                lost = address in self._unusable
            if lost:
                build.lose()
            return build
        with self._lock:
            self._builds.pop(index, None)
        return start_client(self._config, self._work_dir, index, generation)

    def _emptiest(self, index: int) -> str:
        """Where the build is to be started now."""
        hosts = self._hosts()
        with self._lock:
            taken = Counter(host for other, host in self._where.items() if other != index)
            found = min(hosts, key=lambda host: taken[host])
            self._where[index] = found
        return found

    @staticmethod
    def _node(address: str) -> str:
        node = _nodes().get(address)
        if node is None:
            raise BuildHostLostError(f"{address} is no host of the cluster any more.")
        return node


def _nodes() -> dict[str, str]:
    """The hosts that Ray takes for alive: address to Ray's id."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {str(item["NodeManagerAddress"]): str(item["NodeID"]) for item in nodes if item["Alive"]}


def _remote(node: str) -> Any:
    """An actor that waits for no CPU: builds and the learner share them as the system lets them."""
    actor: Any = ray.remote(num_cpus=0, max_restarts=0)(BuildActor)
    return actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
