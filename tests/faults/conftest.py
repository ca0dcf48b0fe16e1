"""A stack for each fault, and the page about what was injected and what became of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.fault_page import Injected, page
from tests.fakes.fault_scenarios import packed_build
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack


@pytest.fixture
def stack() -> Iterator[PipelineStack]:
    with pipeline_stack() as made:
        yield made


@pytest.fixture(scope="session")
def basic() -> bytes:
    return packed_build()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, default=None, help="write the table of faults to this file")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was injected travels as properties of the reports, so that it comes from all workers."""
    injected: list[Injected] = []
    failed = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            found = [Injected(*value) for name, value in getattr(report, "user_properties", []) if name == "fault"]
            injected += found
            failed += len(found) if outcome == "failed" else 0
    if not injected:
        return
    summary = (
        f"{len(injected)} faults injected, {len(injected) - failed} survived: nothing lost, doubled or left running; "
        f"{sum(one.outcome == 'SUCCEEDED' for one in injected)} runs succeeded nonetheless"
    )
    terminalreporter.write_line(summary)
    path = config.getoption("--fault-table")
    if path is not None:
        path.write_text(page(injected, summary))
