"""The inference server's beginning and end: /ping before the models, SIGTERM while requests are under way, metrics."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from rl_src.serving.metrics import NAMESPACE
from tests.fakes.onnx_policies import write_artifact, write_manifest, write_scaling_policy
from tests.fakes.serving_process import Serving, answers_of
from tests.fakes.started_containers import only_as_process

QUESTION = json.dumps({"observations": [[[0, 1, 0]]]}).encode()
REQUEST = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(QUESTION), QUESTION)
PING = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact", np.eye(3, dtype=np.float32))


def test_ping_says_no_until_the_model_has_answered(artifact: Path, tmp_path: Path) -> None:
    manifest = (artifact / "manifest.json").read_bytes()
    (artifact / "manifest.json").unlink()
    os.mkfifo(artifact / "manifest.json")  # loading waits at it
    with Serving(artifact, tmp_path / "ml") as serving:
        for method, path, body in (("GET", "/ping", None), ("POST", "/invocations", QUESTION)):
            answer = serving.ask(method, path, body)
            assert (answer.status, answer.json()["code"]) == (503, "ModelNotReady")
            assert answer.headers["retry-after"] == "1"
        (artifact / "manifest.json").write_bytes(manifest)
        serving.wait_until_in_service()
        assert serving.invoke(QUESTION).json()["discrete"] == [[1]]


def test_a_connection_from_before_the_models_is_served_after(artifact: Path, tmp_path: Path) -> None:
    with Serving(artifact, tmp_path / "ml") as serving:
        connection = serving.connect()
        serving.wait_until_in_service()
        with answers_of(connection) as answers:
            connection.sendall(REQUEST)
            answer = answers.next()
            assert answer is not None
            assert answer.status == 200


def test_a_model_that_gives_no_number_ends_the_container(tmp_path: Path) -> None:
    write_scaling_policy(tmp_path / "artifact" / "policies" / "Game.onnx", float("nan"))
    write_manifest(tmp_path / "artifact", {"Game": (2,)})
    with Serving(tmp_path / "artifact", tmp_path / "ml") as serving:
        _, stderr = serving.process.communicate(timeout=60)
        assert serving.process.returncode == 1
        assert "the model of behavior 'Game' gives no finite action" in stderr


@only_as_process("each container has ports of its own")
def test_a_port_that_is_taken_is_told(artifact: Path, tmp_path: Path) -> None:
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        with Serving(artifact, tmp_path / "other", SAGEMAKER_BIND_TO_PORT=str(serving.port)) as second:
            _, stderr = second.process.communicate(timeout=60)
            assert second.process.returncode == 1
            assert f"127.0.0.1:{serving.port}" in stderr


def test_sigterm_waits_for_requests_under_way(artifact: Path, tmp_path: Path) -> None:
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        slow, other, idle = serving.connect(), serving.connect(), serving.connect()
        with answers_of(slow) as late, answers_of(other) as pings, answers_of(idle) as nothing:
            slow.sendall(REQUEST[:-5])
            other.sendall(PING + PING[:-2])
            first = pings.next()
            assert first is not None
            assert first.status == 200
            serving.process.send_signal(signal.SIGTERM)
            assert nothing.next() is None  # closed: from here on the server is draining
            other.sendall(PING[-2:])
            second = pings.next()
            assert second is not None
            assert (second.status, second.json()["code"]) == (503, "Draining")
            assert serving.process.poll() is None
            slow.sendall(REQUEST[-5:])
            answer = late.next()
            assert answer is not None
            assert answer.json()["discrete"] == [[1]]
            assert answer.headers["connection"] == "close"
            assert late.next() is None
        assert serving.process.wait(timeout=30) == 0


def test_nothing_is_lost_when_the_server_ends_under_load(artifact: Path, tmp_path: Path) -> None:
    """Every request that was sent before SIGTERM is answered, on every connection."""
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        connections = [serving.connect() for _ in range(50)]
        for connection in connections:
            connection.sendall(REQUEST)
        serving.process.send_signal(signal.SIGTERM)
        for connection in connections:
            with answers_of(connection) as answers:
                answer = answers.next()
                assert answer is not None
                assert answer.json()["discrete"] == [[1]]
        assert serving.process.wait(timeout=30) == 0


@pytest.mark.faults
def test_a_sender_that_never_ends_does_not_keep_the_server_from_ending(artifact: Path, tmp_path: Path) -> None:
    """SageMaker's SIGKILL comes 30 s after SIGTERM."""
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        with serving.connect() as connection:
            connection.sendall(REQUEST[:-1])
            serving.process.send_signal(signal.SIGTERM)
            assert serving.process.wait(timeout=29) == 0


def test_metrics_are_told_in_cloudwatchs_format(artifact: Path, tmp_path: Path) -> None:
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        for _ in range(150):
            assert serving.invoke({"observations": [[[0, 1, 0]] * 4]}).status == 200
        assert serving.invoke({"observations": []}).status == 400
        code, stdout, stderr = serving.terminate()
    assert code == 0, stderr
    (line,) = stdout.splitlines()
    document = json.loads(line)
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == (NAMESPACE, [["Policy"]])
    assert (document["Policy"], document["Version"]) == ("game", "game-1")
    assert (document["Requests"], document["Refused"], document["Failed"]) == (151, 1, 0)
    assert set(document["Agents"]) == {4}
    assert len(document["Latency"]) == 100
    assert {metric["Name"] for metric in directive["Metrics"]} == document.keys() - {"_aws", "Policy", "Version"}


@pytest.mark.parametrize("signals", [1, 5])
def test_no_request_means_no_metrics(artifact: Path, tmp_path: Path, signals: int) -> None:
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        for _ in range(signals - 1):
            serving.process.send_signal(signal.SIGTERM)
        assert serving.terminate()[:2] == (0, "")


def test_the_artifact_may_be_gone_once_it_is_loaded(artifact: Path, tmp_path: Path) -> None:
    with Serving(artifact, tmp_path / "ml") as serving:
        serving.wait_until_in_service()
        shutil.rmtree(artifact)
        assert serving.invoke(QUESTION).status == 200
