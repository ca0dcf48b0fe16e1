"""Both images, built before the first test (tests/fakes/image_session.py), and what was measured of them."""

from collections.abc import Callable
from typing import Any

import pytest

from local.images.build import Images
from tests.fakes.started_containers import images_in_use

_MEASURED = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture(scope="session")
def images() -> Images:
    found = images_in_use()
    if found is None:
        pytest.skip("`make test-image` builds the images (pytest --images)")
    return found


@pytest.fixture(scope="session")
def measure(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """Notes a figure for the end of the output: it says something of this machine too, so no test judges by it."""
    figures = pytestconfig.stash.setdefault(_MEASURED, [])
    return lambda what, figure: figures.append((what, figure))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    figures = config.stash.get(_MEASURED, [])
    if figures:
        terminalreporter.section("measured")
        for what, figure in figures:
            terminalreporter.write_line(f"{what:<60} {figure}")
