"""The control API's way to bring a build into the bucket without AWS credentials."""

from typing import TYPE_CHECKING
from uuid import uuid4

from pipeline.aws import presigned
from pipeline.contracts.api import UploadRequest, UploadTicket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def new_upload(s3: "S3Client", bucket: str, request: UploadRequest) -> UploadTicket:
    """A key of its own below `uploads/`, where nothing starts a run, and a URL to PUT the zip to."""
    key = f"uploads/{uuid4().hex}/{request.file_name}"
    return UploadTicket(
        key=key,
        upload_url=presigned.upload_url(s3, bucket, key),
        expires_in_seconds=presigned.EXPIRES_IN_SECONDS,
    )
