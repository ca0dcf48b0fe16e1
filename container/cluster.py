"""A Ray cluster of the hosts of one job: host 1, the first in sorted order, is its head, the others join it.

A worker host stays until host 1 says that the job is done, which it does whatever the job's end. A head that is lost
ends the worker hosts with an error; a worker host that is lost is told in the log, and the job goes on.
"""

import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from container.control import SILENCE_SECONDS, ControlServer, Link, LinkLostError
from container.failures import ContainerError
from container.ray_node import RayNode, not_started, token_variables

CONTROL_PORT = 7479
"""Of host 1; what else must be known of it is told there."""

_RAY_STARTS = 3
"""A worker host's Ray that ends by itself is started again so often in all."""

_CONNECT_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_NETWORK = "A security group given for the job must let its own members in, on all TCP ports."

log = logging.getLogger(__name__)

Resolve = Callable[[str], str]


@dataclass(frozen=True)
class Hosts:
    """The job's hosts, as resourceconfig.json tells them. Make it by `of`."""

    current: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, current: str, names: Sequence[str]) -> "Hosts":
        """Sorted, and checked.

        Raises:
            ContainerError: this host is none of them, or a name appears twice.
        """
        cause = None
        if len(set(names)) != len(names):
            cause = f"Hosts appear twice among {', '.join(sorted(names))}."
        elif current not in names:
            cause = f"This host, {current!r}, is none of the job's: {', '.join(sorted(names)) or 'there are none'}."
        if cause is not None:
            raise ContainerError(
                "InvalidHosts",
                cause,
                "SageMaker writes resourceconfig.json; a job started by hand must name each host.",
            )
        return cls(current, tuple(sorted(names)))

    @property
    def head(self) -> str:
        """Host 1."""
        return self.names[0]

    @property
    def is_head(self) -> bool:
        """Whether this is host 1."""
        return self.current == self.head


@dataclass(frozen=True)
class ClusterOptions:
    """How long to wait, and for what.

    `resolve`: name to address. `ray_arguments`: for `ray start` on this host. `join_seconds`: until all hosts
    are there, whose images are not pulled equally fast.
    """

    resolve: Resolve = socket.gethostbyname
    control_port: int = CONTROL_PORT
    join_seconds: float = 600.0
    ray_arguments: tuple[str, ...] = ("--object-store-memory=100000000",)


