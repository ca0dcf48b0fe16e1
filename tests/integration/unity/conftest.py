from collections.abc import Iterator

import pytest

from tests.fakes.api_server import FakeApi
from tests.fakes.unity_client import UnityClient, compile_client


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> UnityClient:
    return compile_client(tmp_path_factory.mktemp("unity-client"))


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi().running() as running:
        yield running
