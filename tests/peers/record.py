"""Records short sessions of the reference client with the sample builds, for tests that have no reference client.

    .venv/bin/python -m tests.peers.record [BUILD ...]

after `make .venv-peers/.done`. Writes a folder for each build under `tests/data/recorded_exchanges`: the raw messages,
and what the reference client made of them.
"""

import sys
import tempfile
from pathlib import Path

import pytest

from sample_builds.catalog import SAMPLE_BUILDS
from tests.fakes.sample_players import use_this_interpreter
from tests.peers.reference import ROOT, Builds, play

RECORDINGS = ROOT / "tests" / "data" / "recorded_exchanges"
SEED = 3
STEPS = 20
"""After each of two resets."""

PARAMETER = "difficulty=0.5"


def main(names: list[str]) -> None:
    """Record the builds named, or all but the one of faults."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        use_this_interpreter(monkeypatch)
        builds = Builds(Path(folder))
        for name in names or [name for name in SAMPLE_BUILDS if name != "Faulty"]:
            output = RECORDINGS / name
            arguments = ("--steps", str(STEPS), "--parameter", PARAMETER)
            play(builds.program(name), output, *arguments, seed=SEED, module="tests.peers.scripts.record")
            (output / "player.log").unlink()
            print(name, {path.name: path.stat().st_size for path in sorted(output.iterdir())})


if __name__ == "__main__":
    main(sys.argv[1:])
