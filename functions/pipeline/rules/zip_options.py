"""What a zip says of its own training: our options in `gamedojo.json` or `.yaml`, and an ML-Agents trainer file."""

import codecs
import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final
from zipfile import ZipInfo

from pipeline.contracts.build import TrainerFile
from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.errors import InvalidRequestError
from pipeline.rules.run_options import read_request
from pipeline.rules.yaml_documents import MAX_BYTES, UnreadableYamlError, load_yaml
from pipeline.rules.zip_entries import Entries

Read = Callable[[ZipInfo, int], bytes]
"""A member's first bytes."""

_MAX_OPTIONS_BYTES: Final = 256 * 1024
_OPTIONS: Final = ("gamedojo.json", "gamedojo.yaml", "gamedojo.yml")
_YAML: Final = (".yaml", ".yml")
_TRAINER_KEYS: Final = frozenset({"behaviors", "default_settings"})
_MOST_YAML_FILES: Final = 32
"""Read one by one, at a second each."""

_LOOKS_LIKE_TRAINER_FILE = re.compile(rb"^(behaviors|default_settings)\s*:", re.MULTILINE)


def read_options(entries: Entries, read: Read) -> RunOptions | None:
    """Our own options at the zip's root; None where there are none.

    Raises:
        InvalidRequestError: they break their contract, or two files hold them.
    """
    found = [path for name in _OPTIONS if (path := _at_root(entries, name))]
    if len(found) > 1:
        raise InvalidRequestError(
            f"The zip holds {' and '.join(map(str, found))}.", "Keep one of them, and zip the build again."
        )
    if not found:
        return None
    name, text = found[0].name, _text(entries.files[found[0]], found[0].name, read)
    try:
        return read_request(RunOptions, text if name.endswith(".json") else _as_json(text))
    except (InvalidDocumentError, UnreadableYamlError) as error:
        raise InvalidRequestError(f"{name} in the zip: {error}") from error


def read_trainer_file(entries: Entries, program: PurePosixPath, read: Read) -> TrainerFile | None:
    """The ML-Agents trainer file at the zip's root, in its only folder or beside the program; None without one.

    Other YAML files there are the build's own. One that cannot be read, but looks like a trainer file, is refused: a
    training that goes by our defaults in its place would be found out hours later.

    Raises:
        InvalidRequestError: it cannot be read, or there are several, or too many YAML files to look at.
    """
    folders = {PurePosixPath(), program.parent, _only_folder(entries)}
    candidates = sorted(
        path
        for path in entries.files
        if path.suffix.lower() in _YAML and path.name not in _OPTIONS and path.parent in folders
    )
    if len(candidates) > _MOST_YAML_FILES:
        raise InvalidRequestError(
            f"The zip holds {len(candidates):,} YAML files where an ML-Agents trainer file may be; at most "
            f"{_MOST_YAML_FILES} are looked at.",
            "Keep the one to train by there, put the others into a folder of their own, and zip the build again.",
        )
    found = [file for path in candidates if (file := _trainer_file(path, entries.files[path], read))]
    if len(found) > 1:
        raise InvalidRequestError(
            f"The zip holds several ML-Agents trainer files: {', '.join(file.path for file in found)}.",
            "Keep the one to train by, and zip the build again.",
        )
    return found[0] if found else None


def _trainer_file(path: PurePosixPath, member: ZipInfo, read: Read) -> TrainerFile | None:
    text = read(member, MAX_BYTES + 1)
    try:
        document = load_yaml(text)
    except UnreadableYamlError as error:
        if _LOOKS_LIKE_TRAINER_FILE.search(text):
            raise InvalidRequestError(f"{path} in the zip is not readable YAML: {error}.") from error
        return None
    if not isinstance(document, dict) or not _TRAINER_KEYS & document.keys():
        return None
    return TrainerFile(path=str(path), document=document)


def _text(member: ZipInfo, name: str, read: Read) -> bytes:
    if member.file_size > _MAX_OPTIONS_BYTES:
        raise InvalidRequestError(f"{name} has {member.file_size} bytes; at most {_MAX_OPTIONS_BYTES} are read.")
    return read(member, _MAX_OPTIONS_BYTES).removeprefix(codecs.BOM_UTF8)  # as Windows' editors write it


def _as_json(text: bytes) -> bytes:
    return json.dumps(load_yaml(text) or {}).encode()


def _at_root(entries: Entries, name: str) -> PurePosixPath | None:
    """At the zip's root, or in its only folder: many zip the folder, not what is in it."""
    places = (folder / name for folder in (PurePosixPath(), _only_folder(entries)))
    return next((path for path in places if path in entries.files), None)


def _only_folder(entries: Entries) -> PurePosixPath:
    tops = {path.parts[0] for path in entries.files}
    only = PurePosixPath(tops.pop())
    return only if not tops and only not in entries.files else PurePosixPath()
