"""S3, in the emulator: how data comes to a container and how its results leave it, as SageMaker does both."""

import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from local.aws import client_arguments, isolated_session
from local.sagemaker.config import ServiceConfig
from local.sagemaker.errors import JobFailedError

_FAILURES = (ClientError, BotoCoreError, Boto3Error, OSError)
"""What boto3 raises when S3 cannot be reached or refuses, or a file cannot be read or written."""


def emulator_client(config: ServiceConfig, service: str) -> Any:
    """A boto3 client of the emulator that sees nothing of the user's own AWS configuration."""
    arguments = {**client_arguments(config.emulator_url), "region_name": config.region}
    session: Any = isolated_session()  # its stubs want a literal service name
    return session.client(service, **arguments)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        raise JobFailedError(f"ClientError: Only s3:// URIs can be read by the local service, not {uri!r}.")
    return parts.netloc, parts.path.removeprefix("/")


class Objects:
    """Transfers between S3 and folders. Every error is a JobFailedError in the words of a FailureReason."""

    def __init__(self, config: ServiceConfig) -> None:
        self._client = emulator_client(config, "s3")

    def download_prefix(
        self, uri: str, into: Path, *, role_arn: str, cancelled: Callable[[], bool], shard: tuple[int, int] = (0, 1)
    ) -> None:
        """All objects that begin with the URI (S3Prefix); a single object lands under its base name.

        `shard`: number and count of the hosts among which the objects are divided (ShardedByS3Key).

        Raises:
            JobFailedError: nothing is there, or it cannot be read.
        """
        into.mkdir(parents=True, exist_ok=True)
        found = self.download_tree(uri, into, cancelled=cancelled, shard=shard)
        if not found and not cancelled():
            bucket, _ = split_uri(uri)
            raise JobFailedError(
                f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input data '
                f"source. Please ensure that the bucket exists in the selected region, that objects exist under that "
                f'S3 prefix, and that the role "{role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
            )

    def download_tree(
        self,
        uri: str,
        into: Path,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        shard: tuple[int, int] = (0, 1),
    ) -> int:
        """The same for a prefix that may be empty; returns the number of objects, those of other shards included.

        Raises:
            JobFailedError: it cannot be read.
        """
        bucket, prefix = split_uri(uri)
        count = 0
        try:
            for key in self._keys(bucket, prefix):
                if cancelled():
                    break
                count += 1
                if (count - 1) % shard[1] != shard[0]:
                    continue
                target = inside(into, relative_name(prefix, key))
                target.parent.mkdir(parents=True, exist_ok=True)
                self._client.download_file(bucket, key, str(target))
        except _FAILURES as error:
            raise JobFailedError(f"ClientError: Data download failed: {uri}: {error}") from error
        return count

    def download_file(self, uri: str, target: Path) -> None:
        """One object.

        Raises:
            JobFailedError: it is not there or cannot be read.
        """
        bucket, key = split_uri(uri)
        try:
            self._client.download_file(bucket, key, str(target))
        except _FAILURES as error:
            raise JobFailedError(f"ClientError: Data download failed: {uri}: {error}") from error

    def upload_file(self, source: Path, uri: str) -> None:
        """One file.

        Raises:
            JobFailedError: it cannot be written.
        """
        bucket, key = split_uri(uri)
        try:
            self._client.upload_file(str(source), bucket, key)
        except _FAILURES as error:
            raise JobFailedError(f"ClientError: Artifact upload failed: {uri}: {error}") from error

    def delete(self, uri: str) -> None:
        """Delete one object.

        Raises:
            JobFailedError: it cannot be deleted.
        """
        bucket, key = split_uri(uri)
        try:
            self._client.delete_object(Bucket=bucket, Key=key)
        except _FAILURES as error:
            raise JobFailedError(f"ClientError: Artifact upload failed: {uri}: {error}") from error

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):  # the console's "folders"
                    yield entry["Key"]


def relative_name(prefix: str, key: str) -> str:
    """Where an object of a prefix lands: `a/b` -> `a/b/c/d` as `c/d`, `a/b` itself as `b`, `a/bc/d` as `bc/d`."""
    rest = key[len(prefix) :]
    if prefix.endswith("/") or rest.startswith("/"):
        return rest.lstrip("/")
    return key[len(posixpath.dirname(prefix)) :].lstrip("/")


def inside(folder: Path, name: str) -> Path:
    """The path of `name` below `folder`.

    Raises:
        JobFailedError: it would lie elsewhere.
    """
    target = Path(os.path.normpath(folder / name))
    if not target.is_relative_to(folder):
        raise JobFailedError(f"ClientError: The object name {name!r} leaves the folder it belongs to.")
    return target


def pack(folders: Sequence[Path], target: Path) -> None:
    """Write what folders contain as one tar.gz; a name that several have is the first one's.

    Compression is kept light, because the next step waits for it.
    """
    packed: set[str] = set()
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                if name not in packed:
                    archive.add(path, arcname=name, recursive=False)
                    packed.add(name)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a model.tar.gz.

    Raises:
        JobFailedError: it is no such archive, or it would write outside the folder.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:*") as content:
            content.extractall(into, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise JobFailedError(f"ClientError: The model data archive cannot be unpacked: {error}") from error
