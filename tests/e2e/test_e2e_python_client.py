"""A policy's whole life by the Python client and its command line."""

import hashlib
import json

import pytest

from gamedojo import ApiError, AsyncGamedojoClient, Connection, GamedojoClient
from tests.fakes.api_server import Answer, FakeApi
from tests.fakes.registry_zips import as_the_registry_zips

CELLS, START = 20, 10
OBSERVATION = [float(cell == START) for cell in range(CELLS)]
SHORT = {"stop": {"env_steps": 2_000}, "evaluation": {"episodes": 2, "promote_if": "always"}}


@pytest.fixture(scope="module")
def connection(cloud) -> Connection:
    names = ("control_url", "control_key", "predict_url", "predict_key")
    return Connection(**{name: cloud.connection[name] for name in names})


async def test_a_policy_is_made_asked_rolled_back_and_removed(cloud, connection, basic_zip, tmp_path):
    build = tmp_path / "Lived.zip"
    build.write_bytes(basic_zip)
    with GamedojoClient(connection) as client:
        first = client.train(build, SHORT | {"policy": "lived"})
        cloud.command("watch", first.run_id)
        assert client.run(first.run_id).status == "SUCCEEDED"
        second = client.train(build, SHORT | {"policy": "lived", "seed": 1})
        assert [*client.follow(second.run_id)][-1].status == "SUCCEEDED"
        asked = client.predict("lived", [OBSERVATION])
        assert asked.version == second.run_id
        async with AsyncGamedojoClient(connection) as other:
            again = await other.predict("lived", [OBSERVATION])
        assert again.action == asked.action
        said = json.loads(cloud.command("predict", "lived", "--observation", json.dumps(OBSERVATION), "--json"))
        assert said["action"]["discrete"] == [*asked.action.discrete]
        cloud.command("policies", "rollback", "lived", "--json")
        assert client.policy("lived").version == first.run_id
        assert [one.version for one in client.policy_history("lived")][:2] == [first.run_id, second.run_id]
        assert {run.run_id for run in client.iterate_runs(policy="lived")} >= {first.run_id, second.run_id}
        cloud.command("policies", "delete", "lived", "--yes")
        with pytest.raises(ApiError) as caught:
            client.policy("lived")
        assert caught.value.code == "PolicyNotFound"


def test_an_environment_is_mirrored_from_a_registry_once_and_trained_by_its_id_without_it(
    cloud, connection, basic_zip, tmp_path
):
    zipped = as_the_registry_zips(basic_zip)
    scene = ["--mlagents-scene-name", "Assets/Corridor.unity"]
    with FakeApi().running() as registry:
        url = f"{registry.origin}/linux/Startup.zip"
        environments = [{"Corridor": {"linux_url": url, "expected_reward": 0.93, "additional_args": scene}}]
        registry.script("GET", "/manifest.yaml", Answer(body=json.dumps({"environments": environments}).encode()))
        registry.script("GET", "/linux/Startup.zip", Answer(body=zipped))
        mirror = ("registry", "mirror", "Corridor", "--manifest", f"{registry.origin}/manifest.yaml")
        assert hashlib.sha256(zipped).hexdigest() in cloud.command(*mirror)
        cloud.command(*mirror)
        assert len(registry.calls("GET", "/linux/Startup.zip")) == 1
    with GamedojoClient(connection) as client:
        (entry,) = client.registry()
        assert (entry.environment, entry.source, entry.expected_return) == ("Corridor", url, 0.93)
        with pytest.raises(ApiError) as refused:
            client.create_run({"build": {"registry": "3DBall"}})
        assert (refused.value.code, "mirrored are: Corridor." in refused.value.detail) == (
            "EnvironmentNotMirrored",
            True,
        )
        created = client.create_run(SHORT | {"build": {"registry": "Corridor"}, "endpoint": {"deploy": False}})
        run = [*client.follow(created.run_id)][-1]
        assert (run.status, run.policy, run.build_sha256) == ("KEPT", "corridor", entry.sha256), run.failure
        assert run.executable == "Startup/Basic.x86_64"
        assert run.document["options"]["environment"]["arguments"] == scene
        other = tmp_path / "Corridor.zip"
        other.write_bytes(basic_zip)
        said = cloud.command("registry", "mirror", "Corridor", "--from", str(tmp_path), exits=5)
        assert said == ""
        assert client.registry() == (entry,)
