from collections.abc import Iterator

import pytest

from tests.fakes.api_server import FakeApi


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi().running() as running:
        yield running
