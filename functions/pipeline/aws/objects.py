"""Objects in the stack's bucket."""

import errno
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.translation import error_code, translate
from pipeline.contracts.registry import remedy_of_missing_build
from pipeline.errors import BuildNotFoundError, PipelineError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.manager import TransferManager

    from pipeline.contracts.base import Contract

_NOT_FOUND = {"NoSuchKey", "NoSuchVersion", "404"}
_OURS = ("runs/", "policies/")
_REMEDY_OF_OURS = "Somebody or a lifecycle rule has removed what a run had put there: start a new run."
_BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True)
class ObjectHead:
    """What S3 says of an object without its content."""

    size_bytes: int
    etag: str
    version_id: str | None


@dataclass(frozen=True)
class StoredObject:
    """One object, as a listing tells it."""

    key: str
    size_bytes: int
    modified_at: datetime


class ObjectStore:
    """One bucket.

    Every method raises BuildNotFoundError for a key that does not exist, ThrottledError or ServiceUnavailableError when
    S3 cannot answer.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def head(self, key: str, version_id: str | None = None) -> ObjectHead:
        """Size and version."""
        with self._translated(key):
            version = {"VersionId": version_id} if version_id else {}
            answer = self._client.head_object(Bucket=self.bucket, Key=key, **version)  # type: ignore[arg-type]
        return ObjectHead(
            size_bytes=answer["ContentLength"],
            etag=answer["ETag"].strip('"'),
            version_id=answer.get("VersionId") or None,
        )

    def read(self, key: str) -> bytes:
        """The whole object; for documents, not for builds."""
        with self._translated(key):
            return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def write(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Write or replace."""
        with self._translated(key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def write_document(self, key: str, document: "Contract") -> None:
        """Write a contract as JSON."""
        self.write(key, document.model_dump_json(indent=2).encode(), "application/json")

    def upload(self, path: Path, key: str, content_type: str = "application/octet-stream") -> None:
        """Upload a file, in parts when it is large."""
        with self._translated(key), path.open("rb") as file, self._transfers() as transfers:
            transfers.upload(file, self.bucket, key, {"ContentType": content_type}).result()

    def copy(self, source_key: str, target_key: str, version_id: str | None = None) -> None:
        """Copy inside the bucket, in parts when it is larger than CopyObject's 5 GB."""
        source = {"Bucket": self.bucket, "Key": source_key} | ({"VersionId": version_id} if version_id else {})
        with self._translated(source_key), self._transfers() as transfers:
            transfers.copy(source, self.bucket, target_key).result()

    @contextmanager
    def stream(self, key: str) -> Iterator[BinaryIO]:
        """The object's bytes one after the other, without the whole in memory."""
        with self._translated(key):  # the connection may also break while the caller reads
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            try:
                yield cast(BinaryIO, body)
            finally:
                body.close()

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is fine. The bucket keeps replaced versions for a while."""
        with self._translated(key):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def delete_all(self, prefix: str) -> None:
        """Remove every object below the prefix."""
        with self._translated(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    self._client.delete_object(Bucket=self.bucket, Key=entry["Key"])

    def stored(self, prefix: str, limit: int = 1000, after: str = "") -> tuple[StoredObject, ...]:
        """At most `limit` (1000) objects below the prefix whose keys come after `after`, by key."""
        with self._translated(prefix):
            answer = self._client.list_objects_v2(
                Bucket=self.bucket, Prefix=prefix, MaxKeys=limit, StartAfter=after or prefix
            )
        return tuple(
            StoredObject(key=one["Key"], size_bytes=one["Size"], modified_at=one["LastModified"])
            for one in answer.get("Contents", [])
        )

    def sha256(self, key: str) -> str:
        """SHA-256 of the object's bytes, in hexadecimal: what `sha256sum` says of the file."""
        digest = hashlib.sha256()
        with self.stream(key) as body:
            while block := body.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def random_access(self, key: str) -> BinaryIO:
        """The object as a seekable file that is read by ranges, as `zipfile` needs it."""
        return cast(BinaryIO, io.BufferedReader(_RangedObject(self, key), _BLOCK_BYTES))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes from `start`."""
        with self._translated(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{start + length - 1}")
            return answer["Body"].read()

    def _transfers(self) -> "TransferManager":
        """What moves large objects in parts; what only reads does not wait for its import."""
        from s3transfer.manager import TransferManager

        return TransferManager(self._client)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise self._error(key, error) from error

    def _error(self, key: str, error: ClientError | BotoCoreError) -> PipelineError:
        if error_code(error) in _NOT_FOUND:
            remedy = _REMEDY_OF_OURS if key.startswith(_OURS) else remedy_of_missing_build(key)
            return BuildNotFoundError(f"There is no object {key} in the bucket {self.bucket}.", remedy)
        return translate("S3", error)


class _RangedObject(io.RawIOBase):
    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._size = store.head(key).size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            # as a file on disk does; zipfile takes it for "too short to be a zip"
            raise OSError(errno.EINVAL, "a position before the beginning")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        length = min(len(view), self._size - self._position)
        if length <= 0:
            return 0
        data = self._store.read_range(self._key, self._position, length)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
