"""The Python client of a gamedojo stack."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any
from urllib.parse import quote

from gamedojo.connection import Connection, find_connection
from gamedojo.errors import ConnectionSettingsError, InputError, UnexpectedAnswerError
from gamedojo.models import BuildUpload, CreatedRun, Policy, Prediction, Run, RunPage
from gamedojo.reading import read
from gamedojo.transport import OnProgress, RetryPolicy, Transport


class GamedojoClient:
    """Trains policies and asks them, through a stack's two REST APIs.

    Without a `connection`, the environment or a connection file tells where the stack is (`find_connection`).
    Use it as a context manager, or call `close`.

        with GamedojoClient() as client:
            run = client.train(Path("MyGame.zip"), {"seed": 1})
            print(client.run(run.run_id).progress)

    Every method raises `ApiError` for the API's error answers, `UnreachableError` when no answer came after bounded
    retries, and `UnexpectedAnswerError` for an answer that is not this API's.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        *,
        timeout_seconds: float = 35.0,
        retry: RetryPolicy | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.connection = connection or find_connection()
        self._transport = transport or Transport(timeout_seconds=timeout_seconds, retry=retry)

    def __enter__(self) -> "GamedojoClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._transport.close()

    def train(
        self, build: Path, request: Mapping[str, Any] | None = None, *, on_progress: OnProgress = lambda *_: None
    ) -> CreatedRun:
        """Upload a build and start a training run on it.

        Args:
            build: a zip of a Linux build.
            request: the fields of a training request but `build`: policy, hyperparameters, stop, …
            on_progress: called with the bytes sent so far and the total.

        Raises:
            InputError: the file is missing or unreadable.
        """
        key = self.upload_build(build, on_progress=on_progress)
        return self.create_run({**(request or {}), "build": {"key": key}})

    def upload_build(self, build: Path, *, on_progress: OnProgress = lambda *_: None) -> str:
        """Upload a build and answer its key in the stack's bucket. Starts no run."""
        if not build.is_file():
            raise InputError(f"{build} is no file.", "Name the zip of a Linux build.")
        target = read(BuildUpload, self._control("POST", "/builds", json={"file_name": upload_name(build.name)}))
        self._transport.upload(target.method, target.upload_url, build, target.headers, on_progress)
        return target.key

    def create_run(self, request: Mapping[str, Any]) -> CreatedRun:
        """Start a training run. The same request sent twice is one run, so a retry costs nothing."""
        return read(CreatedRun, self._control("POST", "/training-runs", json=dict(request)))

    def run(self, run_id: str) -> Run:
        """Everything known about a run."""
        return _run(self._control("GET", f"/training-runs/{_segment(run_id)}"))

    def runs(self, *, policy: str = "", status: str = "", limit: int | None = None, next_token: str = "") -> RunPage:
        """One page of runs, newest first."""
        params = {"policy": policy, "status": status, "limit": str(limit or ""), "next_token": next_token}
        document = self._control("GET", "/training-runs", params={name: text for name, text in params.items() if text})
        page = read(RunPage, document)
        return replace(page, runs=tuple(_run(entry) for entry in document["runs"]))

    def iterate_runs(self, *, policy: str = "", status: str = "", limit: int = 100) -> Iterator[Run]:
        """The newest `limit` runs, page by page."""
        token = ""
        while limit > 0:
            page = self.runs(policy=policy, status=status, limit=min(limit, 100), next_token=token)
            yield from page.runs[:limit]
            limit -= len(page.runs)
            if not page.next_token or page.next_token == token:
                return
            token = page.next_token

    def cancel(self, run_id: str) -> Run:
        """End a run, whatever it is doing; one that is over stays as it was. May be repeated."""
        return _run(self._control("DELETE", f"/training-runs/{_segment(run_id)}"))

    def redrive(self, run_id: str) -> Run:
        """Begin a run that failed or was cancelled again, after its last completed job."""
        return _run(self._control("POST", f"/training-runs/{_segment(run_id)}/redrive"))

    def artifacts(self, run_id: str) -> dict[str, str]:
        """The run's files: name to a URL that is valid for a while."""
        document = self._control("GET", f"/training-runs/{_segment(run_id)}/artifacts")
        urls = document.get("artifacts") if isinstance(document, dict) else None
        if not isinstance(urls, dict):
            raise UnexpectedAnswerError("The answer has no object named artifacts.")
        return {str(name): str(url) for name, url in urls.items()}

    def download_artifacts(
        self, run_id: str, into: Path, *, on_file: Callable[[Path], None] = lambda _: None
    ) -> list[Path]:
        """Fetch every file of a run into a directory; a file appears there only when it is whole."""
        paths = []
        for name, url in sorted(self.artifacts(run_id).items()):
            target = into / _safe_path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._transport.download(url, target)
            on_file(target)
            paths.append(target)
        return paths

    def policies(self) -> tuple[Policy, ...]:
        """The policies in service."""
        document = self._control("GET", "/policies")
        entries = document.get("policies") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise UnexpectedAnswerError("The answer has no list named policies.")
        return tuple(_policy(entry) for entry in entries)

    def policy(self, policy: str) -> Policy:
        """A policy in service: its version, its endpoint, what goes in and out."""
        return _policy(self._control("GET", f"/policies/{_segment(policy)}"))

    def predict(
        self,
        policy: str,
        observations: Mapping[str, Any] | Sequence[Any],
        *,
        behavior: str = "",
        action_masks: Sequence[Any] | None = None,
        deterministic: bool = True,
    ) -> Prediction:
        """Ask a policy for the action of one observation, or the actions of a batch.

        Args:
            policy: its name.
            observations: by sensor name, or in sensor order; each sensor's value is one observation (its shape) or a
                batch ([N, *shape]). Arrays (anything with `tolist`) are taken as well as lists.
            behavior: needed only when the policy has several.
            action_masks: [sum of branches] or [N, sum of branches], 1 = allowed; left out: all allowed.
            deterministic: the likeliest action; False samples from the policy.

        Raises:
            InputError: a value is NaN or infinite; nothing was sent.
        """
        request: dict[str, Any] = {"observations": _plain(observations, "observations"), "deterministic": deterministic}
        if behavior:
            request["behavior"] = behavior
        if action_masks is not None:
            request["action_masks"] = _plain(action_masks, "action_masks")
        return self.predict_raw(policy, request)

    def predict_raw(self, policy: str, request: Mapping[str, Any]) -> Prediction:
        """As `predict`, with the body of the request as the API takes it."""
        if not self.connection.predict_url:
            raise _missing_url("predict")
        document = self._transport.call(
            "POST",
            f"{self.connection.predict_url.rstrip('/')}/policies/{_segment(policy)}/predict",
            key=self.connection.predict_key,
            json=_plain(request, ""),
        )
        return replace(read(Prediction, document), document=document)

    def _control(self, method: str, path: str, *, json: Any = None, params: dict[str, str] | None = None) -> Any:
        if not self.connection.control_url:
            raise _missing_url("control")
        url = self.connection.control_url.rstrip("/") + path
        return self._transport.call(method, url, key=self.connection.control_key, json=json, params=params)


