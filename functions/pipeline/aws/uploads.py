"""Uploads in parts: S3's multipart uploads.

S3 itself keeps what has come of an upload: nothing of it is written down beside.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.presigned import EXPIRES_IN_SECONDS
from pipeline.aws.translation import error_code, translate
from pipeline.contracts.base import Contract
from pipeline.errors import BuildNotFoundError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class OpenUpload(Contract):
    """An upload in parts that is neither completed nor given up."""

    key: str
    upload_id: str


class ArrivedPart(Contract):
    """A part that is there."""

    number: int
    etag: str
    size_bytes: int


class Uploads:
    """Of one bucket. Methods raise ThrottledError or ServiceUnavailableError when S3 cannot answer."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def begin(self, key: str) -> OpenUpload:
        """Begin one."""
        with _translated(key):
            answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType="application/zip")
        return OpenUpload(key=key, upload_id=answer["UploadId"])

    def find(self, prefix: str) -> OpenUpload | None:
        """The one whose key begins so."""
        with _translated(prefix):
            answer = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, MaxUploads=1)
        found = [OpenUpload(key=one["Key"], upload_id=one["UploadId"]) for one in answer.get("Uploads", [])]
        return found[0] if found else None

    def part_url(self, upload: OpenUpload, number: int) -> str:
        """Where to PUT a part, for a while; a part that comes twice replaces the first."""
        return self._client.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self._bucket,
                "Key": upload.key,
                "UploadId": upload.upload_id,
                "PartNumber": number,
            },
            ExpiresIn=EXPIRES_IN_SECONDS,
        )

    def parts(self, upload: OpenUpload) -> tuple[ArrivedPart, ...]:
        """What has come so far, by number.

        Raises:
            BuildNotFoundError: it was completed or given up meanwhile.
        """
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
        )
        with _translated(upload.key):
            listed = [part for page in pages for part in page.get("Parts", [])]
        return tuple(ArrivedPart(number=p["PartNumber"], etag=p["ETag"], size_bytes=p["Size"]) for p in listed)

    def complete(self, upload: OpenUpload, parts: Sequence[ArrivedPart]) -> None:
        """Make one object of the parts.

        Raises:
            BuildNotFoundError: it was completed or given up meanwhile.
        """
        with _translated(upload.key):
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]},
            )

    def give_up(self, upload: OpenUpload) -> None:
        """Throw away what has come.

        Raises:
            BuildNotFoundError: it was completed or given up meanwhile.
        """
        with _translated(upload.key):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if error_code(error) == "NoSuchUpload":
            cause = f"The upload of {key} is over."
            raise BuildNotFoundError(cause, "Begin a new one, or look for the build.") from error
        raise translate("S3", error) from error
