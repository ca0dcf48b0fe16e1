"""`make smoke` on the local cloud: the test that is run on a real account after each deployment."""

import os
import subprocess
import sys

from tests.fakes.running_cloud import REPOSITORY


def test_the_smoke_test_of_a_stage_passes_and_leaves_no_policy(cloud):
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "smoke", "--stage", "local"],
        cwd=REPOSITORY,
        env={**os.environ, "GAMEDOJO_CONNECTION": str(cloud.state_dir / "connection.json")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith("mean"))
    run = cloud.run(said["run"])
    assert run["status"] == "SUCCEEDED"
    assert run["policy"].startswith("smoke-")
    assert int(said["compared"].split()[0]) >= 7, "one episode at least"
    assert "USD" in said["cost"]
    assert cloud.control("GET", f"/policies/{run['policy']}").status_code == 404
    builds = cloud.control("GET", "/builds").json()["builds"]
    assert run["source_key"] not in {build["key"] for build in builds}
    endpoints = [one["EndpointName"] for one in cloud.sagemaker.list_endpoints()["Endpoints"]]
    assert run["endpoint"]["name"] not in endpoints
