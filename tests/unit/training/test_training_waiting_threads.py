"""Threads of torch's that wait sleep: trainings, builds and tests side by side take no core from each other."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("of_the_user", "found"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_openmp_sleeps_while_it_waits_unless_told_otherwise(of_the_user: dict[str, str], found: str) -> None:
    """As OpenMP itself says, when torch loads it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", "import rl_src.training.networks.network"],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_DISPLAY_ENV": "true", **of_the_user},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert f"OMP_WAIT_POLICY = '{found}'" in done.stderr
