"""One local cloud for both notebooks, and the environment that executes them."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.running_cloud import REPOSITORY, Cloud, running_cloud

NOTEBOOKS = REPOSITORY / "docs/notebooks"
TOOLS = REPOSITORY / ".venv-notebooks/bin"

Notebook = dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-notebooks", type=Path, default=None, help="folder that executed notebooks are written to")


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def executed(
    request: pytest.FixtureRequest, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Notebook]:
    """Executes the notebook of this name from its first cell to its last, and reads it with what its cells showed."""
    folder = tmp_path_factory.mktemp("notebooks")
    written: Path | None = request.config.getoption("--write-notebooks")

    def execute(name: str) -> Notebook:
        target = (written or folder).resolve() / f"{name}.ipynb"
        finished = subprocess.run(
            [TOOLS / "python", Path(__file__).with_name("execute.py"), NOTEBOOKS / f"{name}.ipynb", target],
            env={
                "PATH": os.defpath,
                "HOME": str(folder),  # nothing of the user's: no ~/.aws, ~/.ipython, matplotlibrc
                "GAMEDOJO_CONNECTION": str(cloud.state_dir / "connection.json"),
            },
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-6000:]
        notebook: Notebook = json.loads(target.read_text())
        return notebook

    return execute
