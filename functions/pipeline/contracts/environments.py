"""Environments of a registry, such as ML-Agents' own, that were mirrored into the stack's bucket."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from pipeline.contracts.base import Contract

EnvironmentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class MirrorRequest(Contract):
    """The body of `POST /registry`: an upload becomes the build of this environment.

    The hash is what was downloaded: a registry tells none, so the first download is what later ones are held against.
    """

    environment: EnvironmentId = Field(description="its id in the registry, for example 3DBall")
    key: str = Field(pattern=r"^uploads/.+", max_length=1024, description="of the zip, as POST /builds has given it")
    sha256: Sha256 = Field(description="of the zip, in hexadecimal; every run on it is held against it")
    source: str = Field(min_length=1, max_length=2000, description="where the zip is from")
    arguments: tuple[str, ...] = Field(
        default=(),
        max_length=20,
        description="what the program is started with, before a run's own: many environments share one program",
    )
    expected_return: float | None = Field(default=None, description="mean return of an environment that is solved")
    description: str = Field(default="", max_length=10_000)
    replace: bool = Field(default=False, description="in place of another zip that was mirrored under this id")


class RegistryEntry(Contract):
    """One mirrored environment."""

    environment: EnvironmentId
    key: str
    sha256: Sha256
    size_bytes: int = Field(ge=0)
    source: str
    arguments: tuple[str, ...] = ()
    expected_return: float | None = None
    description: str = ""
    mirrored_at: datetime


class DeletedEnvironment(Contract):
    """The answer of `DELETE /registry/{environment}`."""

    environment: EnvironmentId


class RegistryListing(Contract):
    """The answer of `GET /registry`."""

    environments: tuple[RegistryEntry, ...]
