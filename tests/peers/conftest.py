from collections.abc import Iterator

import pytest

from sample_builds.catalog import SAMPLE_BUILDS
from tests.fakes.sample_players import use_this_interpreter
from tests.peers.reference import Builds


@pytest.fixture(autouse=True, scope="session")
def _interpreter() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_this_interpreter(monkeypatch)
        yield


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("builds"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that ask for `build` are held for every sample build but the one of faults."""
    if "build" in metafunc.fixturenames:
        metafunc.parametrize("build", [name for name in SAMPLE_BUILDS if name != "Faulty"], scope="session")
