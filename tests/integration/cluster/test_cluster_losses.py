"""Hosts that are killed, never come, or are told to stop: who notices, what is said, and that no process is left."""

import os
import signal

import pytest


@pytest.mark.faults
def test_a_worker_host_that_is_killed_is_noticed_and_the_others_stay(start):
    head, second, third = (start(f"algo-{number}", 3) for number in (1, 2, 3))
    head.says("formed")
    second.says("joined")
    third.says("joined")

    second.kill()
    assert head.says("lost") == "lost algo-2"
    assert "host algo-2 was lost" in head.log.read_text()
    assert second.left() == []
    assert third.process.poll() is None

    head.tell("done")
    assert head.says("ends") == "ends algo-2"
    third.says("over")
    assert (head.ends(), third.ends()) == (0, 0)
    assert (head.left(), third.left()) == ([], [])


def test_a_head_that_is_killed_ends_the_others_with_an_error(start):
    workers = [start("algo-2", 3), start("algo-3", 3)]
    head = start("algo-1", 3)
    head.says("formed")
    for worker in workers:
        worker.says("joined")

    head.kill()
    for worker in workers:
        error = worker.says("error HeadLost", 60.0)
        assert "algo-1, which runs the training, was lost" in error
        assert "Remedy: See the failure and the log of algo-1" in error
        assert worker.ends() == 1
        assert worker.left() == []
    assert head.left() == []


@pytest.mark.faults
def test_a_head_that_hangs_is_lost_too(start):
    worker, head = start("algo-2"), start("algo-1")
    head.says("formed")
    worker.says("joined")
    os.kill(head.process.pid, signal.SIGSTOP)
    assert "nothing was heard" in worker.says("error HeadLost", 90.0)
    assert worker.ends() == 1
    assert worker.left() == []


@pytest.mark.faults
def test_hosts_that_never_come_are_named_and_those_that_came_are_let_go(start):
    worker, head = start("algo-2", 4), start("algo-1", 4, join_seconds=25.0)
    worker.says("joined")
    error = head.says("error HostsMissing")
    assert "algo-3, algo-4 did not join within 25 s" in error
    assert "algo-2" not in error
    worker.says("over")
    assert (head.ends(), worker.ends()) == (1, 0)
    assert (head.left(), worker.left()) == ([], [])


@pytest.mark.faults
def test_a_worker_waits_for_a_head_whose_name_and_server_come_late(start):
    worker = start("algo-2", late={"algo-1": 3.0})
    head = start("algo-1", late={"algo-1": 5.0})
    head.says("formed")
    worker.says("joined")
    head.tell("done")
    assert (head.ends(), worker.ends()) == (0, 0)


@pytest.mark.faults
def test_sigterm_ends_a_worker_which_the_head_notices_and_then_the_head(start):
    worker, head = start("algo-2"), start("algo-1")
    head.says("formed")
    worker.says("joined")
    worker.process.terminate()
    worker.says("over")
    assert worker.ends() == 0
    assert head.says("lost") == "lost algo-2"
    head.process.terminate()
    head.tell("")  # it waits for a line of ours, not for the signal
    head.says("ends")
    assert head.ends() == 0
    assert (head.left(), worker.left()) == ([], [])


@pytest.mark.faults
def test_sigterm_while_a_worker_still_waits_for_the_head(start):
    worker = start("algo-2")
    worker.says("begins")
    worker.process.terminate()
    assert worker.ends() == 0


@pytest.mark.faults
def test_ray_that_dies_on_a_worker_is_started_again(start):
    worker, head = start("algo-2"), start("algo-1")
    head.says("formed")
    worker.says("joined")
    raylet = next(item for item in worker.descendants if item.is_running() and item.name() == "raylet")
    raylet.kill()
    raylet.wait(30)
    before = len(worker.descendants)
    while len(worker.descendants) == before:
        worker.says("joined")
    assert worker.process.poll() is None
    head.tell("done")
    worker.says("over")
    assert (head.ends(), worker.ends()) == (0, 0)
    assert (head.left(), worker.left()) == ([], [])


def test_a_head_that_is_never_found(start):
    worker = start("algo-2", unknown=("algo-1",), join_seconds=3.0)
    assert "The name algo-1 has no address" in worker.says("error HostNotFound")
    assert worker.ends() == 1


def test_a_head_that_never_listens(start):
    worker = start("algo-2", join_seconds=3.0)
    assert "algo-1 (127.0.0.2) could not be joined within 3 s" in worker.says("error HeadUnreachable")
    assert worker.ends() == 1


def test_a_resource_configuration_that_cannot_be(start):
    stranger = start("algo-5", hosts=["algo-1", "algo-2"])
    assert "'algo-5', is none of the job's: algo-1, algo-2" in stranger.says("error InvalidHosts")
    twice = start("algo-1", hosts=["algo-1", "algo-2", "algo-2"])
    assert "appear twice" in twice.says("error InvalidHosts")
