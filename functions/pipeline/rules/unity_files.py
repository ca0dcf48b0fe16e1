"""What the files that Unity writes beside a program tell of the build.

<Name>_Data/globalgamemanagers       Unity's version, near its beginning (in data.unity3d for compressed builds)
<Name>_Data/ScriptingAssemblies.json every assembly by name, also of IL2CPP builds (Unity 2020 and newer)
<Name>_Data/Managed/*.dll            the assemblies of a Mono build
<Name>_Data/boot.config              how the engine starts
GameAssembly.so                      all assemblies of an IL2CPP build
"""

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from pipeline.errors import BuildRejectedError
from pipeline.rules.programs import data_folder
from pipeline.rules.zip_entries import Entries
from pipeline.rules.zip_members import Members

_MLAGENTS: Final = "Unity.ML-Agents.dll"
_HEADER_BYTES: Final = 4096
_SMALL_FILE_BYTES: Final = 256 * 1024
_ASSEMBLY_BYTES: Final = 4 * 1024**2
_UNITY_VERSION = re.compile(rb"\d{1,4}\.\d+\.\d+[abfp]\d+")

# Literals of an assembly lie one behind the other, in the order of the code: length in bytes, UTF-16, a final byte
# (ECMA-335 II.24.2.4). ML-Agents' Academy names the communicator's version and then its own.
_NUMBER = rb"(?:\d\0){1,3}"
_COMMUNICATOR = rb"[\x0b-\x0f]1\0\.\0" + _NUMBER + rb"\.\0" + _NUMBER + rb"[\0\x01]"
_PACKAGE = rb"[\x0b-\x40](?P<version>" + _NUMBER + rb"\.\0" + _NUMBER + rb"\.\0" + _NUMBER + rb"(?:[-.0-9a-z]\0){0,20})"
_VERSIONS = re.compile(_COMMUNICATOR + _PACKAGE + rb"[\0\x01]")
_NO_GRAPHICS = re.compile(rb"^(?:headless|nographics|batchmode)=(?!0)", re.MULTILINE)


@dataclass(frozen=True)
class UnityFiles:
    """What was found. `has_mlagents`: None where the files do not tell."""

    unity_version: str | None
    has_mlagents: bool | None
    mlagents_version: str | None
    is_il2cpp: bool
    is_server: bool


def read_unity_files(program: PurePosixPath, entries: Entries, members: Members) -> UnityFiles:
    """Look into the files beside the program.

    Raises:
        BuildRejectedError: there is no ML-Agents in the build; or one of the files cannot be read.
    """
    data = data_folder(program)
    dll = data / "Managed" / _MLAGENTS
    assemblies = _assemblies(data, entries, members)
    if assemblies and _MLAGENTS not in assemblies:
        raise BuildRejectedError(
            f"There is no ML-Agents in this build: {_MLAGENTS} is not among its assemblies ({len(assemblies)}).",
            "Add the package com.unity.ml-agents and an agent to the scene (Behavior Type: Default), and build again.",
        )
    boot = _head(data / "boot.config", entries, members, _SMALL_FILE_BYTES)
    return UnityFiles(
        unity_version=_unity_version(data, entries, members),
        has_mlagents=True if assemblies else None,
        mlagents_version=_mlagents_version(_head(dll, entries, members, _ASSEMBLY_BYTES)),
        is_il2cpp=program.with_name("GameAssembly.so") in entries.files,
        is_server=_NO_GRAPHICS.search(boot) is not None,
    )


def _assemblies(data: PurePosixPath, entries: Entries, members: Members) -> set[str]:
    """Names of the build's assemblies; empty where they are not told."""
    managed = {path.name for path in entries.files if path.parent == data / "Managed" and path.suffix == ".dll"}
    if managed:
        return managed
    text = _head(data / "ScriptingAssemblies.json", entries, members, _SMALL_FILE_BYTES)
    try:
        names = json.loads(text)["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _unity_version(data: PurePosixPath, entries: Entries, members: Members) -> str | None:
    for name in ("globalgamemanagers", "data.unity3d", "mainData"):
        if match := _UNITY_VERSION.search(_head(data / name, entries, members, _HEADER_BYTES)):
            return match[0].decode()
    return None


def _mlagents_version(assembly: bytes) -> str | None:
    match = _VERSIONS.search(assembly)
    return match["version"].decode("utf-16-le") if match else None


def _head(path: PurePosixPath, entries: Entries, members: Members, size_bytes: int) -> bytes:
    member = entries.files.get(path)
    return members.head(member, size_bytes) if member else b""
