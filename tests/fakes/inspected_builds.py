"""Builds as InspectBuild sees them: zips that are looked into, and manifests of what was found."""

import io
from typing import Any

import pytest

from pipeline.contracts.build import BuildManifest, TrainerFile
from pipeline.errors import BuildRejectedError
from pipeline.rules.inspection import inspect
from pipeline.rules.zip_directory import opened


def look(body: bytes, named: str | None = None) -> BuildManifest:
    """What is found in this zip; `named`: the program that a request names."""
    with opened(io.BytesIO(body), len(body)) as archive:
        return inspect(archive, "runs/r/build.zip", len(body), named)


def rejected(body: bytes, named: str | None = None) -> BuildRejectedError:
    """Why the zip is refused; there is always something that can be done."""
    with pytest.raises(BuildRejectedError) as caught:
        look(body, named)
    assert caught.value.remedy
    return caught.value


def manifest(document: dict[str, Any] | None = None, recordings: tuple[str, ...] = ()) -> BuildManifest:
    """Of a small build; `document`: of an ML-Agents trainer file beside it."""
    return BuildManifest(
        build_key="k",
        size_bytes=1,
        unpacked_size_bytes=1,
        file_count=1,
        executable="Game.x86_64",
        trainer_file=TrainerFile(path="ball.yaml", document=document) if document else None,
        recordings=recordings,
    )
