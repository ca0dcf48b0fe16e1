"""How a test starts a container's entry point: as a process on a relocated /opt/ml, or, with --images, in its image.

The test sees a process either way: its output, its exit status, the signals it is sent.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from local.images.build import Images

ROOT = Path(__file__).parents[2]
PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"

_images: list[Images] = []


def use_images(images: Images) -> None:
    """From now on."""
    _images.append(images)


def images_in_use() -> Images | None:
    return _images[-1] if _images else None


def only_as_process(reason: str) -> pytest.MarkDecorator:
    """For a test of what an image does not have."""
    return pytest.mark.skipif(images_in_use() is not None, reason=f"not in an image: {reason}")


class StartedContainer(subprocess.Popen[str]):
    """`train`, `evaluate` or `serve` at work; `base` is its /opt/ml. Its output is piped, as text.

    `environment`: beside what SageMaker sets. Where it names a port, the server answers there, on 127.0.0.1.
    """

    def __init__(self, program: str, base: Path, **environment: str) -> None:
        images = images_in_use()
        self.name = f"gamedojo-test-{secrets.token_hex(6)}"
        self._remove: Sequence[str] = ()
        if images is None:
            arguments, variables = [str(ROOT / "container" / program)], process_environment(base, **environment)
        else:
            arguments = image_command(images, self.name, program, base, environment)
            variables = dict(os.environ)
            self._remove = [*images.engine.command, "rm", "--force", self.name]
        super().__init__(arguments, env=variables, cwd=base, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def kill(self) -> None:
        """SIGKILL; nothing of the container is left."""
        if self._remove and self.poll() is None:
            subprocess.run(self._remove, capture_output=True, timeout=60, check=True)
        super().kill()

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is not None:
            self.kill()
        super().__exit__(*exception)


def run(program: str, base: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """To its end."""
    with StartedContainer(program, base, **environment) as container:
        stdout, stderr = container.communicate(timeout=200)
    return subprocess.CompletedProcess(program, container.returncode, stdout, stderr)


def job_folder(base: Path, build: Path, **hyperparameters: str) -> Path:
    """An /opt/ml of a job with that build; in a hyperparameter's name, `__` is a dot."""
    for folder in ("input/config", "input/data/build", "model", "checkpoints", "output"):
        (base / folder).mkdir(parents=True)
    named = {name.replace("__", "."): value for name, value in hyperparameters.items()}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(named))
    (base / "input" / "data" / "build" / "build.zip").write_bytes(build.read_bytes())
    return base


def process_environment(base: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.pathsep.join([str(ROOT / "container"), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")]),
        "HOME": str(base),
        "SAGEMAKER_BASE_DIR": str(base),
    } | more


def image_command(images: Images, name: str, program: str, base: Path, environment: Mapping[str, str]) -> list[str]:
    """As SageMaker runs it: /opt/ml mounted, a job without a network, a server's port 8080 published.

    A server's root cannot be written to, as where it is serverless.
    """
    variables = dict(environment)
    port = variables.pop(PORT_VARIABLE, None)
    base.chmod(0o755)  # a test's folders are for their owner alone; /opt/ml is not
    options = ["--name", name, "--volume", f"{base}:/opt/ml"]
    for link in (path for path in base.iterdir() if path.is_symlink()):
        options += ["--volume", f"{link.readlink()}:{link.readlink()}:ro"]
    options += ["--read-only"] if program == "serve" else []
    options += ["--publish", f"127.0.0.1:{port}:8080"] if port else ["--network", "none"]
    options += [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    image = images.inference if program == "serve" else images.training
    return images.engine.run_command(image, [program], options=options)
