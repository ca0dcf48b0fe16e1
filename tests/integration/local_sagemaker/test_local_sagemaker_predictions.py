"""The Predict handler over an endpoint of the real inference server, which is updated and taken away under load."""

import io
import json
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipeline.aws import clients
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, CurrentPolicy, ObservationSpec, PolicySpec
from predict.app import handler
from tests.fakes.control_stack import SAID_OF_ITSELF, LambdaContext, forget_handlers, sample_event
from tests.fakes.onnx_policies import write_artifact
from tests.fakes.sagemaker_cloud import BUCKET, IMAGE, ROLE, Cloud, service
from tests.fakes.started_containers import ROOT
from tests.fakes.waiting import wait_for

ENDPOINT = "gamedojo-test-game"
OLD, NEW = "game-1", "game-2"
SIZE = 3


@pytest.fixture
def cloud(emulator_url: str, tmp_path: Path) -> Iterator[Cloud]:
    """A service whose image is the product's own."""
    programs = [str(ROOT / "container"), str(Path(sys.executable).parent), "/usr/bin", "/bin"]
    paths = f"{ROOT}:{ROOT / 'functions'}"
    images = {"fake-image": {"path": programs, "environment": {"PYTHONPATH": paths}}}
    with service(tmp_path, emulator_url, images=images) as running:
        yield running


@pytest.fixture
def served(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The policy `game` is in service; the handler's clients are the local cloud's."""
    environment = SAID_OF_ITSELF | {
        "AWS_ENDPOINT_URL_S3": cloud.emulator_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": cloud.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET_NAME": BUCKET,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget()
    cloud.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=version_of(cloud, OLD, tmp_path))
    assert cloud.settled(ENDPOINT)["EndpointStatus"] == "InService"
    put_in_service(cloud, OLD)
    yield cloud
    forget()


def forget() -> None:
    for one in vars(clients).values():
        if hasattr(one, "cache_clear"):
            one.cache_clear()
    forget_handlers()


def version_of(cloud: Cloud, version: str, folder: Path) -> str:
    """A config of this version, whose policy chooses as its observation is the largest."""
    artifact = write_artifact(folder / version, np.eye(SIZE, dtype=np.float32), version)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(artifact, arcname=".")
    uri = cloud.put(f"models/{version}.tar.gz", buffer.getvalue())
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    cloud.sagemaker.create_model(ModelName=version, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": version}
    machine = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    cloud.sagemaker.create_endpoint_config(EndpointConfigName=version, ProductionVariants=[variant | machine])
    return version


def put_in_service(cloud: Cloud, version: str) -> None:
    behavior = BehaviorSpec(
        name="Game",
        onnx="policies/Game.onnx",
        observations=(ObservationSpec(name="Sensor", shape=(SIZE,)),),
        actions=ActionSpec(discrete_branches=(SIZE,)),
    )
    key = f"policies/game/{version}/policy_spec.json"
    spec = PolicySpec(policy="game", version=version, behaviors=(behavior,))
    cloud.put(key, spec.model_dump_json())
    current = CurrentPolicy(policy="game", version=version, endpoint_name=ENDPOINT, spec_key=key)
    cloud.put("policies/game/current.json", current.model_dump_json())


def ask(choice: int) -> dict[str, Any]:
    event = sample_event("predict/post_predict") | {"pathParameters": {"policy": "game"}}
    observation = [float(place == choice) for place in range(SIZE)]
    return handler(event | {"body": json.dumps({"observations": [observation]})}, LambdaContext())


@contextmanager
def load() -> Iterator[tuple[Counter, list[dict[str, Any]]]]:
    """Three games ask on and on: right answers by version, and whatever else came."""
    versions: Counter = Counter()
    others: list[dict[str, Any]] = []
    done = threading.Event()

    def play(choice: int) -> None:
        while not done.is_set():
            answer = ask(choice)
            document = json.loads(answer["body"])
            if answer["statusCode"] == 200 and document["action"]["discrete"] == [choice]:
                versions[document["version"]] += 1
            else:
                others.append(answer)

    games = [threading.Thread(target=play, args=(choice,)) for choice in range(SIZE)]
    for game in games:
        game.start()
    try:
        wait_for(lambda: versions[OLD] > 20, "the policy is asked")
        yield versions, others
    finally:
        done.set()
        for game in games:
            game.join()


def test_no_prediction_fails_while_the_endpoint_goes_from_one_version_to_the_next(served: Cloud, tmp_path: Path):
    new = version_of(served, NEW, tmp_path)
    with load() as (versions, others):
        served.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=new)
        wait_for(lambda: versions[NEW] > 20, "the new version answers")
        put_in_service(served, NEW)
        wait_for(lambda: served.endpoint_status(ENDPOINT) == "InService", "the old version is gone")
        before = versions[NEW]
        wait_for(lambda: versions[NEW] > before + 50, "the new version is asked")
    assert others == []
    assert set(versions) == {OLD, NEW}


def test_an_endpoint_that_goes_mid_request_is_a_problem_that_says_so(served: Cloud):
    with load() as (_, others):
        served.sagemaker.delete_endpoint(EndpointName=ENDPOINT)
        wait_for(lambda: len(others) > 5, "the endpoint is gone")
    assert {answer["headers"]["Content-Type"] for answer in others} == {"application/problem+json"}
    found = {(answer["statusCode"], json.loads(answer["body"])["code"]) for answer in others}
    assert found <= {(502, "Model"), (503, "ServiceUnavailable"), (503, "ModelNotReady"), (503, "NotYetConsistent")}
    assert all("Traceback" not in answer["body"] for answer in others)


def containers(folder: Path) -> list[psutil.Process]:
    """The inference servers whose /opt/ml is below the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            base = process.environ().get("SAGEMAKER_BASE_DIR", "")
            if base.startswith(str(folder)) and str(ROOT / "container" / "serve") in process.cmdline()[:2]:
                found.append(process)
    return found


def test_a_container_that_is_killed_mid_request_costs_no_more_than_its_requests(served: Cloud, tmp_path: Path):
    with load() as (versions, others):
        (container,) = containers(tmp_path)
        container.kill()
        wait_for(lambda: [one for one in containers(tmp_path) if one.pid != container.pid], "it is started again")
        before = versions[OLD]
        wait_for(lambda: versions[OLD] > before + 20, "the policy answers again")
    found = [(answer["statusCode"], json.loads(answer["body"])["code"]) for answer in others]
    assert found
    assert set(found) <= {(502, "Model"), (503, "ServiceUnavailable"), (503, "ModelNotReady")}
    assert all("Traceback" not in answer["body"] for answer in others)
