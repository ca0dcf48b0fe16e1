"""The page about hostile uploads, as the tests found them refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.upload_page import Refused, page


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--uploads-table", type=Path, default=None, help="write the table of uploads to this file")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was refused travels as properties of the reports, so that it comes from all workers, and in their order."""
    reports = terminalreporter.stats.get("passed", [])
    properties = [each for report in reports for each in getattr(report, "user_properties", [])]
    refused = [Refused._make(value) for name, value in properties if name == "refused upload"]
    path = config.getoption("--uploads-table")
    if refused and path is not None and not terminalreporter.stats.get("failed"):
        path.write_text(page(refused), encoding="utf-8")
        terminalreporter.write_line(f"{len(refused)} uploads refused: {path}")
