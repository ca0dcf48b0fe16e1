"""The control connection between a job's hosts, on loopback: who is let in, what is told, what counts as lost."""

import json
import socket
import threading

import pytest

from container import control
from container.cluster import Hosts
from container.control import ControlServer, Link, LinkLostError
from container.failures import ContainerError
from local.ports import free_port

WELCOME = {"address": "127.0.0.2:6379", "token": "secret"}
ADDRESSES = {"algo-2": "127.0.0.3", "algo-3": "127.0.0.4"}


@pytest.fixture
def lost():
    return []


@pytest.fixture
def server(lost):
    port = free_port()
    server = ControlServer(
        "127.0.0.2",
        port,
        frozenset(ADDRESSES),
        admits=lambda host, peer: ADDRESSES[host] == peer,
        welcome=WELCOME,
        on_lost=lambda host, reason: lost.append((host, reason)),
    )
    server.port = port
    yield server
    server.close()


def connect(server, source: str) -> Link:
    return Link(socket.create_connection(("127.0.0.2", server.port), 5.0, source_address=(source, 0)))


def welcomed(server, host: str) -> Link:
    link = connect(server, ADDRESSES[host])
    link.send({"host": host})
    assert link.receive(10.0) == WELCOME
    return link


def test_hosts_join_are_lost_and_come_again(server, lost):
    assert server.missing == ["algo-2", "algo-3"]
    second, third = welcomed(server, "algo-2"), welcomed(server, "algo-3")
    second.send({"joined": True})
    third.send({"joined": True})
    while server.missing:
        server.wait(1.0)
    second.close()
    while not lost:
        server.wait(1.0)
    assert lost[0][0] == "algo-2"
    assert (server.missing, server.lost) == (["algo-2"], ["algo-2"])
    again = welcomed(server, "algo-2")
    again.send({"joined": True})
    while server.missing:
        server.wait(1.0)
    assert server.lost == []
    again.close()
    third.close()


@pytest.mark.parametrize(
    ("source", "hello"),
    [
        ("127.0.0.4", {"host": "algo-2"}),
        ("127.0.0.3", {"host": "algo-9"}),
        ("127.0.0.3", {"host": ["algo-2"]}),
        ("127.0.0.3", {"joined": True}),
    ],
    ids=["from another host's address", "of another job", "no name", "without a greeting"],
)
def test_strangers_are_told_nothing(server, source, hello):
    link = connect(server, source)
    link.send(hello)
    with pytest.raises(LinkLostError):
        link.receive(10.0)
    assert server.missing == ["algo-2", "algo-3"]
    link.close()


@pytest.mark.parametrize("spoken", [b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b"x" * 5000], ids=["http", "list", "endless"])
def test_another_protocol_is_hung_up_on(server, spoken):
    with socket.create_connection(("127.0.0.2", server.port), 5.0, source_address=("127.0.0.3", 0)) as connection:
        connection.sendall(spoken)
        connection.settimeout(10.0)
        heard = b""
        try:
            while read := connection.recv(4096):
                heard += read
        except ConnectionResetError:
            pass
    assert all("beat" in json.loads(line) for line in heard.splitlines())


def test_a_second_connection_of_a_host_is_refused(server):
    first = welcomed(server, "algo-2")
    second = connect(server, "127.0.0.3")
    second.send({"host": "algo-2"})
    with pytest.raises(LinkLostError):
        second.receive(10.0)
    second.close()
    first.close()


def test_all_are_told_that_the_job_is_done(server, lost):
    link = welcomed(server, "algo-2")
    link.send({"joined": True})
    while server.missing != ["algo-3"]:
        server.wait(1.0)
    closing = threading.Thread(target=server.close)
    closing.start()
    assert link.receive(10.0) == {"done": True}
    link.close()
    closing.join(20.0)
    assert not closing.is_alive()
    assert lost == []


def test_silence_is_a_loss_and_beats_are_none(monkeypatch):
    monkeypatch.setattr(control, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(control, "BEAT_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    link = Link(ours)
    with theirs, pytest.raises(LinkLostError, match="nothing was heard"):
        link.receive(30.0)
    link.close()
    ends = [Link(item) for item in socket.socketpair()]
    for _ in range(8):
        assert [end.receive(0.1) for end in ends] == [None, None]
    for end in ends:
        end.close()


def test_hosts_are_sorted_and_the_first_is_the_head():
    hosts = Hosts.of("algo-2", ["algo-3", "algo-2", "algo-1"])
    assert (hosts.head, hosts.is_head, hosts.names) == ("algo-1", False, ("algo-1", "algo-2", "algo-3"))


@pytest.mark.parametrize(("current", "names"), [("a", []), ("a", ["b"]), ("a", ["a", "a"])])
def test_hosts_that_cannot_be(current, names):
    with pytest.raises(ContainerError) as error:
        Hosts.of(current, names)
    assert error.value.code == "InvalidHosts"
