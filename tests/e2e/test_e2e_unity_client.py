"""The C# client asks the policy that the local cloud serves: by itself, and as the agents of a scene."""

from typing import Any

import pytest

from tests.fakes.unity_client import UnityClient, compile_client, needs_mono

pytestmark = needs_mono

CELLS = 20


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> UnityClient:
    return compile_client(tmp_path_factory.mktemp("unity-client"))


@pytest.fixture(scope="module")
def served(cloud, dropped) -> dict[str, Any]:
    """The run of the dropped Basic.zip, whose policy is in service."""
    run = cloud.finished(cloud.first_run("basic"))
    assert run["status"] == "SUCCEEDED", run
    return run


def test_it_gets_the_actions_that_any_client_gets(cloud, served, client):
    one_hot = [[float(index == cell) for index in range(CELLS)] for cell in range(CELLS)]
    answer = cloud.predict("basic", json={"observations": [one_hot]}).json()
    expected = ",".join(str(action["discrete"][0]) for action in answer["actions"])
    told = client.scenario("AskBasic", cloud.connection["predict_url"], cloud.connection["predict_key"])
    assert f"moves   {expected}\n" in told


def test_the_agents_of_a_scene_reach_the_goal(cloud, served, client):
    url, key = cloud.connection["predict_url"], cloud.connection["predict_key"]
    client.scenario("WalkersReachTheGoal", url, key, "HttpClient")
