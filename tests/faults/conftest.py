"""A stack or a cloud for each fault, and the page about what was injected and what became of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.fakes.fault_page import (
    CALLS,
    ON_THE_CLOUD,
    Injected,
    LeftOut,
    Survived,
    calls_section,
    cloud_section,
    write_section,
)
from tests.fakes.fault_scenarios import packed_build
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack
from tests.fakes.running_cloud import Cloud, running_cloud

Row = TypeVar("Row")


@pytest.fixture
def stack() -> Iterator[PipelineStack]:
    with pipeline_stack() as made:
        yield made


@pytest.fixture(scope="session")
def basic() -> bytes:
    return packed_build()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, default=None, help="write the tables of faults to this file")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was injected travels as properties of the reports, so that it comes from all workers."""
    injected, failed = _told(terminalreporter, "fault", Injected._make)
    left_out, _ = _told(terminalreporter, "left out", LeftOut._make)
    survived, failed_on_cloud = _told(terminalreporter, "fault on the cloud", Survived._make)
    path = config.getoption("--fault-table")
    if injected:
        summary = (
            f"{len(injected)} faults injected, {len(injected) - failed} survived: nothing lost, doubled or left "
            f"running; {sum(one.outcome == 'SUCCEEDED' for one in injected)} runs succeeded nonetheless"
        )
        terminalreporter.write_line(summary)
        if path is not None:
            write_section(path, CALLS, calls_section(injected, left_out, summary))
    if survived and path is not None and not failed_on_cloud:
        write_section(path, ON_THE_CLOUD, cloud_section(survived))


def _told(terminalreporter: Any, name: str, make: Callable[[Any], Row]) -> tuple[list[Row], int]:
    """What tests told by this name, and how much of it by tests that failed."""
    told: dict[str, list[Row]] = {}
    for outcome in ("passed", "failed"):
        reports = terminalreporter.stats.get(outcome, [])
        properties = [each for report in reports for each in getattr(report, "user_properties", [])]
        told[outcome] = [make(value) for found, value in properties if found == name]
    return [*told["passed"], *told["failed"]], len(told["failed"])
