"""A stack for each test, and builds to drop into it."""

from collections.abc import Iterator

import pytest

from sample_builds.packer import pack
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack


@pytest.fixture
def stack() -> Iterator[PipelineStack]:
    with pipeline_stack() as made:
        yield made


@pytest.fixture(scope="session")
def basic(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pack("Basic", tmp_path_factory.mktemp("basic")).read_bytes()
