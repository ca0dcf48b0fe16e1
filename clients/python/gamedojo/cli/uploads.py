"""Uploads of the command line: a bar on a terminal, and a note of what has begun, so that the next try goes on."""

import hashlib
import json
import os
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gamedojo.cli.output import err, say
from gamedojo.errors import InputError
from gamedojo.texts import size_text

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient
    from gamedojo.uploading import PartialUpload


def check_zip(build: Path) -> None:
    """Refuse what is no zip, before anything is sent.

    Raises:
        InputError: it is missing, or no zip.
    """
    if not build.is_file():
        raise InputError(f"{build} is no file.", "Name the zip of a Linux build.")
    if not zipfile.is_zipfile(build):
        raise InputError(
            f"{build} is no zip file.", "Zip the folder that Unity's Linux build wrote, and name that zip."
        )


def upload(client: "GamedojoClient", build: Path, *, quiet: bool) -> str:
    """The key of the uploaded build. A bar on a terminal, one line elsewhere; both on stderr: stdout is the result's.

    Raises:
        GamedojoError: as `GamedojoClient.upload_build`.
    """
    note = UploadNote(client.connection.control_url, build)
    resume = note.read()
    console = err()
    if resume and not quiet:
        say(f"going on with the upload of {build.name} that was interrupted", console)
    if quiet or not console.is_terminal:
        key = client.upload_build(build, resume=resume, on_begun=note.write)
        if not quiet:
            say(f"uploaded {build.name}, {size_text(build.stat().st_size)}", console)
    else:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as SpeedColumn

        columns = (TextColumn("uploading {task.description}"), BarColumn(), DownloadColumn(), SpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task(build.name, total=build.stat().st_size)
            key = client.upload_build(
                build,
                resume=resume,
                on_begun=note.write,
                on_progress=lambda sent, total: progress.update(task, completed=sent, total=total),
            )
    note.remove()
    return key


class UploadNote:
    """What an upload in parts has begun, kept in the user's cache until it is done.

    It belongs to one stack and to the file as it is: its place, size and time of change. A cache that cannot be
    written to costs the going on, not the upload.
    """

    def __init__(self, control_url: str, build: Path) -> None:
        there = build.stat()
        identity = f"{control_url}\n{build.resolve()}\n{there.st_size}\n{there.st_mtime_ns}"
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._path = cache / "gamedojo" / "uploads" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"

    def read(self) -> "PartialUpload | None":
        """What there is to go on with."""
        from gamedojo.uploading import PartialUpload

        with suppress(OSError, ValueError, TypeError):
            return PartialUpload(**json.loads(self._path.read_text(encoding="utf-8")))
        return None

    def write(self, begun: "PartialUpload") -> None:
        """Keep what has begun."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(asdict(begun)), encoding="utf-8")

    def remove(self) -> None:
        """Forget it: the build is there."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
