"""Every command of the pages, run in the order of the page, in a fresh checkout, against one local cloud.

`console` and `bash` blocks are run by bash, a page in one shell, so that variables and folders stay. What stands for
something of the reader's own is filled in (`Filled`), everything else is the page's own words. `make test` looks at the
blocks that cannot be run here (tests/contract/test_docs_blocks.py).
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks, pages
from tests.fakes.running_cloud import Cloud

PAGES = (
    "README.md",
    "docs/quick_start.md",
    "docs/bring_your_own_build.md",
    "docs/registry.md",
    "docs/training.md",
    "docs/from_mlagents.md",
    "docs/environments.md",
    "docs/predict.md",
    "docs/predict_from_unity.md",
    "docs/requests.md",
    "docs/deploying.md",
    "docs/cost.md",
    "docs/troubleshooting.md",
    "CONTRIBUTING.md",
)
"""In the order of reading: the first one's `make demo` trains the policy `basic` that later ones ask."""

pytestmark = pytest.mark.timeout(1500)


def script(page_blocks: list[Block], words: dict[str, str]) -> str:
    """All that a page has a reader type, each block announced by its place."""
    lines = ["set -eu -o pipefail", 'curl() { command curl --fail-with-body "$@"; }']
    for block in page_blocks:
        commands = "\n".join(block.commands)
        for placeholder, word in words.items():
            commands = commands.replace(placeholder, word)
        assert not re.search(r"…|<[a-z_ ]+>", commands), f"{block}: a placeholder is left in\n{commands}"
        lines.append(f"echo '@@ {block}'")
        if block.exits:
            lines.append(f"status=0\n(set -e\n{commands}\n) || status=$?\n[ $status = {block.exits} ]")
        else:
            lines.append(commands)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES)
def test_its_commands_run(page: str, cloud: Cloud, checkout: Path, environment: dict[str, str]):
    runnable = [block for block in blocks(page) if block.language in ("console", "bash") and not block.not_run]
    runs = cloud.control("GET", "/training-runs", params={"limit": 1}).json()["runs"]
    words = {
        "<bucket>": cloud.connection["bucket"],
        "<run_id>": runs[0]["run_id"] if runs else "$(gamedojo runs --limit 1 --json | jq -r '.[0].run_id')",
        "gamedojo-dev": cloud.connection["stack_name"],
    }
    finished = subprocess.run(
        ["bash", "-s"],
        input=script(runnable, words),
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert finished.returncode == 0, f"{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}"


def test_no_page_with_commands_is_left_out():
    with_commands = {
        page
        for page in pages()
        if any(block.language in ("console", "bash") and not block.not_run for block in blocks(page))
    }
    assert with_commands - set(PAGES) == {"docs/cli.md"}  # which tells what each command takes, as `--help` does
