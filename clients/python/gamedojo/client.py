"""The Python client of a gamedojo stack, blocking. `async_client` has the same for asyncio, method by method."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gamedojo import calls, flows
from gamedojo.calls import Api, Call
from gamedojo.connection import Connection, find_connection
from gamedojo.errors import GamedojoError
from gamedojo.flows import Deed, Fetch, Flow, Pages, PutFiles
from gamedojo.following import Patience, follow_run
from gamedojo.models import (
    Build,
    BuildPage,
    BuildUpload,
    CreatedRun,
    DeletedBuild,
    DeletedEnvironment,
    DeletedPolicy,
    EvaluationReport,
    Health,
    LogPage,
    MetricsSeries,
    MultipartUpload,
    PartUrls,
    Policy,
    PolicyTraffic,
    Prediction,
    RegistryEntry,
    Run,
    RunPage,
    ServedVersion,
)
from gamedojo.observations import NOT_GIVEN, NotGiven, State, predict_request
from gamedojo.retrying import RetryPolicy
from gamedojo.sending import request_of
from gamedojo.transport import Transport
from gamedojo.uploading import PartialUpload, UploadOptions, upload
from gamedojo.wire import OnProgress, PutFile

T = TypeVar("T")


class GamedojoClient:
    """Trains policies and asks them, through a stack's two REST APIs.

    Without a `connection`, the environment or a connection file tells where the stack is (`find_connection`).
    Use it as a context manager, or call `close`. Threads may share it.

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

    # Training runs

    def train(
        self,
        build: Path,
        request: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str = "",
        on_progress: OnProgress = lambda *_: None,
    ) -> CreatedRun:
        """Upload a build and start a training run on it.

        Args:
            build: a zip of a Linux build.
            request: the fields of a training request but `build`: policy, hyperparameters, stop, …
            idempotency_key: as for `create_run`.
            on_progress: called with the bytes sent so far and the total.

        Raises:
            InputError: the file is missing or unreadable.
            UploadInterruptedError: as for `upload_build`.
        """
        uploading = upload(build, UploadOptions(on_progress=on_progress))
        return self._carry_out(flows.train(uploading, request or {}, idempotency_key))

    def create_run(self, request: Mapping[str, Any], *, idempotency_key: str = "") -> CreatedRun:
        """Start a training run. Retries of this call are one run; so are all calls with one `idempotency_key`."""
        return self._send(calls.start_run(request, idempotency_key))

    def run(self, run_id: str) -> Run:
        """Everything known about a run."""
        return self._send(calls.get_run(run_id))

    def runs(
        self,
        *,
        policy: str = "",
        status: str = "",
        build_sha256: str = "",
        limit: int | None = None,
        next_token: str = "",
    ) -> RunPage:
        """One page of runs, newest first; at most 100."""
        return self._send(calls.list_runs(policy, status, build_sha256, limit, next_token))

    def iterate_runs(
        self, *, policy: str = "", status: str = "", build_sha256: str = "", limit: int = 100
    ) -> Iterator[Run]:
        """The newest `limit` runs, page by page."""
        return self._each(flows.pages_of_runs(policy, status, build_sha256, limit))

    def follow(
        self,
        run_id: str,
        patience: Patience | None = None,
        *,
        on_trouble: Callable[[GamedojoError | None], None] = lambda _: None,
    ) -> Iterator[Run]:
        """The run's record at every look, until it has ended; raises as `follow_run`."""
        return follow_run(self.run, run_id, patience, on_trouble=on_trouble)

    def cancel(self, run_id: str) -> Run:
        """End a run, whatever it is doing; one that is over stays as it was. May be repeated."""
        return self._send(calls.cancel_run(run_id))

    def redrive(self, run_id: str) -> Run:
        """Begin a run that failed or was cancelled again, after its last completed job."""
        return self._send(calls.redrive_run(run_id))

    def metrics(
        self, run_id: str, *, behavior: str = "", metrics: Sequence[str] = (), points: int | None = None
    ) -> MetricsSeries:
        """The series of a training: every metric, or those named, of every behavior, or the one named.

        `points`: at most so many for each behavior, evenly chosen, from 2 to 2000.
        """
        return self._send(calls.get_metrics(run_id, behavior, tuple(metrics), points))

    def logs(self, run_id: str, *, job: str = "", limit: int | None = None, next_token: str = "") -> LogPage:
        """The newest lines that the run's jobs have printed, or those since the page with `next_token`; oldest first.

        `job`: training or evaluation alone; left out, the one that began last. `limit`: at most so many, up to 500.
        """
        return self._send(calls.get_logs(run_id, job, limit, next_token))

    def report(self, run_id: str) -> EvaluationReport:
        """The evaluation's report."""
        return self._send(calls.get_report(run_id))

    def artifacts(self, run_id: str) -> dict[str, str]:
        """The run's files: name to a URL that is valid for a while."""
        return self._send(calls.get_artifacts(run_id))

    def download_artifacts(
        self, run_id: str, into: Path, *, on_file: Callable[[Path], None] = lambda _: None
    ) -> list[Path]:
        """Fetch every file of a run into a directory; a file appears there only when it is whole."""
        return self._carry_out(flows.download_artifacts(run_id, into, on_file))

    # Builds

    def upload_build(
        self,
        build: Path,
        *,
        in_parts: bool | None = None,
        resume: PartialUpload | None = None,
        on_progress: OnProgress = lambda *_: None,
        on_begun: Callable[[PartialUpload], None] = lambda _: None,
    ) -> str:
        """Upload a build and answer its key in the stack's bucket. Starts no run.

        Args:
            build: a zip of a Linux build.
            in_parts: whether it is sent in parts; left out, its size decides.
            resume: what an interrupted upload of the same file had begun; only what has not come is sent.
            on_progress: called with the bytes sent so far and the total, from whichever thread sends.
            on_begun: called once an upload in parts has begun, with what resumes it.

        Raises:
            InputError: the file is missing, or too large for one request.
            UploadInterruptedError: parts could not be sent.
        """
        return self._carry_out(upload(build, UploadOptions(in_parts, resume, on_progress, on_begun)))

    def new_build(self, file_name: str, size_bytes: int | None = None) -> BuildUpload | MultipartUpload:
        """A place for a build, for those who send it themselves: as a whole, or with its size in parts."""
        return self._send(calls.new_build(file_name, size_bytes))

    def part_urls(self, build_id: str, first: int = 1, count: int = 100) -> PartUrls:
        """Where to PUT `count` parts from number `first` on."""
        return self._send(calls.get_part_urls(build_id, first, count))

    def complete_build(self, build_id: str, size_bytes: int) -> Build:
        """Put the parts together; a build that is complete stays as it is."""
        return self._send(calls.complete_build(build_id, size_bytes))

    def build(self, build_id: str) -> Build:
        """One build; while it is in parts, those that have come."""
        return self._send(calls.get_build(build_id))

    def builds(self, *, limit: int | None = None, next_token: str = "") -> BuildPage:
        """One page of builds, by key; at most 1000."""
        return self._send(calls.list_builds(limit, next_token))

    def iterate_builds(self, *, limit: int = 1000) -> Iterator[Build]:
        """The first `limit` builds, page by page."""
        return self._each(flows.pages_of_builds(limit))

    def delete_build(self, build_id: str) -> DeletedBuild:
        """Remove a build, or give up one that is in parts. Runs keep copies of their own."""
        return self._send(calls.delete_build(build_id))

    def registry(self) -> tuple[RegistryEntry, ...]:
        """Environments of a registry that were mirrored; a request names one as `{"build": {"registry": id}}`."""
        return self._send(calls.list_environments())

    def mirror_environment(
        self,
        environment: str,
        key: str,
        sha256: str,
        source: str,
        *,
        arguments: Sequence[str] = (),
        expected_return: float | None = None,
        description: str = "",
        replace: bool = False,
    ) -> RegistryEntry:
        """Make an upload the build of an environment; the same zip once more changes nothing.

        Args:
            environment: its id.
            key: of the upload, as `upload_build` answers it; the upload may go afterwards.
            sha256: the zip's, in hexadecimal. A run on it fails if that is not true.
            source: where the zip is from.
            arguments: what the program is started with, before a run's own.
            expected_return: mean return of an environment that is solved.
            description: for people.
            replace: whether another zip of this id may go.
        """
        call = calls.mirror_environment(
            environment, key, sha256, source, arguments, expected_return, description, replace
        )
        return self._send(call)

    def delete_environment(self, environment: str) -> DeletedEnvironment:
        """Forget a mirrored environment, with its zips; runs keep copies of their own."""
        return self._send(calls.delete_environment(environment))

    # Policies

    def policies(self) -> tuple[Policy, ...]:
        """The policies in service."""
        return self._send(calls.list_policies())

    def policy(self, policy: str) -> Policy:
        """A policy in service: its version, its endpoint, what goes in and out."""
        return self._send(calls.get_policy(policy))

    def policy_history(self, policy: str) -> tuple[ServedVersion, ...]:
        """What was in service under this name, newest first."""
        return self._send(calls.get_history(policy))

    def traffic(self, policy: str, *, window: str = "") -> PolicyTraffic:
        """How often a policy's endpoint was asked, what failed, how long its model took: in the last 1h, 24h or 7d."""
        return self._send(calls.get_traffic(policy, window))

    def rollback(self, policy: str, version: str = "") -> Run:
        """Bring the version before, or the named one, into service again: a run, which can be followed."""
        return self._send(calls.roll_back(policy, version))

    def wake(self, policy: str) -> Run:
        """Bring back an endpoint that was taken down because nobody asked it: a run, which can be followed."""
        return self._send(calls.wake(policy))

    def delete_policy(self, policy: str) -> DeletedPolicy:
        """Take a policy out of service, with endpoint, models and files; its runs stay."""
        return self._send(calls.delete_policy(policy))

    def predict(
        self,
        policy: str,
        observations: Mapping[str, Any] | Sequence[Any],
        *,
        behavior: str = "",
        action_masks: Any = None,
        deterministic: bool = True,
        state: State | NotGiven = NOT_GIVEN,
    ) -> Prediction:
        """Ask a policy for the action of one observation, or the actions of a batch.

        Args:
            policy: its name.
            observations: by sensor name, or in sensor order; each sensor's value is one observation (its shape) or a
                batch ([N, *shape]): lists, arrays (anything with `tolist`), or a `Tensor`. Large arrays go as bytes.
            behavior: needed only when the policy has several.
            action_masks: [sum of branches] or [N, sum of branches], 1 = allowed; left out: all allowed.
            deterministic: the likeliest action; False samples from the policy.
            state: of a policy with a memory: None at an episode's start, then the `state` of the answer before; for a
                batch a list of them. Left out, nothing is remembered.

        Raises:
            InputError: a value is NaN or infinite; nothing was sent.
        """
        request = predict_request(
            observations, behavior=behavior, action_masks=action_masks, deterministic=deterministic, state=state
        )
        return self.predict_raw(policy, request)

    def predict_raw(self, policy: str, request: Mapping[str, Any]) -> Prediction:
        """As `predict`, with the body of the request as the API takes it."""
        return self._send(calls.predict(policy, request))

    # The APIs themselves

    def health(self, api: Api = "control") -> Health:
        """Whether an API answers, its version and stage."""
        return self._send(calls.get_health(api))

    def description(self, api: Api = "control") -> dict[str, Any]:
        """An API's OpenAPI document."""
        return self._send(calls.get_description(api))

    def _send(self, call: Call[T]) -> T:
        method, url, content = request_of(call, self.connection)
        return call.parse(self._transport.call(method, url, **content))

    def _carry_out(self, flow: Flow[T]) -> T:
        return flows.carry_out(flow, self._do)

    def _do(self, deed: Deed) -> Any:
        match deed:
            case Call():
                return self._send(deed)
            case PutFile():
                return self._transport.put(deed)
            case PutFiles(files):
                return self._transport.put_all(files)
            case Fetch(url, target):
                return self._transport.download(url, target)

    def _each(self, pages: Pages[T]) -> Iterator[T]:
        while call := pages.next_call():
            yield from pages.take(self._send(call))
