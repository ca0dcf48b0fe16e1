"""Objects: versions, ranges, streams, and errors by their kind."""

import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.aws.objects import ObjectStore
from pipeline.contracts.states import RunReference
from pipeline.errors import BuildNotFoundError, PipelineError, ServiceUnavailableError, ThrottledError
from tests.fakes.control_stack import BUCKET, REGION, Stack
from tests.fakes.unity_zips import build

BODY = bytes(range(256)) * 8


def test_a_copy_is_of_the_version_that_is_named(stack: Stack, objects: ObjectStore) -> None:
    first = stack.put("builds/Basic.zip", b"first")
    stack.put("builds/Basic.zip", b"second")
    objects.copy("builds/Basic.zip", "runs/1/build.zip", first)
    objects.copy("builds/Basic.zip", "runs/2/build.zip")
    assert objects.read("runs/1/build.zip") == b"first"
    assert objects.read("runs/2/build.zip") == b"second"


@pytest.mark.parametrize("key", ["builds/My Game+1 (2) ü%20.zip", "builds/a/b.zip"])
def test_keys_are_taken_as_they_are(objects: ObjectStore, key: str) -> None:
    objects.write(key, b"x")
    objects.copy(key, "copy")
    assert objects.read("copy") == b"x"
    assert objects.head(key).size_bytes == 1


def test_head_knows_size_version_and_the_etag_without_quotes(stack: Stack, objects: ObjectStore) -> None:
    version = stack.put("k", b"hello")
    head = objects.head("k")
    assert (head.size_bytes, head.version_id, head.etag) == (5, version, "5d41402abc4b2a76b9719d911017c592")


def test_a_document_is_json_and_comes_back(stack: Stack, objects: ObjectStore) -> None:
    document = RunReference(run_id="r", policy="p", bucket="b", build_key="k")
    objects.write_document("d.json", document)
    assert RunReference.model_validate_json(objects.read("d.json")) == document
    assert stack.s3.head_object(Bucket=BUCKET, Key="d.json")["ContentType"] == "application/json"


def test_a_file_goes_up_with_its_type(stack: Stack, objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "curve.png").write_bytes(b"\x89PNG")
    objects.upload(tmp_path / "curve.png", "curve.png", "image/png")
    assert objects.read("curve.png") == b"\x89PNG"
    assert stack.s3.head_object(Bucket=BUCKET, Key="curve.png")["ContentType"] == "image/png"


def test_a_stream_gives_the_bytes_one_after_the_other(objects: ObjectStore) -> None:
    objects.write("k", BODY)
    with objects.stream("k") as stream:
        assert stream.read(10) == BODY[:10]
        assert stream.read() == BODY[10:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.integers(-len(BODY), len(BODY) + 10), st.integers(-1, 600)), max_size=6
    )
)
def test_a_file_read_by_ranges_is_like_one_on_disk(
    objects: ObjectStore, tmp_path: Path, steps: list[tuple[int, int, int]]
) -> None:
    objects.write("k", BODY)
    (tmp_path / "k").write_bytes(BODY)
    with (tmp_path / "k").open("rb") as expected, objects.random_access("k") as file:
        for whence, offset, size in steps:
            outcomes = []
            for one in (expected, file):
                try:
                    outcomes.append((one.seek(offset, whence), one.read(size), one.tell()))
                except OSError:
                    outcomes.append((None, b"", None))
            assert outcomes[0] == outcomes[1]


def test_a_zip_is_inspected_without_reading_it_whole(objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = zipfile.ZipInfo("Game_Data/level0")
    body = build(more=[(filler, bytes(3_000_000))])
    assert len(body) > 2_000_000, "stored, not compressed"
    objects.write("k", body)
    read = []
    original = ObjectStore.read_range

    def counted(store: ObjectStore, key: str, start: int, length: int) -> bytes:
        read.append(length)
        return original(store, key, start, length)

    monkeypatch.setattr(ObjectStore, "read_range", counted)
    with objects.random_access("k") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("Game.x86_64").startswith(b"#!")
    assert sum(read) < len(body) / 2


@pytest.mark.parametrize("call", ["head", "read", "copy", "stream", "random_access", "read_range"])
def test_a_key_that_is_not_there(objects: ObjectStore, call: str) -> None:
    def use() -> None:
        if call == "copy":
            objects.copy("nothing", "target")
        elif call == "stream":
            with objects.stream("nothing"):
                pass
        elif call == "read_range":
            objects.read_range("nothing", 0, 1)
        else:
            getattr(objects, call)("nothing")

    with pytest.raises(BuildNotFoundError, match="nothing"):
        use()


def test_a_version_that_was_deleted(stack: Stack, objects: ObjectStore) -> None:
    version = stack.put("k", b"x")
    stack.s3.delete_object(Bucket=BUCKET, Key="k", VersionId=version)
    with pytest.raises(BuildNotFoundError):
        objects.copy("k", "target", version)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("SlowDown", 503, ThrottledError),
        ("InternalError", 500, ServiceUnavailableError),
        ("AccessDenied", 403, PipelineError),
        ("OperationAborted", 409, ServiceUnavailableError),
        ("NoSuchKey", 404, BuildNotFoundError),
        ("NoSuchBucket", 404, PipelineError),
    ],
)
def test_s3s_faults_are_told_apart(code: str, status: int, error: type[PipelineError]) -> None:
    client = boto3.client("s3", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_object", code, http_status_code=status)
        with pytest.raises(PipelineError) as caught:
            ObjectStore(client, "bucket").read("k")
    assert type(caught.value) is error
