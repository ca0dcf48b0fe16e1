"""Builds: zips that were uploaded, as a whole or in parts."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class BuildUpload:
    """Where to PUT a build as a whole, and the key that a training request names it by."""

    key: str
    upload_url: str = field(repr=False)
    method: str = "PUT"
    build_id: str = ""
    expires_in_seconds: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UploadPart:
    """Where to PUT one part; numbers begin at 1."""

    number: int
    upload_url: str = field(repr=False)


@dataclass(frozen=True)
class MultipartUpload:
    """Where to PUT the first parts of a build; every part but the last has `part_size_bytes`."""

    build_id: str
    key: str
    part_size_bytes: int
    part_count: int
    parts: tuple[UploadPart, ...] = ()
    method: str = "MULTIPART"
    expires_in_seconds: int | None = None


@dataclass(frozen=True)
class PartUrls:
    """Where to PUT more parts."""

    parts: tuple[UploadPart, ...]
    expires_in_seconds: int | None = None


@dataclass(frozen=True)
class Build:
    """An uploaded zip. While it is UPLOADING, `size_bytes` is what has come so far, and `parts` tells which parts."""

    key: str
    size_bytes: int
    build_id: str | None = None
    status: str = "READY"
    uploaded_at: datetime | None = None
    parts: tuple[int, ...] = ()
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_ready(self) -> bool:
        """True once the whole zip is there."""
        return self.status == "READY"


@dataclass(frozen=True)
class BuildPage:
    """Some builds, by key; `next_token` asks for more."""

    builds: tuple[Build, ...]
    next_token: str | None = None


@dataclass(frozen=True)
class DeletedBuild:
    """The build that is gone."""

    build_id: str


@dataclass(frozen=True)
class DeletedEnvironment:
    """The mirrored environment that is gone."""

    environment: str


@dataclass(frozen=True)
class RegistryEntry:
    """An environment of a registry that was mirrored; a run may name it by its id. `sha256` is its zip's."""

    environment: str
    key: str
    sha256: str
    size_bytes: int
    source: str = ""
    arguments: tuple[str, ...] = ()
    expected_return: float | None = None
    description: str = ""
    mirrored_at: datetime | None = None
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
