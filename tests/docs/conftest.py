"""What a reader of the pages has at hand: a checkout, tools, a local cloud, and builds of a game."""

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.connection import local_api_url
from tests.docs.blocks import REPOSITORY
from tests.fakes.running_cloud import Cloud, pack, running_cloud

OWN = ("build", "demo-output", "results", ".gamedojo", ".aws-sam")
"""What commands write at the root of a checkout: not shared with the one that the tests run in."""

TOOLS = (".venv/bin", ".venv-clients/bin", ".venv-sam/bin")
"""As `source .venv/bin/activate` has it; the `aws` and `sam` that a reader has installed."""


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def game(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A zip of a build, in the part of the reader's own."""
    return pack("Basic", tmp_path_factory.mktemp("game"))


def share_environment(existing: Path, shared: Path) -> None:
    """The same environment at another place, up to date to `make`: it must not install anew into what others use."""
    shared.mkdir()
    for entry in existing.iterdir():
        if entry.name in (".done", ".torch"):
            (shared / entry.name).touch()
        else:
            (shared / entry.name).symlink_to(entry)


@pytest.fixture
def checkout(tmp_path: Path, cloud: Cloud, game: bytes) -> Path:
    """A fresh folder that looks like a checkout, with MyGame.zip in it, and in Builds/MyGame what it was made of."""
    folder = tmp_path / "gamedojo"
    folder.mkdir()
    for entry in REPOSITORY.iterdir():
        if entry.name.startswith(".venv"):
            share_environment(entry, folder / entry.name)
        elif entry.name not in OWN and not entry.name.startswith((".git", ".hypothesis", ".pytest_cache")):
            (folder / entry.name).symlink_to(entry)
    (folder / ".gamedojo").symlink_to(cloud.state_dir)
    unpacked = folder / "Builds/MyGame"
    with zipfile.ZipFile(io.BytesIO(game)) as archive:
        archive.extractall(unpacked)
    for program in unpacked.glob("*.x86_64"):
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    shutil.make_archive(str(folder / "MyGame"), "zip", folder / "Builds", "MyGame")
    return folder


@pytest.fixture
def environment(tmp_path: Path, checkout: Path, cloud: Cloud) -> dict[str, str]:
    """The variables that the pages speak of, as `make local` has printed them; nothing of the user's own."""
    connection = cloud.connection
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName=connection["stack_name"])["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    path = os.pathsep.join([*(str(checkout / tools) for tools in TOOLS), os.environ["PATH"]])
    return {
        "PATH": path,
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "GAMEDOJO_STATE_DIR": str(cloud.state_dir),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_PAGER": "",
        "AWS_ENDPOINT_URL": connection["endpoint_url"],
        "AWS_ENDPOINT_URL_SAGEMAKER": connection["sagemaker_url"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
        "AWS_DEFAULT_REGION": connection["region"],
        "CONTROL_URL": connection["control_url"],
        "CONTROL_KEY": connection["control_key"],
        "PREDICT_URL": connection["predict_url"],
        "PREDICT_KEY": connection["predict_key"],
        "PREDICT_KEY_ID": outputs["PredictApiKeyId"],
        "OPERATOR_URL": local_api_url(outputs["OperatorApiUrl"], connection["endpoint_url"]),
    }
