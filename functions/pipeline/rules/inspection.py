"""What is in an uploaded zip, and whether it can be trained on.

A program is what Unity writes for Linux, `<Name>.x86_64` (or without suffix) beside a folder `<Name>_Data`, and an ELF
x86-64 file or a script with a shebang (our samples, wrappers that users write). The training container looks again, by
the same rules, as it unpacks.
"""

import stat
from collections.abc import Iterator
from pathlib import PurePosixPath
from zipfile import ZipFile

from pipeline.contracts.build import BuildManifest
from pipeline.rules.programs import find_program
from pipeline.rules.recordings import SUFFIX as RECORDING_SUFFIX
from pipeline.rules.unity_files import UnityFiles, read_unity_files
from pipeline.rules.zip_entries import Entries, read_entries
from pipeline.rules.zip_members import DAMAGED, Members
from pipeline.rules.zip_options import read_options, read_trainer_file

__all__ = ["DAMAGED", "inspect"]


def inspect(archive: ZipFile, key: str, size_bytes: int, named: str | None = None) -> BuildManifest:
    """Read the directory of the zip and the beginning of a few members.

    Args:
        archive: the open zip.
        key: where it lies.
        size_bytes: its size.
        named: the program that the request names.

    Raises:
        BuildRejectedError: the zip cannot be trained on.
        InvalidRequestError: gamedojo.json in it breaks its contract, or it holds two files that say what to do.
    """
    entries, members = read_entries(archive), Members(archive)
    options = read_options(entries, members.head)
    program = find_program(entries, members, named or (options.environment.executable if options else None))
    unity = read_unity_files(program, entries, members)
    recordings = sorted(str(path) for path in entries.files if path.suffix == RECORDING_SUFFIX)
    return BuildManifest(
        build_key=key,
        size_bytes=size_bytes,
        unpacked_size_bytes=entries.unpacked_size_bytes,
        file_count=len(entries.files),
        executable=str(program),
        unity_version=unity.unity_version,
        has_mlagents=unity.has_mlagents,
        mlagents_version=unity.mlagents_version,
        options=options,
        trainer_file=read_trainer_file(entries, program, members.head),
        recordings=tuple(recordings),
        notes=tuple(_notes(program, entries, unity)),
    )


def _notes(program: PurePosixPath, entries: Entries, unity: UnityFiles) -> Iterator[str]:
    """What is no fault, and worth knowing when something does not work."""
    if unity.is_il2cpp:
        yield "IL2CPP build: Unity documents training with the Mono scripting back end only."
    if unity.is_server:
        yield "Built without graphics, as a dedicated server: cameras in it see nothing."
    modes = entries.files[program].external_attr >> 16
    if modes and not modes & stat.S_IXUSR:
        yield f"The zip has lost the run bit of {program}, which is set again."
