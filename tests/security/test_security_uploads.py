"""Every hostile or broken upload is refused in words: by InspectBuild, and by the container as it unpacks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.errors import BuildNotFoundError, InputError
from pipeline.settings import PriceSettings
from pipeline.steps.admission import Admission, admit
from pipeline.steps.building import inspect_build
from rl_src.envs.build import unpack_build
from rl_src.envs.errors import BuildError
from tests.fakes.control_stack import BUCKET, Stack, control_stack, moto_client
from tests.fakes.hostile_uploads import UPLOADS, Upload
from tests.fakes.upload_page import Refused

NAMED = {upload.what: upload for upload in UPLOADS}
KEY = "builds/game.zip"


@dataclass
class Pipeline:
    """The first two states, from the upload on."""

    stack: Stack
    objects: ObjectStore
    runs: RunsTable

    def inspect(self, run_id: str, body: bytes) -> None:
        version_id = self.stack.put(KEY, body)
        admission = Admission(run_id=run_id, policy="game", source_key=KEY, version_id=version_id, options=None)
        run = admit(f"arn:execution:{run_id}", admission, self.objects, self.runs)
        inspect_build(run, "InspectBuild", PriceSettings.from_environment(), self.objects, self.runs)


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with control_stack() as stack:
        runs = RunsTable(moto_client("dynamodb"), stack.environment["RUNS_TABLE"])
        yield Pipeline(stack, ObjectStore(stack.s3, BUCKET), runs)


def test_there_are_enough_of_them_and_no_two_are_the_same() -> None:
    assert len(NAMED) == len(UPLOADS) >= 60


@pytest.mark.parametrize("what", NAMED)
def test_it_is_refused_before_anything_is_paid_for(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None], what: str
) -> None:
    upload = NAMED[what]
    body = upload.make()
    with pytest.raises(InputError) as caught:
        pipeline.inspect(f"game-{UPLOADS.index(upload)}", body)
    assert caught.value.code() == upload.code
    assert upload.says in caught.value.cause
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000, "it goes into a message, not into a book"
    assert "\n" not in caught.value.cause
    container = unpacked(upload, body, tmp_path)
    assert container == upload.container
    record_property(
        "refused upload", list(Refused(what, upload.code, caught.value.cause, caught.value.remedy, container or ""))
    )


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("builds/3DBall", "make sample-builds"),
        ("uploads/Basic.zip", "make sample-builds"),
        ("builds/Crawler.zip", "gamedojo registry mirror Crawler"),
        ("builds/mine.zip", "Upload the build first"),
    ],
)
def test_an_id_of_the_registry_is_told_from_a_build_that_is_gone(pipeline: Pipeline, key: str, words: str) -> None:
    with pytest.raises(BuildNotFoundError) as caught:
        pipeline.objects.head(key)
    assert words in caught.value.remedy


def unpacked(upload: Upload, body: bytes, folder: Path) -> str | None:
    """The code of the container's refusal, which leaves nothing behind; None where it takes the build."""
    (folder / "game.zip").write_bytes(body)
    try:
        unpack_build(folder / "game.zip", folder / "into")
    except BuildError as error:
        assert {path.name for path in folder.iterdir()} <= {"game.zip"}, upload.what
        return error.code
    return None
