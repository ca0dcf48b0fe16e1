"""Programs that write down how they were called: real processes, found on the PATH."""

import json
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python}
import json, os, sys
secret = "" if sys.stdin.isatty() else sys.stdin.read()
region = os.environ.get("AWS_DEFAULT_REGION")
call = {{"program": {name!r}, "arguments": sys.argv[1:], "read": secret, "region": region}}
with open({log!r}, "a") as log:
    log.write(json.dumps(call) + "\\n")
sys.exit({status})
"""


class Programs:
    """A folder for the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, *, status: int = 0) -> Path:
        """One that ends with this status."""
        path = self.folder / name
        path.write_text(_PROGRAM.format(python=sys.executable, name=name, log=str(self._log), status=status))
        path.chmod(0o755)
        return path

    @property
    def calls(self) -> list[dict[str, Any]]:
        """In their order."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []
