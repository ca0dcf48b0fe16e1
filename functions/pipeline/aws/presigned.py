"""Presigned URLs: somebody without credentials may read or write one object for a while.

A URL can do no more than the role that signed it, and ends with the role's session if that is sooner.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXPIRES_IN_SECONDS = 3600


def upload_url(client: "S3Client", bucket: str, key: str) -> str:
    """PUT one object of at most 5 GB (S3's limit of a single PUT)."""
    return client.generate_presigned_url(
        "put_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=EXPIRES_IN_SECONDS
    )


def download_url(client: "S3Client", bucket: str, key: str) -> str:
    """GET one object; browsers save it under its own name."""
    file_name = key.rsplit("/", 1)[-1].replace('"', "")
    disposition = f'attachment; filename="{file_name}"'
    return client.generate_presigned_url(
        "get_object",
        Params={"Bucket": bucket, "Key": key, "ResponseContentDisposition": disposition},
        ExpiresIn=EXPIRES_IN_SECONDS,
    )