def upload_name(file_name: str) -> str:
    """The name that an upload asks for: the file's, in the characters that the API takes, ending in .zip."""
    stem = file_name[:-4] if file_name.lower().endswith(".zip") else file_name
    stem = re.sub(r"[^A-Za-z0-9._ ()-]+", "-", stem)[:180].lstrip("._ ()-")
    return f"{stem or 'build'}.zip"


def _run(document: Any) -> Run:
    return replace(read(Run, document), document=document)


def _policy(document: Any) -> Policy:
    """The spec's behaviors may stand beside the policy's fields or below `spec`."""
    if isinstance(document, dict) and isinstance(document.get("spec"), dict):
        return replace(read(Policy, {**document["spec"], **document}), document=document)
    return replace(read(Policy, document), document=document)


def _missing_url(which: str) -> ConnectionSettingsError:
    variable = f"GAMEDOJO_{which.upper()}_URL"
    return ConnectionSettingsError(f"The {which} API's URL is not known.", f"Set {variable} and {variable[:-3]}KEY.")


def _segment(name: str) -> str:
    if not name:
        raise InputError("A name is empty.")
    return quote(name, safe="")


def _safe_path(name: str) -> Path:
    """Where an artifact goes below the output directory; no name leads out of it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    if not parts:
        raise UnexpectedAnswerError(f"The artifact name {name!r} is no file name.")
    return Path(*parts)


def _plain(value: Any, path: str) -> Any:
    """Lists, numbers and text only; JSON has no NaN, so it is refused here with its place."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(entry, f"{path}.{name}".lstrip(".")) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{path}[{index}]") for index, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{path} is {value}.", "Send finite numbers.")
    return value
