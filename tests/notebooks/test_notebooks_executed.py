"""Both notebooks, executed whole on a local cloud: what a reader who runs every cell ends with."""

import ast
import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from gamedojo import Connection
from tests.fakes.running_cloud import Cloud
from tests.notebooks.conftest import NOTEBOOKS, Notebook

pytestmark = pytest.mark.timeout(900)

Execute = Callable[[str], Notebook]


def cell_with(notebook: Notebook, source: str) -> dict[str, Any]:
    (cell,) = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and source in "".join(cell["source"])]
    return cell


def printed(notebook: Notebook, source: str) -> str:
    """What the one cell with this text has printed."""
    outputs = cell_with(notebook, source)["outputs"]
    return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")


def pictures(notebook: Notebook, source: str) -> list[tuple[int, int]]:
    """Width and height of the figures that the one cell with this text has left."""
    data = [output.get("data", {}) for output in cell_with(notebook, source)["outputs"]]
    files = [base64.b64decode("".join(one["image/png"])) for one in data if "image/png" in one]
    assert all(file.startswith(b"\x89PNG") for file in files)
    return [struct.unpack(">II", file[16:24]) for file in files]  # the header's first two fields


def nothing_is_served(cloud: Cloud) -> bool:
    sagemaker = cloud.sagemaker
    return not (
        sagemaker.list_endpoints()["Endpoints"]
        or sagemaker.list_endpoint_configs()["EndpointConfigs"]
        or sagemaker.list_models()["Models"]
        or cloud.control("GET", "/policies").json()["policies"]
    )


def keys(cloud: Cloud) -> list[str]:
    listed = cloud.client("s3").list_objects_v2(Bucket=cloud.connection["bucket"])
    return [found["Key"] for found in listed.get("Contents", [])]


@pytest.fixture(scope="module")
def unity_rl(executed: Execute) -> Notebook:
    return executed("unity_rl")


@pytest.fixture(scope="module")
def mlagents_yaml(unity_rl: Notebook, executed: Execute) -> Notebook:
    return executed("mlagents_yaml")


def test_the_old_example_is_done_step_by_step(cloud: Cloud, unity_rl: Notebook):
    assert printed(unity_rl, '"entropy_coef"') == (
        "hyperparameters.entropy_coef: unknown field; did you mean 'entropy_coeff'?\n"
        "Correct the named fields and send the request again.\n"
    )
    assert pictures(unity_rl, "client.follow(started.run_id"), "the curve is drawn while it trains"
    assert "Completed on ml." in printed(unity_rl, "TrainingJob.get(")
    assert "mean_return" in printed(unity_rl, "final_metric_data_list")
    assert "manifest.json" in printed(unity_rl, "tarfile.open(")
    assert "Basic.onnx" in printed(unity_rl, "download_artifacts")
    assert "50 episodes, mean return 0.930 (0.930 to 0.930)" in printed(unity_rl, "basic.deterministic")
    (run,) = cloud.runs("notebook-basic")
    assert (run["status"], run["promotion"]["promote"]) == ("SUCCEEDED", True)
    assert (run["options"]["hyperparameters"]["lr"], run["options"]["evaluation"]["episodes"]) == (0.001, 50)


def test_the_policy_is_asked_by_its_api_and_by_its_endpoint(unity_rl: Notebook):
    action, _, version = printed(unity_rl, "prediction = client.predict").partition(") ")
    assert action == "Action(continuous=(), discrete=(2,)"
    answer = ast.literal_eval(printed(unity_rl, "endpoint.invoke"))
    assert answer == {"version": version.strip(), "behavior": "Basic", "continuous": [], "discrete": [2]}
    ((width, height),) = pictures(unity_rl, "axis.quiver")
    assert width > 2 * height > 100


def test_a_build_of_ones_own_goes_on_from_the_sample_by_a_drop(cloud: Cloud, unity_rl: Notebook):
    assert printed(unity_rl, 'dropped_run("notebook-mygame")').startswith("SUCCEEDED")
    (run,), (first,) = cloud.runs("notebook-mygame"), cloud.runs("notebook-basic")
    assert run["source_key"] == "builds/notebook-mygame.zip"
    assert run["options"]["start_from"] == first["run_id"]
    assert "no readable zip" in printed(unity_rl, 'dropped_run("notebook-broken")')


def test_the_clean_up_leaves_nothing(cloud: Cloud, unity_rl: Notebook):
    assert printed(unity_rl, "Endpoint.get_all") == "[]\n"
    if not cloud.runs("notebook-ball"):  # the other notebook has not begun
        assert nothing_is_served(cloud)
        assert keys(cloud) == []


def test_a_trainer_file_is_a_run(cloud: Cloud, mlagents_yaml: Notebook):
    assert "GAIL is not supported" in printed(mlagents_yaml, "with_gail")
    assert pictures(mlagents_yaml, "client.follow(started.run_id")
    assert "keep_checkpoints" in printed(mlagents_yaml, "run.notes")
    (run,) = cloud.runs("notebook-ball")
    assert run["status"] == "SUCCEEDED"
    assert run["options"]["hyperparameters"]["minibatch_size"] == 256
    assert run["options"]["stop"]["env_steps"] == 90_000
    assert run["options"]["seed"] == 1
    assert run["evaluation"]["mean_return"] > 50
    assert pictures(mlagents_yaml, "pcolormesh")
    assert "3DBall.onnx" in printed(mlagents_yaml, "download_artifacts")
    assert "trainer.yaml" in printed(mlagents_yaml, "3DBall-with-trainer.zip")
    cloud.eventually(lambda: nothing_is_served(cloud), "the endpoint to be gone", seconds=60)
    assert {key.split("/")[1] for key in keys(cloud)} == {run["run_id"]}, "the run's files stay"


@pytest.mark.parametrize("name", ["unity_rl", "mlagents_yaml"])
def test_the_other_mode_finds_the_same_stack(cloud: Cloud, name: str, monkeypatch: pytest.MonkeyPatch):
    """`aws_stack` asks CloudFormation and API Gateway, here the emulator's."""
    for variable, value in {
        "AWS_ENDPOINT_URL": cloud.connection["endpoint_url"],
        "AWS_DEFAULT_REGION": cloud.connection["region"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(variable, value)
    source = "".join(cell_with(json.loads((NOTEBOOKS / f"{name}.ipynb").read_text()), "def aws_stack")["source"])
    names: dict[str, Any] = {"boto3": boto3, "Connection": Connection}
    exec(source.partition("\n\n\nclient =")[0], names)
    found = names["aws_stack"](cloud.connection["stack_name"])
    connection, bucket = found if isinstance(found, tuple) else (found, cloud.connection["bucket"])
    assert (connection.control_key, connection.predict_key, bucket) == (
        cloud.connection["control_key"],
        cloud.connection["predict_key"],
        cloud.connection["bucket"],
    )
    assert connection.control_url.startswith("https://")
    assert connection.predict_url.startswith("https://")
