"""A policy's whole life by the Python client and its command line."""

import json

import pytest

from gamedojo import ApiError, AsyncGamedojoClient, Connection, GamedojoClient

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
