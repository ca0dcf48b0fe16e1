"""/opt/ml/checkpoints and S3: brought down at the start, kept the same from then on; local deletions propagate."""

import logging
import threading
from pathlib import Path

from local.sagemaker.errors import JobFailedError
from local.sagemaker.objects import Objects

_log = logging.getLogger(__name__)

_Seen = dict[str, tuple[int, int]]


class CheckpointSync:
    """Mirrors a folder to an S3 prefix, every `interval_seconds` and once more when it is closed."""

    def __init__(self, objects: Objects, folder: Path, uri: str, *, interval_seconds: float) -> None:
        self._objects = objects
        self._folder = folder
        self._uri = uri.rstrip("/")
        self._interval_seconds = interval_seconds
        self._seen: _Seen = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Bring down what is there and start mirroring.

        Raises:
            JobFailedError: S3 cannot be read.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._objects.download_tree(f"{self._uri}/", self._folder)
        self._seen = self._look()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Mirror a last time and end.

        Raises:
            JobFailedError: S3 cannot be written.
        """
        if self._thread is not None:
            self._closing.set()
            self._thread.join()
            self.mirror()

    def mirror(self) -> None:
        """Upload what is new or changed, delete what is gone.

        Raises:
            JobFailedError: S3 cannot be written.
        """
        now = self._look()
        for name in sorted(now):
            if self._seen.get(name) != now[name] and self._upload(name):
                self._seen[name] = now[name]
        for name in sorted(set(self._seen) - set(now)):
            self._objects.delete(f"{self._uri}/{name}")
            del self._seen[name]

    def _upload(self, name: str) -> bool:
        path = self._folder / name
        if not path.exists():  # deleted since we looked; the next look will see that
            return False
        self._objects.upload_file(path, f"{self._uri}/{name}")
        return True

    def _run(self) -> None:
        while not self._closing.wait(self._interval_seconds):
            try:
                self.mirror()
            except JobFailedError as error:
                _log.warning("Checkpoints are not in S3 yet, trying on: %s", error)

    def _look(self) -> _Seen:
        """Size and modification time of every file."""
        seen: _Seen = {}
        for path in self._folder.rglob("*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                seen[path.relative_to(self._folder).as_posix()] = (status.st_size, status.st_mtime_ns)
        return seen
