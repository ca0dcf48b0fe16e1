"""ONNX Runtime tells its maker nothing of what we run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("module", ["rl_src.serving.onnx_policy", "rl_src.evaluation.evaluate"])
def test_no_name_of_the_machine_is_made(module: str, tmp_path: Path) -> None:
    """Where its telemetry is on, it keeps one below the home as it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", f"import {module}, onnxruntime; onnxruntime.SessionOptions()"],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
        check=True,
        timeout=100,
    )
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
