"""docs/cli.md, and how little the program loads before it knows what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

import gamedojo
from gamedojo.cli.app import app
from gamedojo.cli.output import EXIT_CODES
from gamedojo.cli.reference import commands, page

ROOT = Path(__file__).parents[3]
HEAVY = ("httpx", "asyncio", "rich.progress", "rich.live", "numpy", "pydantic", "boto3")


def test_the_page_is_what_the_commands_say() -> None:
    """If this fails: `make cli-docs`, and look at the difference."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page()


def test_every_command_says_what_it_does_and_can_print_json() -> None:
    found = dict(commands(app))
    assert len(found) == 27
    for name, callback in found.items():
        assert callback.__doc__, name
        assert f"## {name}\n" in page()
    without = [name for name in found if "`--json`" not in page().split(f"## {name}\n")[1].split("\n## ")[0]]
    assert without == ["gamedojo openapi"], "its output is JSON anyway"


def test_the_page_has_every_exit_code() -> None:
    for code in EXIT_CODES:
        assert f"\n| {code} | " in page()


@pytest.mark.parametrize("what", ["import gamedojo", "import gamedojo.cli.app"])
def test_nothing_heavy_is_loaded_before_it_is_needed(what: str) -> None:
    code = f"import sys; {what}; print(*[name for name in {HEAVY} if name in sys.modules])"
    path = {"PYTHONPATH": str(ROOT / "clients" / "python")}
    done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_name_of_the_package_is_there() -> None:
    for name in gamedojo.__all__:
        assert getattr(gamedojo, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = gamedojo.Nothing
