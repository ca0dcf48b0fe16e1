"""What inspection found in an uploaded zip."""

from typing import Any

from pydantic import Field

from pipeline.contracts.base import Contract
from pipeline.contracts.request import RunOptions


class TrainerFile(Contract):
    """An ML-Agents trainer file as it stands in the zip."""

    path: str
    document: dict[str, Any]


class BuildManifest(Contract):
    """A build that may be trained on. A build that may not is an error (`BuildRejectedError`), not a manifest."""

    build_key: str
    size_bytes: int = Field(ge=0)
    unpacked_size_bytes: int = Field(ge=0)
    file_count: int = Field(ge=1)
    executable: str = Field(description="path inside the zip of the program to start")
    unity_version: str | None = None
    has_mlagents: bool | None = Field(default=None, description="None: the files do not tell (IL2CPP, own programs)")
    mlagents_version: str | None = Field(default=None, description="of com.unity.ml-agents, where the files tell it")
    options: RunOptions | None = Field(default=None, description="gamedojo.json, or .yaml, at the zip's root")
    trainer_file: TrainerFile | None = Field(default=None, description="of ML-Agents, at the root or by the program")
    recordings: tuple[str, ...] = Field(default=(), description="paths inside the zip of .demo files")
    notes: tuple[str, ...] = ()
