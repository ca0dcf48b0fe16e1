"""Registries of environments, as ML-Agents has them: a YAML file that names zips, on a server or in a folder.

    environments:
      - 3DBall:
          expected_reward: 100
          description: ...
          linux_url: https://.../3DBall.zip
          additional_args: ["--mlagents-scene-name", "Assets/..."]

A registry tells no hashes. Entries may share one zip, and be told apart by the arguments of its program.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import yaml

from gamedojo.downloads import Downloaded, Downloader
from gamedojo.errors import DownloadError, InputError
from gamedojo.wire import CHUNK_BYTES, OnProgress, files_in_words

DEFAULT_MANIFEST = "https://storage.googleapis.com/mlagents-test-environments/1.1.0/manifest.yaml"
"""ML-Agents' own (mlagents_envs 1.1.0, `registry/unity_env_registry.py`)."""

MOST_MANIFEST_BYTES = 2 * 1024**2


@dataclass(frozen=True)
class Listed:
    """What a registry says of an environment. `linux_url`: "" if there is no build for Linux."""

    environment: str
    linux_url: str = ""
    arguments: tuple[str, ...] = ()
    expected_return: float | None = None
    description: str = ""


class Registry(Protocol):
    """Where environments are from."""

    place: str
    """What people are told of it."""

    def listed(self) -> dict[str, Listed]:
        """What it has, by id.

        Raises:
            InputError: it is no registry.
            UnreachableError, DownloadError: nobody answers, or it is not there.
        """

    def source_of(self, listed: Listed) -> str:
        """Where the zip of one is from, as everybody may know it."""

    def fetch(self, listed: Listed, into: Path, most_bytes: int, on_progress: OnProgress) -> Downloaded:
        """The zip of one: in `into`, or where it lies.

        Raises:
            InputError: it has no build for Linux, or its zip is not in the folder.
            UnreachableError, DownloadError: as `Downloader.fetch`.
        """


class RemoteRegistry:
    """A manifest on a server."""

    def __init__(self, manifest_url: str = DEFAULT_MANIFEST, downloader: Downloader | None = None) -> None:
        self.place = manifest_url
        self._downloader = downloader or Downloader()

    def listed(self) -> dict[str, Listed]:
        """As `Registry.listed`."""
        with tempfile.TemporaryDirectory(prefix="gamedojo-registry-") as directory:
            file = self._downloader.fetch(self.place, Path(directory) / "manifest.yaml", MOST_MANIFEST_BYTES)
            return read_manifest(file.path.read_bytes(), self.place)

    def source_of(self, listed: Listed) -> str:
        """The zip's URL, without what may be a key to it."""
        parts = urlsplit(_linux_url(listed, self.place))
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    def fetch(self, listed: Listed, into: Path, most_bytes: int, on_progress: OnProgress) -> Downloaded:
        """As `Registry.fetch`."""
        url = _linux_url(listed, self.place)
        return self._downloader.fetch(url, into / _file_name(url), most_bytes, on_progress)


class RegistryFolder:
    """A folder with a registry's zips, and with its YAML file or without: then a zip's name is the environment's id."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder.", "Name a folder that holds a registry's zips.")
        self.place = str(folder)
        self._folder = folder

    def listed(self) -> dict[str, Listed]:
        """As `Registry.listed`."""
        with files_in_words(self._folder):
            manifests = sorted(path for path in self._folder.iterdir() if path.suffix.lower() in (".yaml", ".yml"))
            zips = sorted(path for path in self._folder.iterdir() if path.suffix.lower() == ".zip")
            if len(manifests) > 1:
                names = ", ".join(path.name for path in manifests)
                raise InputError(
                    f"{self._folder} holds several YAML files: {names}.", "Leave the registry's own there."
                )
            told = read_manifest(manifests[0].read_bytes(), str(manifests[0])) if manifests else {}
        named = {path.stem: Listed(path.stem, path.name) for path in zips}
        return {**named, **told}

    def source_of(self, listed: Listed) -> str:
        """The zip's name."""
        return f"{_file_name(_linux_url(listed, self.place))} of a folder"

    def fetch(self, listed: Listed, into: Path, most_bytes: int, on_progress: OnProgress) -> Downloaded:
        """As `Registry.fetch`; the zip stays where it is."""
        path = self._folder / _file_name(_linux_url(listed, self.place))
        with files_in_words(path):
            size = path.stat().st_size
            if size > most_bytes:
                raise InputError(f"{path} is larger than {most_bytes:,} bytes.", "A larger one is allowed by --max-gb.")
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
                    on_progress(file.tell(), size)
        return Downloaded(path, digest.hexdigest(), size)


def read_manifest(text: bytes, place: str) -> dict[str, Listed]:
    """A registry's YAML file, by id.

    Raises:
        InputError: it is none.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{place} is no registry's manifest: it is not YAML: {reason}") from error
    found = document.get("environments") if isinstance(document, Mapping) else None
    if not isinstance(found, list):
        raise InputError(f"{place} is no registry's manifest: it has no list named environments.")
    return dict(_entry(one, place) for one in found)


def find(registry: Registry, known: Mapping[str, Listed], environment: str) -> Listed:
    """One environment of those that a registry has.

    Raises:
        InputError: it has no such one; the message names the nearest, or all.
    """
    if environment in known:
        return known[environment]
    nearest = get_close_matches(environment, known, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"It has: {', '.join(sorted(known)) or 'nothing'}."
    raise InputError(f"The registry {registry.place} has no environment named {environment}.", hint)


def _entry(one: Any, place: str) -> tuple[str, Listed]:
    if not isinstance(one, Mapping) or len(one) != 1:
        raise InputError(f"{place} is no registry's manifest: an entry is not one id with its fields.")
    ((name, fields),) = one.items()
    fields = fields if isinstance(fields, Mapping) else {}
    arguments = fields.get("additional_args") or ()
    reward = fields.get("expected_reward")
    if not isinstance(arguments, list | tuple):
        raise InputError(f"{place}: additional_args of {name} is no list.")
    return str(name), Listed(
        environment=str(name),
        linux_url=str(fields.get("linux_url") or ""),
        arguments=tuple(map(str, arguments)),
        expected_return=float(reward) if isinstance(reward, int | float) else None,
        description=str(fields.get("description") or "").strip(),
    )


def _linux_url(listed: Listed, place: str) -> str:
    if not listed.linux_url:
        raise InputError(f"{listed.environment} of {place} has no build for Linux.")
    return listed.linux_url


def _file_name(url: str) -> str:
    """The last part of a URL's path, or of a plain name; no name leads out of a folder."""
    name = unquote(urlsplit(url).path).replace("\\", "/").rpartition("/")[2]
    if name in ("", ".", ".."):
        raise DownloadError(f"{url} names no file.")
    return name
