from pathlib import Path

import pytest

from tests.fakes.sample_players import unpacked, use_this_interpreter


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_interpreter(monkeypatch)


@pytest.fixture(scope="session")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Basic", tmp_path_factory.mktemp("basic"))


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Faulty", tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="session")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Chaos", tmp_path_factory.mktemp("chaos"))
