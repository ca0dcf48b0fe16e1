"""One local cloud for each worker: brought up by the real command line, shared by its files, ended with a check.

Training takes most of the time, so every run is started at once, when the first test asks for any of them; the tests
then wait for the run they are about.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.running_cloud import Cloud, pack, running_cloud, with_options


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def basic_zip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pack("Basic", tmp_path_factory.mktemp("basic"))


@pytest.fixture(scope="session")
def faulty_zip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pack("Faulty", tmp_path_factory.mktemp("faulty"))


def zip_of(**files: str) -> bytes:
    """A zip of small text files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


# One agent decision ends no episode of Faulty's; these runs are about how they fail, so nothing is learned in them.
SHORT = {"stop": {"env_steps": 64}, "evaluation": {"episodes": 2}}


@pytest.fixture(scope="session")
def dropped(cloud: Cloud, basic_zip: bytes, faulty_zip: bytes) -> None:
    """Everything that is dropped into the bucket, at once: the good build and the bad ones."""
    cloud.drop("builds/Basic.zip", basic_zip)
    cloud.drop("builds/no-zip.zip", b"this is no zip, whatever its name says")
    cloud.drop("builds/no-executable.zip", zip_of(readme__txt="no game in here", data__bin="1234"))
    cloud.drop("builds/bad-options.zip", with_options(basic_zip, {"hyperparameters": {"learning_rate": 0.1}}))
    cloud.drop("builds/dies.zip", with_options(faulty_zip, SHORT | fault("crash-at-start")))
    never = fault("never-connect")
    never["environment"]["startup_timeout_seconds"] = 5
    cloud.drop("builds/never-connects.zip", with_options(faulty_zip, SHORT | never))


def fault(name: str) -> dict[str, Any]:
    """The options that make the sample build Faulty misbehave."""
    return {"environment": {"arguments": ["--fault", name]}}
