"""The container's `train` as a process that is to fail."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def failure_of_train(command: Sequence[str], environment: Mapping[str, str], base: Path) -> str:
    """Run it in its /opt/ml, `base`, to its end; what it left in the failure file, as SageMaker reads it."""
    done = subprocess.run(command, env=environment, cwd=base, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    return (base / "output" / "failure").read_text()
