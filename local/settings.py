"""Where the local cloud keeps its things and which tools it uses; everything can be named by an environment variable.

| variable | default | what |
|---|---|---|
| `GAMEDOJO_STATE_DIR` | `.gamedojo` in the checkout | state of the cloud's services, logs, the packed functions |
| `GAMEDOJO_SAM` | `.venv-sam/bin/sam` | the SAM command line |
| `GAMEDOJO_LAMBDA_PYTHON` | `.venv-lambda/bin/python` | runs the functions; has `awslambdaric` only |
| `GAMEDOJO_WAIT_SCALE` | 1 | real seconds to each that the state machine or SageMaker waits |
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import SetupError

REGION = "us-east-1"
STACK_NAME = "gamedojo-local"

_WAIT_SCALE = "GAMEDOJO_WAIT_SCALE"


@dataclass(frozen=True)
class LocalSettings:
    """Paths are absolute. `python` runs emulator, SageMaker service, jobs and endpoints."""

    checkout: Path
    state_dir: Path
    sam: Path
    lambda_python: Path
    python: Path
    wait_scale: float = 1.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LocalSettings":
        """Read the variables above.

        Raises:
            SetupError: the scale is no number above 0 and at most 1.
        """
        checkout = Path(__file__).resolve().parents[1]

        def path(variable: str, default: Path) -> Path:
            # absolute(), not resolve(): the python of a virtual environment is a link and must stay one
            return Path(environment.get(variable) or default).expanduser().absolute()

        state_dir = path("GAMEDOJO_STATE_DIR", checkout / ".gamedojo")
        return cls(
            checkout=checkout,
            state_dir=state_dir,
            sam=path("GAMEDOJO_SAM", checkout / ".venv-sam/bin/sam"),
            lambda_python=path("GAMEDOJO_LAMBDA_PYTHON", checkout / ".venv-lambda/bin/python"),
            python=Path(sys.executable).absolute(),
            wait_scale=_scale(environment.get(_WAIT_SCALE) or "1"),
        )

    @property
    def build_dir(self) -> Path:
        """The functions as packed, one folder for each state of the sources."""
        return self.state_dir / "build"

    @property
    def logs_dir(self) -> Path:
        """One file for each process and tool."""
        return self.state_dir / "logs"

    @property
    def temporary_dir(self) -> Path:
        """TMPDIR of the emulator, its functions and SAM; removed by `down`."""
        return self.state_dir / "tmp"

    @property
    def home_dir(self) -> Path:
        """HOME of what must see nothing of the user's: no `~/.aws`, no `~/.config`."""
        return self.state_dir / "home"

    @property
    def connection_file(self) -> Path:
        """What the command line and the demo read."""
        return self.state_dir / "connection.json"

    def check_tools(self) -> None:
        """Raise SetupError unless the other two environments are there."""
        for what, tool in (("SAM command line", self.sam), ("Lambda runtime", self.lambda_python)):
            if not tool.is_file():
                raise SetupError(f"The {what} is not at {tool}. Run `make setup`, which installs it.")


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1:
        raise SetupError(f"{_WAIT_SCALE} must be a number above 0 and at most 1, not {text!r}.")
    return scale
