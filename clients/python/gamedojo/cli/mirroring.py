"""Mirroring a registry's environments into the stack's bucket: each zip fetched once, sent once, and noted."""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gamedojo.cli.output import err, say
from gamedojo.cli.uploads import upload
from gamedojo.errors import ApiError, DownloadError, GamedojoError, InputError, UnreachableError
from gamedojo.registries import find

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient
    from gamedojo.downloads import Downloaded
    from gamedojo.models import RegistryEntry
    from gamedojo.registries import Listed, Registry
    from gamedojo.wire import OnProgress


@dataclass(frozen=True)
class MirrorOptions:
    """`sha256`: what the zip must have; "": whatever comes is believed, once. `replace`: another one may go."""

    sha256: str = ""
    replace: bool = False
    most_bytes: int = 5 * 10**9
    quiet: bool = False


def mirror(
    client: "GamedojoClient", registry: "Registry", environments: Sequence[str], options: MirrorOptions
) -> Iterator["RegistryEntry"]:
    """Mirror each environment (none named: all with a build for Linux), and yield what is in the bucket now.

    Raises:
        InputError: the registry has no such environment, or no zip of it that can be taken; or another zip of it is
            mirrored already, and may not be replaced.
        UnreachableError, DownloadError: the registry does not answer, or not as it should; the remedy names the other
            ways.
        ApiError: the stack refuses it.
    """
    mirrored = {entry.environment: entry for entry in client.registry()}
    with _other_ways(registry, environments, mirrored):
        known = registry.listed()
    wanted = [find(registry, known, one) for one in environments] if environments else _for_linux(known.values())
    if options.sha256 and len({one.linux_url for one in wanted}) > 1:
        raise InputError("--sha256 is of one zip, and these environments have several.", "Mirror them one by one.")
    with _Zips(client, registry, options) as zips:
        for listed in wanted:
            entry = mirrored.get(listed.environment)
            if entry is not None and not options.replace and _stands(entry, registry.source_of(listed), options):
                yield entry
                continue
            with _other_ways(registry, environments, mirrored):
                found = zips.fetch(listed)
            yield client.mirror_environment(
                listed.environment,
                zips.send(found),
                found.sha256,
                registry.source_of(listed),
                arguments=listed.arguments,
                expected_return=listed.expected_return,
                description=listed.description,
                replace=options.replace,
            )


def _for_linux(known: "Iterable[Listed]") -> "list[Listed]":
    """All that can be trained on."""
    every = list(known)
    if others := [listed.environment for listed in every if not listed.linux_url]:
        say(f"Without a build for Linux, and left out: {', '.join(others)}.", err())
    return [listed for listed in every if listed.linux_url]


def _stands(entry: "RegistryEntry", source: str, options: MirrorOptions) -> bool:
    """Whether what is mirrored is what is wanted, so that nothing need be fetched.

    What a URL has once given is taken for what it gives: nothing but its hash could tell otherwise.
    """
    if options.sha256:
        return options.sha256 == entry.sha256
    return source == entry.source and source.startswith(("https://", "http://"))


class _Zips:
    """The zips of one mirroring: each is fetched once and sent once. Leaving it removes what was only on its way."""

    def __init__(self, client: "GamedojoClient", registry: "Registry", options: MirrorOptions) -> None:
        self._client, self._registry, self._options = client, registry, options
        self._directory = tempfile.TemporaryDirectory(prefix="gamedojo-registry-")
        self._fetched: dict[str, Downloaded] = {}
        self._sent: dict[str, str] = {}

    def __enter__(self) -> "_Zips":
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()
        for key in self._sent.values():
            self._forget_upload(key)

    def fetch(self, listed: "Listed") -> "Downloaded":
        """The zip of an environment, checked."""
        url = listed.linux_url
        if url not in self._fetched:
            into = Path(self._directory.name) / str(len(self._fetched))
            into.mkdir()
            with _bar(listed.environment, quiet=self._options.quiet) as on_progress:
                found = self._registry.fetch(listed, into, self._options.most_bytes, on_progress)
            _check(found, self._registry.source_of(listed), self._options.sha256)
            self._fetched[url] = found
        return self._fetched[url]

    def send(self, found: "Downloaded") -> str:
        """The key of its upload."""
        if found.sha256 not in self._sent:
            self._sent[found.sha256] = upload(self._client, found.path, quiet=self._options.quiet)
        return self._sent[found.sha256]

    def _forget_upload(self, key: str) -> None:
        """The mirror has a copy. An upload that cannot be removed now goes by itself, a month later."""
        build_id = key.split("/")[1] if key.count("/") > 1 else ""
        try:
            self._client.delete_build(build_id)
        except GamedojoError as error:
            if not isinstance(error, ApiError) or error.status != 404:
                say(f"The upload {key} stays for a month: {error}", err())


def _check(found: "Downloaded", source: str, sha256: str) -> None:
    if not zipfile.is_zipfile(found.path):
        raise DownloadError(f"What came from {source} is no zip file ({found.size_bytes:,} bytes).")
    if sha256 and found.sha256 != sha256:
        raise DownloadError(
            f"What came from {source} has the SHA-256 {found.sha256}, and not {sha256}.",
            "Somebody has changed it since its hash was written down, or the hash is another zip's.",
        )


@contextmanager
def _other_ways(
    registry: "Registry", environments: Sequence[str], mirrored: dict[str, "RegistryEntry"]
) -> Iterator[None]:
    """What to do when the registry does not give what is wanted: a folder, or what is mirrored already."""
    try:
        yield
    except (UnreachableError, DownloadError) as error:
        wanted = " ".join(environments) or "--all"
        ways = [
            error.remedy,
            f"A machine without internet mirrors from a folder that holds the zips: gamedojo registry mirror {wanted} "
            "--from FOLDER.",
            f"Mirrored already: {', '.join(sorted(mirrored)) or 'nothing'}.",
        ]
        message = f"The registry {registry.place} does not give it: {error.message}"
        raise type(error)(message, " ".join(filter(None, ways))) from error


@contextmanager
def _bar(environment: str, *, quiet: bool) -> Iterator["OnProgress"]:
    console = err()
    if quiet or not console.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(environment, total=None)
        yield lambda size, total: progress.update(task, completed=size, total=total or None)
