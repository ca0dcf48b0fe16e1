"""The load generator counts rightly, ours is asked in both formats, and goals are read rightly. No look at the time."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.predict import load
from benchmarks.predict.__main__ import (
    cold_rows,
    goals_of,
    lambda_goals,
    least,
    own_goals,
    sections_of,
    soak_goals,
    soak_rows,
)
from benchmarks.predict.lambda_runs import ColdTimes, WarmTimes, measure_cold, measure_warm
from benchmarks.predict.measuring import ALONE, OURS_BINARY, OURS_JSON, Found, Side, play, soak
from benchmarks.predict.policies import CASES, SENSOR, Case, request, write_policy
from benchmarks.predict.servers import FASTAPI, OURS, RLMODULE, Load, running

VECTOR, _, IMAGE = CASES


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {case: write_policy(folder / case.policy, case) for case in (VECTOR, IMAGE)}


@contextmanager
def scripted_server(answer: bytes) -> Iterator[int]:
    """Answers whatever comes on each connection with the same bytes, in two pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def converse(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while connection.recv(65_536):
                    connection.sendall(answer[:20])
                    connection.sendall(answer[20:])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("connections", [1, 3])
def test_the_generator_sends_as_many_as_it_is_told(answer: bytes, connections: int) -> None:
    with scripted_server(answer) as port:
        found = load.run(port, connections, 60, 200, request("/", "text/plain", b"x"))
    assert 200 <= found["requests"] < 200 + connections
    assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_an_answer_that_is_no_200_ends_the_generator() -> None:
    with (
        scripted_server(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n") as port,
        pytest.raises(ConnectionError, match="503"),
    ):
        load.run(port, 1, 60, 10, b"x")


def test_an_answer_is_whole_when_its_last_byte_is_there() -> None:
    answer = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\n" + b"x" * 12
    assert [load.is_whole(answer[:end]) for end in range(len(answer) + 1)] == [False] * len(answer) + [True]


def test_ours_is_measured_in_both_formats(models: dict[Case, Path]) -> None:
    found = Found()
    play(IMAGE, models[IMAGE], 0.05, found, peers=())
    assert set(found.loads) == {ALONE, OURS_JSON, OURS_BINARY}
    assert not found.failures
    assert set(found.loads[OURS_BINARY][0]) == {1, 8, 64}
    (section,) = sections_of(IMAGE, found)
    assert "ours, MessagePack" in section
    assert [goal.name for goal in own_goals([found])] == [
        "start to first 200 on /ping below 1 s",
        "memory below 150 MB",
    ]


def test_both_formats_of_a_picture_have_the_same_answer(models: dict[Case, Path]) -> None:
    import http.client

    with running(OURS, models[IMAGE], IMAGE) as started:
        answers = []
        for content_type, body in (
            ("application/json", IMAGE.json_body()),
            ("application/msgpack", IMAGE.msgpack_body()),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", started.port)
            headers = {"Content-Type": content_type, "Accept": "application/json"}
            connection.request("POST", "/invocations", body, headers)
            answers.append(json.loads(connection.getresponse().read()))
            connection.close()
    packed, plain = answers
    assert packed["discrete"] == plain["discrete"]
    assert packed["continuous"][0] == pytest.approx(plain["continuous"][0], abs=1e-3)


def test_a_soak_goes_in_slices(models: dict[Case, Path]) -> None:
    slices = soak(VECTOR, models[VECTOR], 500, 60)
    assert all(100 <= one.requests < 108 for one, _ in slices)
    assert len(soak_rows(slices)) == len(slices) == 5
    assert all(memory > 0 for _, memory in slices)


@pytest.mark.parametrize("case", [VECTOR, IMAGE])
def test_the_lambda_is_measured_beside_boto3(case: Case) -> None:
    times = measure_warm(case, 3)
    assert times.handler_ms > 0
    assert times.boto3_ms > 0


def test_cold_starts_are_measured_in_pairs() -> None:
    pairs = measure_cold(2)
    assert len(pairs) == 2
    for one in (side for pair in pairs for side in pair):
        assert one.processor_seconds > 0
        assert 0 < one.seconds < one.first
    assert len(cold_rows(pairs)) == 3


def cold(ours: float, theirs: float) -> tuple[ColdTimes, ColdTimes]:
    return ColdTimes(ours, ours, ours), ColdTimes(theirs, theirs, theirs)


def test_the_lambdas_goals_are_of_medians() -> None:
    warm = [WarmTimes(1.0, 0.5, own) for own in (0.1, 0.2, 9.0)]
    reached = lambda_goals(warm, [cold(0.2, 0.15), cold(0.2, 0.15), cold(9.0, 0.1)])
    assert [(goal.measured, goal.reached) for goal in reached] == [("0.20 ms", True), ("0.200 s", True), ("1.33", True)]
    missed = lambda_goals(warm[1:] + warm[2:], [cold(0.4, 0.25), cold(0.4, 0.25), cold(0.1, 0.1)])
    assert [goal.reached for goal in missed] == [False, False, False]


def rate(requests: int) -> dict[int, Load]:
    return {count: Load(requests, 1.0, 0.1, 0.2, 0.3) for count in (1, 8, 64)}


def test_goals_are_the_medians_of_the_rounds_ratios() -> None:
    found = Found(
        {
            OURS_JSON: [rate(1000), rate(900), rate(300)],
            Side(FASTAPI): [rate(400), rate(300), rate(200)],  # 2.5, 3, 1.5
            Side(RLMODULE): [rate(100), rate(300), rate(100)],  # 10, 3, 3
        }
    )
    fastapi, rlmodule = goals_of(CASES[1], found)
    assert (fastapi.measured, fastapi.reached) == ("2.50", True)
    assert (rlmodule.measured, rlmodule.reached) == ("3.00", False)


def test_what_was_not_measured_in_every_round_is_not_reached() -> None:
    assert not least("any", [10.0, 10.0], [1.0], 2.0).reached
    assert not least("any", [10.0], [], 2.0).reached


def test_growth_is_counted_after_the_first_slice() -> None:
    quick, slow = Load(10, 1.0, 0.1, 0.2, 0.3), Load(10, 1.0, 0.2, 0.2, 0.3)
    assert all(goal.reached for goal in soak_goals([(quick, 80_000_000), (quick, 83_000_000)]))
    assert [goal.reached for goal in soak_goals([(quick, 80_000_000), (slow, 90_000_000)])] == [False, False]


def test_every_case_says_what_it_asks() -> None:
    for case in CASES:
        (observation,) = json.loads(case.json_body())["observations"]
        assert len(observation) == case.agents
    assert SENSOR.encode() not in VECTOR.json_body()  # sensors go by their order
