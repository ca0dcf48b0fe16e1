"""Commands of other programs, each shown before it runs."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.errors import DeploymentError


@dataclass(frozen=True)
class Shell:
    """Runs commands in `folder`. `dry`: only shows them. `environment`: variables beside this process's own."""

    folder: Path
    dry: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, command: Sequence[str], *, secret: str | None = None) -> None:
        """Show a command, and run it with this terminal as its own.

        Args:
            command: the program and its arguments.
            secret: what it reads from its standard input, which is not shown.

        Raises:
            DeploymentError: it is not there, or fails; it has printed why.
        """
        print(f"$ {shlex.join(command)}{'' if secret is None else '   # reads the password'}", flush=True)
        if self.dry:
            return
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                input=secret,
                stdout=sys.stderr,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise DeploymentError(f"{command[0]} is not installed, or not on the PATH.") from error
        if done.returncode != 0:
            raise DeploymentError(f"`{shlex.join(command[:2])}` ended with status {done.returncode}; see above.")
