"""What SnapStart would freeze: all that a function has made when its module has been imported."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

IMPORT = """
import json, os
import predict.app as app
from pipeline.aws import clients
made = {name: each.cache_info().currsize for module in (app, clients)
        for name, each in vars(module).items() if hasattr(each, "cache_info")}
opened = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
print(json.dumps({"made": made, "sockets": [each for each in opened if "socket:" in each]}))
"""


def test_predict_makes_neither_client_nor_connection_nor_setting_before_its_first_request() -> None:
    """So that a restored snapshot has no stale credentials, no broken connection and no document of an old version."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "functions")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"_predictor", "_settings", "sagemaker_runtime", "s3"} <= told["made"].keys()
    assert set(told["made"].values()) == {0}
    assert told["sockets"] == []
