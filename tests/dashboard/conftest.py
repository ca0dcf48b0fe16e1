"""One local cloud and one window of Chromium for the whole session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.browser import DESKTOP, Browser, chromium
from tests.fakes.dashboard_page import Dashboard
from tests.fakes.running_cloud import Cloud, pack, running_cloud


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, default=None, help="folder that the screenshots are written to")


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen: Path | None = request.config.getoption("--pictures")
    return chosen or tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def basic_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("basic")
    pack("Basic", folder)
    return folder / "Basic.zip"


@pytest.fixture(scope="session")
def window() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def dashboard(window: Browser, cloud: Cloud) -> Iterator[Dashboard]:
    made = Dashboard(window, cloud)
    window.size(*DESKTOP)
    window.dark(False)
    made.enter_key()
    yield made
    made.quiet_console()
