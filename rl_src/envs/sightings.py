"""What players were seen to reach for: told in errors, and at the end of a job as its findings."""

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rl_src.envs.lookout import NETWORK, READS, RIGHTS, WRITES

FILE_SUFFIX = ".seen"
"""Beside a player's log: what it reached for, a JSON document a line."""

_SAID = "saw"
_CREDENTIALS = re.compile(r"/proc/\d+/environ|.*/\.aws/.*|/etc/g?shadow|169\.254\.(169\.254|170\.\d+):\d+")
_TOLD_CHARACTERS = 260
_TOLD_EXAMPLES = 4


@dataclass(frozen=True)
class Sighting:
    """One attempt. `kind`: see `lookout`; `what`: a path, or an address with its port, in printable ASCII."""

    kind: str
    what: str

    @classmethod
    def from_line(cls, line: str) -> "Sighting | None":
        """Of a supervisor's line; None if it tells something else."""
        match line.split(" ", 2):
            case [said, kind, what] if said == _SAID:
                return cls(kind, what)
        return None

    @property
    def seeks_credentials(self) -> bool:
        """Where keys usually are."""
        return _CREDENTIALS.fullmatch(self.what) is not None


@dataclass(frozen=True)
class _Finding:
    code: str
    cause: str
    remedy: str


_CREDENTIALS_SOUGHT = _Finding(
    "BuildSeeksCredentials",
    "looked where credentials are kept",
    "It gets none. No game needs them: find out who wrote the part of the build that looks for them.",
)
_FINDINGS = {
    READS: _Finding(
        "BuildReadsForbidden",
        "tried to read what is not its own",
        "It was refused. Put what the game needs into the build's folder.",
    ),
    WRITES: _Finding(
        "BuildWritesForbidden",
        "tried to write outside its own folder",
        "It was refused. Let the game write to Application.persistentDataPath only.",
    ),
    NETWORK: _Finding(
        "BuildUsesNetwork",
        "reached for the network",
        "Jobs have none. Turn off analytics, crash reports and online services in the build.",
    ),
    RIGHTS: _Finding(
        "BuildSeeksRights",
        "tried what is for whoever keeps the machine",
        "It was refused. No game needs it: find out who wrote the part of the build that tries it.",
    ),
}
FINDING_CODES = frozenset(finding.code for finding in (_CREDENTIALS_SOUGHT, *_FINDINGS.values()))


def seen(sightings: Iterable[Sighting]) -> str:
    """For an error's cause: a short text that names the findings, empty if there are none."""
    told = [f"it {finding.cause} [{finding.code}]: {_examples(found)}" for finding, found in _sorted(sightings)]
    text = "; ".join(told)
    if len(text) > _TOLD_CHARACTERS:
        names = ", ".join(f"{finding.code} ({found[0][:40]}, …)" for finding, found in _sorted(sightings))
        text = names[:_TOLD_CHARACTERS]
    return f" Seen from outside: {text}." if text else ""


def findings(sightings: Iterable[Sighting]) -> list[dict[str, str]]:
    """As warnings of a training or an evaluation: behavior (none), code, cause and remedy."""
    return [
        {
            "behavior": "",
            "code": finding.code,
            "cause": f"The build {finding.cause}: {_examples(found)}.",
            "remedy": finding.remedy,
        }
        for finding, found in _sorted(sightings)
    ]


def keep(sightings: Iterable[Sighting], path: Path) -> None:
    """Write them to a new file, whatever the player has put in its place. A folder that is gone needs them no more."""
    text = "".join(json.dumps(asdict(sighting)) + "\n" for sighting in sightings)
    if text:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
                file.write(text)


def kept(folder: Path) -> list[Sighting]:
    """Those of all players that have ended and logged into `folder`. Files that a player made are not believed."""
    lines = (line for path in sorted(folder.glob(f"*{FILE_SUFFIX}")) for line in _own_text(path).splitlines())
    return [Sighting(**json.loads(line)) for line in lines]


def _own_text(path: Path) -> str:
    """Empty where somebody else made the file."""
    try:
        found = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(found, "r", encoding="ascii") as file:
        status = os.fstat(file.fileno())
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
        return file.read() if ours else ""


def _sorted(sightings: Iterable[Sighting]) -> list[tuple[_Finding, list[str]]]:
    """By finding, in a fixed order; each with what was reached for, once."""
    found: dict[str, dict[str, None]] = {}
    for sighting in sightings:
        kind = "" if sighting.seeks_credentials else sighting.kind
        found.setdefault(kind, {})[sighting.what] = None
    known = {"": _CREDENTIALS_SOUGHT, **_FINDINGS}
    return [(finding, list(found[kind])) for kind, finding in known.items() if kind in found]


def _examples(found: list[str]) -> str:
    more = len(found) - _TOLD_EXAMPLES
    return ", ".join(found[:_TOLD_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
