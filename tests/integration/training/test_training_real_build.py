"""The trainer on real builds: real processes, real sockets, a process of its own without any network but loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest

from rl_src.envs.build import unpack_build
from rl_src.envs.errors import NonFiniteRewardError
from rl_src.training.settings.config import EnvironmentSettings, StopRule, TrainingConfig
from rl_src.training.trainer import train
from sample_builds.packer import pack

PROGRAM = """
import json, sys
from pathlib import Path
from rl_src.training.settings.config import TrainingConfig
from rl_src.training.trainer import train
place = Path(sys.argv[1])
result = train(
    TrainingConfig(Path(sys.argv[2])),
    model_dir=place / "model",
    checkpoint_dir=place / "checkpoints",
    work_dir=place / "work",
    report=lambda line: print(json.dumps(line), flush=True),
    stop_requested=lambda: False,
)
print(json.dumps(result.summary()))
"""


@pytest.fixture(autouse=True)
def _interpreter_on_path(monkeypatch):
    """The sample builds start `python3`, which must be the one with their libraries."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def build(tmp_path: Path, name: str) -> Path:
    return unpack_build(pack(name, tmp_path), tmp_path / "build")


def caged() -> list[str]:
    """A prefix that leaves a process nothing but loopback; empty where the machine does not allow that."""
    prefix = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return []
    return prefix if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0 else []


def test_basic_is_solved_by_a_job_without_network_that_leaves_no_process(tmp_path):
    executable = build(tmp_path, "Basic")
    job = subprocess.run(
        [*caged(), sys.executable, "-c", PROGRAM, str(tmp_path), str(executable)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)},
    )
    assert job.returncode == 0, job.stderr
    *lines, summary = [json.loads(line) for line in job.stdout.splitlines()]
    assert summary["stop_reason"] == "mean_return"
    assert summary["env_steps"] == lines[-1]["env_steps"]
    policy = onnxruntime.InferenceSession(str(tmp_path / "model/policies/Basic.onnx"))
    feed = {"obs_0": np.eye(20, dtype=np.float32), "action_masks": np.ones((20, 3), dtype=np.float32)}
    (moves,) = policy.run(["deterministic_discrete_actions"], feed)
    assert moves[8:17, 0].tolist() == [2] * 9
    assert left_over(executable) == []
    assert not (tmp_path / ".ray").exists()  # no cluster was started


def test_nan_rewards_end_the_training_with_cause_and_remedy_and_no_process_is_left(tmp_path):
    executable = build(tmp_path, "Faulty")
    arguments = ("--fault", "nan-reward", "--after", "30")
    with pytest.raises(NonFiniteRewardError) as caught:
        train(
            TrainingConfig(executable, environment=EnvironmentSettings(arguments=arguments, num_builds=2)),
            model_dir=tmp_path / "model",
            checkpoint_dir=tmp_path / "checkpoints",
            work_dir=tmp_path / "work",
            report=lambda line: None,
            stop_requested=lambda: False,
        )
    assert "reward" in caught.value.cause
    assert caught.value.remedy
    assert left_over(executable) == []


@pytest.mark.parametrize("num_builds", [1, 2])
def test_a_crash_in_the_middle_costs_no_training(tmp_path, num_builds):
    executable = build(tmp_path, "Faulty")
    arguments = ("--fault", "crash", "--after", "60", "--once", str(tmp_path / "once"))
    result = train(
        TrainingConfig(
            executable,
            stop=StopRule(env_steps=1_000),
            environment=EnvironmentSettings(arguments=arguments, num_builds=num_builds),
        ),
        model_dir=tmp_path / "model",
        checkpoint_dir=tmp_path / "checkpoints",
        work_dir=tmp_path / "work",
        report=lambda line: None,
        stop_requested=lambda: False,
    )
    assert (tmp_path / "once").exists(), "the build crashed"
    assert result.stop_reason == "env_steps"
    assert 1_000 <= result.env_steps < 1_000 + num_builds  # the last step may be of several agents
    assert left_over(executable) == []


def left_over(executable: Path) -> list[list[str]]:
    """Command lines of processes that still run this build."""
    commands = []
    for process in psutil.process_iter():
        try:
            commands.append(process.cmdline())
        except psutil.Error:
            continue
    return [command for command in commands if str(executable) in command]
