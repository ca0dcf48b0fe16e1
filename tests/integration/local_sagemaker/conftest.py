"""One emulator and one service for all tests of a worker; a test that needs its own config starts its own service."""

from collections.abc import Iterator

import pytest

from tests.fakes.sagemaker_cloud import Cloud, emulator, service


@pytest.fixture(scope="session")
def emulator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("emulator")) as url:
        yield url


@pytest.fixture(scope="session")
def cloud(emulator_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with service(tmp_path_factory.mktemp("service"), emulator_url) as running:
        yield running
