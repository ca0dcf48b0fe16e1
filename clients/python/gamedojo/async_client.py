"""The Python client of a gamedojo stack for asyncio: the methods of `client`, to be awaited."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gamedojo import calls, flows
from gamedojo.async_transport import AsyncTransport
from gamedojo.calls import Api, Call
from gamedojo.connection import Connection, find_connection
from gamedojo.errors import GamedojoError
from gamedojo.flows import Deed, Fetch, Flow, Pages, PutFiles
from gamedojo.following import Patience, follow_run_async
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
from gamedojo.uploading import PartialUpload, UploadOptions, upload
from gamedojo.wire import OnProgress, PutFile

T = TypeVar("T")


class AsyncGamedojoClient:
    """Trains policies and asks them, through a stack's two REST APIs, within one event loop.

        async with AsyncGamedojoClient() as client:
            predictions = await asyncio.gather(*(client.predict("mygame", [one]) for one in observations))

    Arguments, answers and errors are those of `GamedojoClient`, whose methods tell them.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        *,
        timeout_seconds: float = 35.0,
        retry: RetryPolicy | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        self.connection = connection or find_connection()
        self._transport = transport or AsyncTransport(timeout_seconds=timeout_seconds, retry=retry)

    async def __aenter__(self) -> "AsyncGamedojoClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        await self._transport.close()

    # Training runs

    async def train(
        self,
        build: Path,
        request: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str = "",
        on_progress: OnProgress = lambda *_: None,
    ) -> CreatedRun:
        """Upload a build and start a training run on it."""
        uploading = upload(build, UploadOptions(on_progress=on_progress))
        return await self._carry_out(flows.train(uploading, request or {}, idempotency_key))

    async def create_run(self, request: Mapping[str, Any], *, idempotency_key: str = "") -> CreatedRun:
        """Start a training run. Retries of this call are one run; so are all calls with one `idempotency_key`."""
        return await self._send(calls.start_run(request, idempotency_key))

    async def run(self, run_id: str) -> Run:
        """Everything known about a run."""
        return await self._send(calls.get_run(run_id))

    async def runs(
        self,
        *,
        policy: str = "",
        status: str = "",
        build_sha256: str = "",
        limit: int | None = None,
        next_token: str = "",
    ) -> RunPage:
        """One page of runs, newest first; at most 100."""
        return await self._send(calls.list_runs(policy, status, build_sha256, limit, next_token))

    def iterate_runs(
        self, *, policy: str = "", status: str = "", build_sha256: str = "", limit: int = 100
    ) -> AsyncIterator[Run]:
        """The newest `limit` runs, page by page."""
        return self._each(flows.pages_of_runs(policy, status, build_sha256, limit))

    def follow(
        self,
        run_id: str,
        patience: Patience | None = None,
        *,
        on_trouble: Callable[[GamedojoError | None], None] = lambda _: None,
    ) -> AsyncIterator[Run]:
        """The run's record at every look, until it has ended; raises as `follow_run`."""
        return follow_run_async(self.run, run_id, patience, on_trouble=on_trouble)

    async def cancel(self, run_id: str) -> Run:
        """End a run, whatever it is doing; one that is over stays as it was. May be repeated."""
        return await self._send(calls.cancel_run(run_id))

    async def redrive(self, run_id: str) -> Run:
        """Begin a run that failed or was cancelled again, after its last completed job."""
        return await self._send(calls.redrive_run(run_id))

    async def metrics(
        self, run_id: str, *, behavior: str = "", metrics: Sequence[str] = (), points: int | None = None
    ) -> MetricsSeries:
        """The series of a training: every metric, or those named, of every behavior, or the one named."""
        return await self._send(calls.get_metrics(run_id, behavior, tuple(metrics), points))

    async def logs(self, run_id: str, *, job: str = "", limit: int | None = None, next_token: str = "") -> LogPage:
        """The newest lines that the run's jobs have printed, or those since the page with `next_token`."""
        return await self._send(calls.get_logs(run_id, job, limit, next_token))

    async def report(self, run_id: str) -> EvaluationReport:
        """The evaluation's report."""
        return await self._send(calls.get_report(run_id))

    async def artifacts(self, run_id: str) -> dict[str, str]:
        """The run's files: name to a URL that is valid for a while."""
        return await self._send(calls.get_artifacts(run_id))

    async def download_artifacts(
        self, run_id: str, into: Path, *, on_file: Callable[[Path], None] = lambda _: None
    ) -> list[Path]:
        """Fetch every file of a run into a directory; a file appears there only when it is whole."""
        return await self._carry_out(flows.download_artifacts(run_id, into, on_file))

    # Builds

    async def upload_build(
        self,
        build: Path,
        *,
        in_parts: bool | None = None,
        resume: PartialUpload | None = None,
        on_progress: OnProgress = lambda *_: None,
        on_begun: Callable[[PartialUpload], None] = lambda _: None,
    ) -> str:
        """Upload a build and answer its key in the stack's bucket. Starts no run."""
        return await self._carry_out(upload(build, UploadOptions(in_parts, resume, on_progress, on_begun)))

    async def new_build(self, file_name: str, size_bytes: int | None = None) -> BuildUpload | MultipartUpload:
        """A place for a build, for those who send it themselves: as a whole, or with its size in parts."""
        return await self._send(calls.new_build(file_name, size_bytes))

    async def part_urls(self, build_id: str, first: int = 1, count: int = 100) -> PartUrls:
        """Where to PUT `count` parts from number `first` on."""
        return await self._send(calls.get_part_urls(build_id, first, count))

    async def complete_build(self, build_id: str, size_bytes: int) -> Build:
        """Put the parts together; a build that is complete stays as it is."""
        return await self._send(calls.complete_build(build_id, size_bytes))

    async def build(self, build_id: str) -> Build:
        """One build; while it is in parts, those that have come."""
        return await self._send(calls.get_build(build_id))

    async def builds(self, *, limit: int | None = None, next_token: str = "") -> BuildPage:
        """One page of builds, by key; at most 1000."""
        return await self._send(calls.list_builds(limit, next_token))

    def iterate_builds(self, *, limit: int = 1000) -> AsyncIterator[Build]:
        """The first `limit` builds, page by page."""
        return self._each(flows.pages_of_builds(limit))

    async def delete_build(self, build_id: str) -> DeletedBuild:
        """Remove a build, or give up one that is in parts. Runs keep copies of their own."""
        return await self._send(calls.delete_build(build_id))

    async def registry(self) -> tuple[RegistryEntry, ...]:
        """Environments of a registry that were mirrored; a request names one as `{"build": {"registry": id}}`."""
        return await self._send(calls.list_environments())

    async def mirror_environment(
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
        """Make an upload the build of an environment; the same zip once more changes nothing."""
        call = calls.mirror_environment(
            environment, key, sha256, source, arguments, expected_return, description, replace
        )
        return await self._send(call)

    async def delete_environment(self, environment: str) -> DeletedEnvironment:
        """Forget a mirrored environment, with its zips; runs keep copies of their own."""
        return await self._send(calls.delete_environment(environment))

    # Policies

    async def policies(self) -> tuple[Policy, ...]:
        """The policies in service."""
        return await self._send(calls.list_policies())

    async def policy(self, policy: str) -> Policy:
        """A policy in service: its version, its endpoint, what goes in and out."""
        return await self._send(calls.get_policy(policy))

    async def policy_history(self, policy: str) -> tuple[ServedVersion, ...]:
        """What was in service under this name, newest first."""
        return await self._send(calls.get_history(policy))

    async def traffic(self, policy: str, *, window: str = "") -> PolicyTraffic:
        """How often a policy's endpoint was asked, what failed, how long its model took: in the last 1h, 24h or 7d."""
        return await self._send(calls.get_traffic(policy, window))

    async def rollback(self, policy: str, version: str = "") -> Run:
        """Bring the version before, or the named one, into service again: a run, which can be followed."""
        return await self._send(calls.roll_back(policy, version))

    async def wake(self, policy: str) -> Run:
        """Bring back an endpoint that was taken down because nobody asked it: a run, which can be followed."""
        return await self._send(calls.wake(policy))

    async def delete_policy(self, policy: str) -> DeletedPolicy:
        """Take a policy out of service, with endpoint, models and files; its runs stay."""
        return await self._send(calls.delete_policy(policy))

    async def predict(
        self,
        policy: str,
        observations: Mapping[str, Any] | Sequence[Any],
        *,
        behavior: str = "",
        action_masks: Any = None,
        deterministic: bool = True,
        state: State | NotGiven = NOT_GIVEN,
    ) -> Prediction:
        """Ask a policy for the action of one observation, or the actions of a batch."""
        request = predict_request(
            observations, behavior=behavior, action_masks=action_masks, deterministic=deterministic, state=state
        )
        return await self.predict_raw(policy, request)

    async def predict_raw(self, policy: str, request: Mapping[str, Any]) -> Prediction:
        """As `predict`, with the body of the request as the API takes it."""
        return await self._send(calls.predict(policy, request))

    # The APIs themselves

    async def health(self, api: Api = "control") -> Health:
        """Whether an API answers, its version and stage."""
        return await self._send(calls.get_health(api))

    async def description(self, api: Api = "control") -> dict[str, Any]:
        """An API's OpenAPI document."""
        return await self._send(calls.get_description(api))

    async def _send(self, call: Call[T]) -> T:
        method, url, content = request_of(call, self.connection)
        return call.parse(await self._transport.call(method, url, **content))

    async def _carry_out(self, flow: Flow[T]) -> T:
        return await flows.carry_out_async(flow, self._do)

    async def _do(self, deed: Deed) -> Any:
        match deed:
            case Call():
                return await self._send(deed)
            case PutFile():
                return await self._transport.put(deed)
            case PutFiles(files):
                return await self._transport.put_all(files)
            case Fetch(url, target):
                return await self._transport.download(url, target)

    async def _each(self, pages: Pages[T]) -> AsyncIterator[T]:
        while call := pages.next_call():
            for entry in pages.take(await self._send(call)):
                yield entry
