import pytest

from tests.fakes.sample_players import use_this_interpreter


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_interpreter(monkeypatch)
