"""The control API's builds: how one comes into the bucket without AWS credentials, which there are, and how one goes.

A build lies at `uploads/<build_id>/<file name>`, where nothing starts a run.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from pipeline.aws import clients, presigned
from pipeline.aws.objects import ObjectStore, StoredObject
from pipeline.aws.uploads import ArrivedPart, OpenUpload, Uploads
from pipeline.contracts.api import (
    Build,
    BuildPage,
    DeletedBuild,
    MultipartTicket,
    PartUrls,
    UploadPart,
    UploadRequest,
    UploadTicket,
)
from pipeline.errors import BuildNotFoundError, ConflictError, InvalidRequestError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "uploads/"

PART_SIZE_BYTES = 64 * 1024**2
"""1,600 parts of the largest build; S3 takes 10,000, of 5 MiB at least."""

MAX_PARTS = 10_000
FIRST_PARTS = 100
"""So many URLs come with the ticket; of a build of 6.4 GB, all."""

_BUILD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Builds:
    """The builds that were uploaded by way of this API.

    Every method raises ThrottledError or ServiceUnavailableError when S3 cannot answer; the call may be repeated.
    """

    s3: "S3Client"
    bucket: str
    objects: ObjectStore
    uploads: Uploads

    def new(self, request: UploadRequest) -> UploadTicket | MultipartTicket:
        """A key of its own, and where to PUT the zip, as a whole or in parts."""
        build_id = uuid4().hex
        key = f"{PREFIX}{build_id}/{request.file_name}"
        if request.size_bytes is None:
            return UploadTicket(
                build_id=build_id,
                key=key,
                upload_url=presigned.upload_url(self.s3, self.bucket, key),
                expires_in_seconds=presigned.EXPIRES_IN_SECONDS,
            )
        upload = self.uploads.begin(key)
        count = -(-request.size_bytes // PART_SIZE_BYTES)
        return MultipartTicket(
            build_id=build_id,
            key=key,
            part_size_bytes=PART_SIZE_BYTES,
            part_count=count,
            parts=self._part_urls(upload, 1, min(count, FIRST_PARTS)),
            expires_in_seconds=presigned.EXPIRES_IN_SECONDS,
        )

    def part_urls(self, build_id: str, first: int, count: int) -> PartUrls:
        """Where to PUT these parts.

        Raises:
            BuildNotFoundError: there is no such build.
            ConflictError: it is not, or no longer, in parts.
        """
        parts = self._part_urls(self._open(build_id), first, count)
        return PartUrls(parts=parts, expires_in_seconds=presigned.EXPIRES_IN_SECONDS)

    def complete(self, build_id: str, size_bytes: int) -> Build:
        """Put the parts together; a build that is complete stays as it is.

        Raises:
            BuildNotFoundError: there is no such build.
            ConflictError: parts are missing, have another size, or add up to something else.
        """
        upload = self.uploads.find(_prefix(build_id))
        if upload is not None:
            parts = self.uploads.parts(upload)
            _check_whole(parts, size_bytes)
            self.uploads.complete(upload, parts)
        build = _of_object(self._stored(build_id))
        if build.size_bytes != size_bytes:
            raise ConflictError(f"The build has {build.size_bytes} bytes, not {size_bytes}.", "Upload it anew.")
        return build

    def get(self, build_id: str) -> Build:
        """One build.

        Raises:
            BuildNotFoundError: there is no such build.
        """
        upload = self.uploads.find(_prefix(build_id))
        if upload is None:
            return _of_object(self._stored(build_id))
        parts = self.uploads.parts(upload)
        return Build(
            build_id=build_id,
            key=upload.key,
            status="UPLOADING",
            size_bytes=sum(part.size_bytes for part in parts),
            parts=tuple(part.number for part in parts),
        )

    def list(self, limit: int, next_token: str | None) -> BuildPage:
        """Builds by key.

        Raises:
            InvalidRequestError: the token is none of ours.
        """
        found = self.objects.stored(PREFIX, limit, _decode(next_token) if next_token else "")
        token = _encode(found[-1].key) if len(found) == limit else None
        return BuildPage(builds=tuple(map(_of_object, found)), next_token=token)

    def delete(self, build_id: str) -> DeletedBuild:
        """Remove a build, or give up one in parts.

        Raises:
            BuildNotFoundError: there is no such build.
        """
        upload = self.uploads.find(_prefix(build_id))
        if upload is not None:
            self.uploads.give_up(upload)
        else:
            self._stored(build_id)
            self.objects.delete_all(_prefix(build_id))
        return DeletedBuild(build_id=build_id)

    def _open(self, build_id: str) -> OpenUpload:
        upload = self.uploads.find(_prefix(build_id))
        if upload is None:
            self._stored(build_id)
            raise ConflictError(f"The build {build_id} is complete.", "Name its key in a training request.")
        return upload

    def _part_urls(self, upload: OpenUpload, first: int, count: int) -> tuple[UploadPart, ...]:
        return tuple(
            UploadPart(number=number, upload_url=self.uploads.part_url(upload, number))
            for number in range(first, min(first + count, MAX_PARTS + 1))
        )

    def _stored(self, build_id: str) -> StoredObject:
        found = self.objects.stored(_prefix(build_id), 1)
        if not found:
            raise BuildNotFoundError(f"There is no build {build_id}.", "List the builds, or upload it first.")
        return found[0]


def connect(bucket: str) -> Builds:
    """The builds in a bucket."""
    s3 = clients.s3()
    return Builds(s3, bucket, ObjectStore(s3, bucket), Uploads(s3, bucket))


def _prefix(build_id: str) -> str:
    if not _BUILD_ID.fullmatch(build_id):
        raise BuildNotFoundError(f"{build_id!r:.80} is no build's id.", "List the builds to find the id.")
    return f"{PREFIX}{build_id}/"


def _of_object(found: StoredObject) -> Build:
    first = found.key.removeprefix(PREFIX).partition("/")[0]
    return Build(
        build_id=first if _BUILD_ID.fullmatch(first) else None,
        key=found.key,
        size_bytes=found.size_bytes,
        uploaded_at=found.modified_at,
    )


def _check_whole(parts: tuple[ArrivedPart, ...], size_bytes: int) -> None:
    """Refuse to make a zip with a hole in it, without its end, or of parts that have changed places."""
    there = {part.number for part in parts}
    wanted = -(-size_bytes // PART_SIZE_BYTES)
    missing = [number for number in range(1, wanted + 1) if number not in there]
    if missing:
        named = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
        raise ConflictError(
            f"{len(missing)} of {wanted} parts have not come: {named}.",
            "PUT them, by URLs of POST /builds/{build_id}/parts, and complete the build then.",
        )
    remedy = f"Send parts of {PART_SIZE_BYTES} bytes, the last one what is left, each by its own number."
    given = sum(part.size_bytes for part in parts)
    if given != size_bytes:
        raise ConflictError(f"The parts have {given} bytes together, not {size_bytes}.", remedy)
    for part in parts[:-1]:  # in another order they have the same sum
        if part.size_bytes != PART_SIZE_BYTES:
            raise ConflictError(f"Part {part.number} has {part.size_bytes} bytes, not {PART_SIZE_BYTES}.", remedy)


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _decode(token: str) -> str:
    try:
        key = base64.b64decode(token, altchars=b"-_", validate=True).decode()
        if key.startswith(PREFIX):
            return key
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequestError("next_token is none that this API gave.", "Leave it out to begin anew.")