class Head:
    """Host 1's part: a context manager, in which the cluster stands.

    Args:
        hosts: all.
        options: of the cluster.
        stop: asked while hosts are waited for; once true, there is no more waiting.
        on_lost: called, in a thread of its own, with the name of a host that was lost.

    Raises:
        ContainerError: on entering: not all hosts came, or Ray does not start.
    """

    def __init__(
        self,
        hosts: Hosts,
        options: ClusterOptions | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        on_lost: Callable[[str], None] = lambda host: None,
    ) -> None:
        self._hosts, self._options = hosts, options or ClusterOptions()
        self._stop, self._on_lost = stop, on_lost
        self._token = secrets.token_hex(32)
        self._addresses: dict[str, str] = {}
        self._node: RayNode | None = None
        self._control: ControlServer | None = None
        self.host_address = ""
        """This host's address."""
        self.address = ""
        """The cluster's, for `ray.init`."""

    @property
    def variables(self) -> dict[str, str]:
        """What a driver needs in its environment before it imports ray."""
        return token_variables(self._token)

    def known_address(self, host: str) -> str:
        """Of another host, when it joined."""
        return self._addresses[host]

    def lost(self) -> list[str]:
        """Hosts that had joined and were lost since."""
        return self._control.lost if self._control is not None else []

    def is_alive(self) -> bool:
        """Whether Ray runs on this host."""
        return self._node is not None and self._node.is_alive()

    def __enter__(self) -> Self:
        try:
            self._form()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Tell the other hosts that the job is done, and end Ray on this one. May be called twice."""
        try:
            if self._control is not None:
                self._control.close()
        finally:
            if self._node is not None:
                self._node.close()

    def _form(self) -> None:
        options = self._options
        deadline = time.monotonic() + options.join_seconds
        self.host_address = _resolved(options.resolve, self._hosts.current, deadline, self._stop)
        port, client_port = _free_ports(self.host_address, 2)
        self.address = f"{self.host_address}:{port}"
        arguments = ["--head", f"--port={port}", f"--ray-client-server-port={client_port}", "--include-dashboard=false"]
        self._node = RayNode([*arguments, *options.ray_arguments], self.host_address, self._token)
        if not self._node.wait_until_started(lambda: self._stop() or time.monotonic() > deadline):
            if self._stop():
                return
            raise not_started(self._hosts.current, self._node.output())
        others = frozenset(self._hosts.names) - {self._hosts.current}
        try:
            self._control = ControlServer(
                self.host_address,
                options.control_port,
                others,
                admits=self._admits,
                welcome={"address": self.address, "token": self._token},
                on_lost=self._note_lost,
            )
        except OSError as error:
            raise ContainerError(
                "ClusterNotStarted",
                f"{self.host_address}:{options.control_port} cannot be listened on: {error}.",
                "Only one job may run on a host.",
            ) from error
        self._wait_for_hosts(self._control, deadline)

    def _wait_for_hosts(self, control: ControlServer, deadline: float) -> None:
        while (missing := control.missing) and not self._stop():
            if not self.is_alive():
                raise not_started(self._hosts.current, self._node.output() if self._node else "")
            if time.monotonic() > deadline:
                raise ContainerError(
                    "HostsMissing",
                    f"Of {len(self._hosts.names)} hosts, {', '.join(missing)} did not join within "
                    f"{self._options.join_seconds:g} s.",
                    f"See the logs of these hosts. {_NETWORK}",
                )
            control.wait(0.2)
        if not missing:
            log.info("all %d hosts have joined", len(self._hosts.names))

    def _admits(self, host: str, peer: str) -> bool:
        """A host connects from the address that its name has."""
        try:
            admitted = self._options.resolve(host) == peer
        except OSError:
            return False
        if admitted:
            self._addresses[host] = peer
        return admitted

    def _note_lost(self, host: str, reason: str) -> None:
        log.warning("host %s was lost: %s; the job goes on without it", host, reason)
        self._on_lost(host)


class Worker:
    """Another host's part: a context manager; `wait` in it until the job is over.

    Args:
        hosts: all.
        options: of the cluster.
        stop: asked all the time; once true, this host leaves.
        variables: added to the environment of the actors on this host.

    Raises:
        ContainerError: on entering: the head is not found, cannot be reached, or is lost; or Ray does not start.
    """

    def __init__(
        self,
        hosts: Hosts,
        options: ClusterOptions | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._hosts, self._options, self._stop = hosts, options or ClusterOptions(), stop
        self._variables = variables
        self._node: RayNode | None = None
        self._link: Link | None = None
        self._done = False
        self._starts = 0
        self._own_address = self._address = self._token = ""

    def __enter__(self) -> Self:
        deadline = time.monotonic() + self._options.join_seconds
        try:
            self._own_address = _resolved(self._options.resolve, self._hosts.current, deadline, self._stop)
            head = _resolved(self._options.resolve, self._hosts.head, deadline, self._stop)
            self._connect(head, deadline)
            self._join()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self) -> None:
        """Until host 1 says that the job is done, or this host is to stop.

        Raises:
            ContainerError: the head was lost, or Ray ends again and again on this host.
        """
        while not self._is_over():
            if self._node is None or self._node.is_alive():
                self._listen(0.5)
                continue
            # Ray ends with its head, of whose end, if that is the reason, we hear at once.
            output = self._node.output()
            self._listen(_PAUSE_SECONDS)
            if not self._is_over():
                log.warning("Ray has ended on this host: %s", output)
                self._join()

    def close(self) -> None:
        """Leave: end Ray on this host. May be called twice."""
        link, self._link = self._link, None
        node, self._node = self._node, None
        if link is not None:
            with contextlib.suppress(LinkLostError):
                link.send({"leaving": True})
            link.close()
        if node is not None:
            node.close()

    def _is_over(self) -> bool:
        return self._done or self._stop()

    def _connect(self, head: str, deadline: float) -> None:
        """To the head's control server, which listens as soon as Ray runs there."""
        problem = "no connection"
        while not self._is_over():
            if time.monotonic() > deadline:
                raise ContainerError(
                    "HeadUnreachable",
                    f"{self._hosts.head} ({head}) could not be joined within {self._options.join_seconds:g} s: "
                    f"{problem}.",
                    f"See the log of {self._hosts.head}. {_NETWORK}",
                )
            try:
                connection = socket.create_connection(
                    (head, self._options.control_port), _CONNECT_SECONDS, source_address=(self._own_address, 0)
                )
            except OSError as error:
                problem = str(error)
            else:
                self._link = Link(connection)
                try:
                    self._link.send({"host": self._hosts.current})
                    welcome = self._link.receive(SILENCE_SECONDS)
                    if welcome is not None and {"address", "token"} <= welcome.keys():
                        self._address, self._token = str(welcome["address"]), str(welcome["token"])
                        return
                    self._done = welcome is not None and bool(welcome.get("done"))
                    problem = "it did not say where the cluster is"
                except LinkLostError as error:
                    problem = str(error)
                self._link.close()
                self._link = None
            if not self._is_over():
                time.sleep(_PAUSE_SECONDS)

    def _join(self) -> None:
        """Start Ray here, again if it ends at once, and tell the head."""
        while not self._is_over():
            self._starts += 1
            if self._node is not None:
                self._node.close()
            arguments = [f"--address={self._address}", *self._options.ray_arguments]
            node = self._node = RayNode(arguments, self._own_address, self._token, self._variables)
            started = node.wait_until_started(self._give_up)
            if started:
                self._tell({"joined": True})
                return
            if self._is_over():
                return
            if self._starts >= _RAY_STARTS:
                raise not_started(self._hosts.current, node.output())
            self._listen(_PAUSE_SECONDS)

    def _give_up(self) -> bool:
        self._listen(0.0)
        return self._is_over()

    def _listen(self, seconds: float) -> None:
        if self._link is None:
            return
        try:
            message = self._link.receive(seconds)
        except LinkLostError as error:
            raise self._head_lost(str(error)) from error
        self._done = self._done or bool(message and message.get("done"))

    def _tell(self, message: dict[str, bool]) -> None:
        if self._link is None:
            return
        try:
            self._link.send(message)
        except LinkLostError as error:
            raise self._head_lost(str(error)) from error

    def _head_lost(self, reason: str) -> ContainerError:
        return ContainerError(
            "HeadLost",
            f"{self._hosts.head}, which runs the training, was lost: {reason}.",
            f"See the failure and the log of {self._hosts.head}; the training goes on from its last checkpoint when "
            "it is started again.",
        )


def _resolved(resolve: Resolve, host: str, deadline: float, stop: Callable[[], bool]) -> str:
    """The host's address. Names may take a minute until they are known."""
    while True:
        try:
            return resolve(host)
        except OSError as error:
            if stop() or time.monotonic() > deadline:
                raise ContainerError("HostNotFound", f"The name {host} has no address: {error}.", _NETWORK) from error
        time.sleep(min(_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))


def _free_ports(address: str, number: int) -> list[int]:
    sockets = [socket.create_server((address, 0)) for _ in range(number)]
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports
