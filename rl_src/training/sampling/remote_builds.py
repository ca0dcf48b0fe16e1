"""Builds on the other hosts of a Ray cluster, played from this one as if they ran here.

Each is a `UnityClient` in a Ray actor of its own; `RemoteBuild` is the end here. A host that is lost takes its builds
with it: to `BuildGroup` they are builds that broke, and it starts them again, on the hosts that are left.
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, ClassVar, cast

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.errors import BuildProcessError, UnityEnvironmentError
from rl_src.envs.group import BuildClient, Parameters
from rl_src.envs.side_channels import Sampler
from rl_src.envs.sightings import FILE_SUFFIX, Sighting, keep, kept
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.sampling.host_build import HostBuild
from rl_src.training.sampling.scenes import Scenes, start_client
from rl_src.training.settings.config import TrainingConfig

_LATE_SECONDS = 60.0
"""For Ray to start a process that imports us, and for what is late on the way; on top of the build's own time-outs."""

_CLOSE_SECONDS = 15.0

log = logging.getLogger(__name__)

SceneStep = Mapping[str, BehaviorStep]


class BuildHostLostError(BuildProcessError):
    """The host of a build does not answer any more, or cannot start one."""

    default_remedy: ClassVar[str] = "See the log of that host; one host is enough to train, with fewer builds."


@dataclass(frozen=True)
class _Reply:
    """What a build's host answers. Errors are values, with their own class on this side, too."""

    steps: SceneStep | None = None
    specs: Mapping[str, BehaviorSpec] | None = None
    error: Exception | None = None


class BuildActor:
    """In a process of its own on the build's host. Ray starts it; commands and answers have a connection of their own.

    A call of an actor takes several milliseconds here, which is longer than most builds take for a step.
    """

    def __init__(self) -> None:
        self._client: BuildClient | None = None
        self._thread: threading.Thread | None = None

    def start(
        self, config: TrainingConfig, index: int, generation: int, key: bytes
    ) -> tuple[str, int] | UnityEnvironmentError:
        """Start the build that this host has unpacked; where to connect, with the key, and play it."""
        host = HostBuild.from_environment()
        own = replace(config, executable=host.executable, run_as=host.run_as)
        try:
            self._client = start_client(own, host.work_dir, index, generation)
        except UnityEnvironmentError as error:
            return error
        address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        listener = Listener((address, 0), "AF_INET", authkey=key)
        self._thread = threading.Thread(target=_serve, args=(listener, self._client), daemon=True, name="build")
        self._thread.start()
        _, port = cast(tuple[str, int], listener.address)
        return address, port

    def close(self) -> list[Sighting]:
        """Wait until the build has ended, as it does when the connection has; what builds of this host reached for."""
        if self._thread is not None:
            self._thread.join()
        if self._client is not None:
            self._client.close()
        return kept(HostBuild.from_environment().work_dir)


def _serve(listener: Listener, client: BuildClient) -> None:
    """Play a build for the one who connects, until the connection ends."""
    known = 0
    try:
        with listener:
            connection = listener.accept()
        _tune(connection)
        with connection, suppress(EOFError, OSError):
            while True:
                actions, parameters = connection.recv()
                reply = _exchange(client, actions, parameters)
                if len(client.specs) != known:
                    known = len(client.specs)
                    reply = replace(reply, specs=dict(client.specs))
                connection.send(reply)
    finally:
        client.close()


def _exchange(client: BuildClient, actions: Mapping[str, Actions] | None, parameters: Parameters) -> _Reply:
    """One step; a reset without actions."""
    try:
        client.set_parameters(parameters)
        if actions is None:
            client.send_reset()
        else:
            client.send_step(actions)
        return _Reply(client.receive())
    except Exception as error:
        return _Reply(error=error)


class RemoteBuild:
    """A build on another host, with `UnityClient`'s interface as far as a group needs it. Close it.

    Args:
        node: Ray's id of the host.
        config: of the training.
        index: of the build.
        generation: how often it has been restarted.
        work_dir: scratch, on this host; what the build reached for is kept there, as of builds here.

    Raises:
        BuildHostLostError: the host is gone.
        UnityEnvironmentError: the build did not come up there.
    """

    def __init__(self, node: str, config: TrainingConfig, index: int, generation: int, work_dir: Path) -> None:
        self._index = index
        self._seen = work_dir / f"host-of-{index}-{generation}{FILE_SUFFIX}"
        self._seconds = config.environment.step_timeout_seconds + _LATE_SECONDS
        self._specs: dict[str, BehaviorSpec] = {}
        self._parameters: dict[str, float | Sampler] = {}
        self._deadline = 0.0
        self._lost = self._closed = False
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._actor = _remote(node)
        key = secrets.token_bytes(32)
        try:
            start = self._actor.start.remote(config, index, generation, key)
            place = ray.get(start, timeout=config.environment.startup_timeout_seconds + _LATE_SECONDS)
            if isinstance(place, UnityEnvironmentError):
                raise place
            self._connection = Client(place, "AF_INET", authkey=key)
            _tune(self._connection)
        except (RayError, OSError, EOFError, AuthenticationError) as error:
            self._lost = True
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
        return self._lost or self._has_come(0.0) or time.monotonic() >= self._deadline

    def receive(self) -> SceneStep:
        """The answer to what was sent."""
        try:
            while not self._has_come(0.2):
                if self._lost or time.monotonic() >= self._deadline:
                    raise TimeoutError("it does not answer")
            if self._lost or self._connection is None:
                raise EOFError("the connection has ended")
            reply: _Reply = self._connection.recv()
        except (OSError, EOFError) as error:
            self._lost = True
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
        return [self._connection.fileno()] if self._connection is not None else []

    def lose(self) -> None:
        """The host is known to be gone; the connection would tell later. From another thread."""
        self._lost = True
        with self._lock:
            if self._connection is not None:
                with suppress(OSError), _socket_of(self._connection) as connection:
                    connection.shutdown(socket.SHUT_RDWR)  # wakes who polls

    def close(self) -> None:
        """End the build. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()  # on which the build ends
        with suppress(Exception):
            if not self._lost:
                keep(ray.get(self._actor.close.remote(), timeout=_CLOSE_SECONDS), self._seen)
        with suppress(Exception):
            ray.kill(self._actor)  # the player's supervisor ends the player then

    def _send(self, actions: Mapping[str, Actions] | None) -> None:
        parameters, self._parameters = self._parameters, {}
        self._deadline = time.monotonic() + self._seconds
        try:
            if self._connection is not None:
                self._connection.send((actions, parameters))
        except OSError:
            self._lost = True  # told where answers are awaited

    def _has_come(self, seconds: float) -> bool:
        """Whether there is an answer, or the connection's end."""
        try:
            return self._connection is None or self._connection.poll(seconds)
        except OSError:
            return True

    def _host_lost(self, error: Exception) -> BuildHostLostError:
        first = (str(error).splitlines() or [""])[0] or "the connection has ended"
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
                build = RemoteBuild(self._node(address), self._config, index, generation, self._work_dir)
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


def _socket_of(connection: Connection) -> socket.socket:
    """A second handle on the connection's socket. Close it."""
    return socket.socket(fileno=os.dup(connection.fileno()))


def _tune(connection: Connection) -> None:
    """No waiting for more to send; a host that lost its power is noticed in the middle of a message, too."""
    with _socket_of(connection) as handle:
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4)):
            handle.setsockopt(socket.IPPROTO_TCP, option, value)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def _nodes() -> dict[str, str]:
    """The hosts that Ray takes for alive: address to Ray's id."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {str(item["NodeManagerAddress"]): str(item["NodeID"]) for item in nodes if item["Alive"]}


def _remote(node: str) -> Any:
    """An actor that waits for no CPU: builds and the learner share them as the system lets them."""
    actor: Any = ray.remote(num_cpus=0, max_restarts=0)(BuildActor)
    return actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
