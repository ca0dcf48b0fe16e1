"""Shell completion, as bash asks for it: names from the API, and in any trouble nothing at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.run_documents import RUN_ID, run_document

ROOT = Path(__file__).parents[3]
POLICIES = Answer(document={"policies": [{"policy": "basic"}, {"policy": "ball"}, {"policy": "walker"}]})


def complete(line: str, where: Path, variables: dict[str, str]) -> tuple[list[str], str]:
    """What is offered for the last word of the line, and what was said besides."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDOJO_")}
    asked = {"_GAMEDOJO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "from gamedojo.cli.app import app; app(prog_name='gamedojo')"],
        env={**kept, **variables, **asked, "PYTHONPATH": str(ROOT / "clients" / "python")},
        cwd=where,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("gamedojo predict ba", ["basic", "ball"]),
        ("gamedojo policies show ", ["basic", "ball", "walker"]),
        ("gamedojo runs --policy w", ["walker"]),
        ("gamedojo watch basic", [RUN_ID]),
        ("gamedojo redrive x", []),
        ("gamedojo builds show 4f", ["4f1c"]),
        ("gamedojo poli", ["policies"]),
    ],
)
def test_names_come_from_the_api(api: FakeApi, tmp_path: Path, line: str, offers: list[str]) -> None:
    api.script("GET", "/policies", POLICIES)
    api.script("GET", "/training-runs", Answer(document={"runs": [run_document()], "next_token": None}))
    builds = [{"build_id": "4f1c", "key": "uploads/4f1c/x.zip", "size_bytes": 1}, {"key": "u/y.zip", "size_bytes": 1}]
    api.script("GET", "/builds", Answer(document={"builds": builds}))
    assert complete(line, tmp_path, api.environment()) == (offers, "")


@pytest.mark.parametrize(
    "answer",
    [problem(403, "ApiKeyInvalid", "no"), problem(503, "X", "later"), Answer(drop=True), Answer(body=b"<html>")],
)
def test_in_trouble_nothing_is_offered_and_nothing_said(api: FakeApi, tmp_path: Path, answer: Answer) -> None:
    api.script("GET", "/policies", answer)
    assert complete("gamedojo predict b", tmp_path, api.environment()) == ([], "")
    assert len(api.received) == 1, "nobody at the Tab key waits for retries"


def test_without_a_stack_nothing_is_offered_and_nothing_said(tmp_path: Path) -> None:
    assert complete("gamedojo predict b", tmp_path, {}) == ([], "")
