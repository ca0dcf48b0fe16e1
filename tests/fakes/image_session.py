"""Hooks of pytest, with --images: both images are built before the first test, and containers start from them.

Without a container engine the tests are skipped, which the end of the output says; in CI they fail.
"""

import os
from typing import Any

import pytest

from local.errors import ImageError
from local.images.build import build_images
from local.progress import Progress
from tests.fakes.started_containers import ROOT, use_images


class ImageSession:
    """The plugin."""

    def __init__(self) -> None:
        self.reason = ""

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Not in a fixture, whose time is a test's: the first build takes minutes."""
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        try:
            use_images(build_images(ROOT, Progress(reporter.write_line if reporter else print)))
        except ImageError as error:
            self.reason = str(error)
            if os.environ.get("CI"):
                pytest.exit(f"The images could not be built, and CI must: {self.reason}", returncode=1)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.reason:
            for item in items:
                item.add_marker(pytest.mark.skip(reason="there are no images"))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.reason:
            terminalreporter.section("THE IMAGES WERE NOT TESTED", sep="=", red=True, bold=True)
            terminalreporter.write_line(self.reason)
