"""From a whole request to its answer: read, check, ask the model, write.

What is light is done in the event loop, for all that has arrived at once (`batching`): handing 40 µs of work to a
thread costs twice as much. A heavy model and a large body go to threads, one for each core and each request on its own,
so that the loop goes on reading and `/ping` is answered.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.batching import Actions, Batcher
from rl_src.serving.errors import InvalidArtifactError, RequestError
from rl_src.serving.http_connection import Reply, Request, Response
from rl_src.serving.metrics import Metrics
from rl_src.serving.onnx_policy import OnnxPolicy
from rl_src.serving.problems import problem
from rl_src.serving.questions import Question, ask

HEAVY_SECONDS = 0.000_5
"""One agent's inference that takes longer than this is worth a thread."""
LARGE_BYTES = 131_072
"""Reading a body of this size takes about as long."""
_TRIALS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pending:
    reply: Reply
    began: float


class Model:
    """What is served, ready to answer. `answer` is called from the event loop's thread."""

    def __init__(self, served: ServedPolicy, is_heavy: bool, cores: int, metrics: Metrics) -> None:
        self.policy, self.version = served.policy, served.version
        self.last_answer = time.monotonic()
        self._served = served
        self._metrics = metrics
        self._is_heavy = is_heavy
        self._batcher = Batcher(metrics.inferred)
        self._threads = ThreadPoolExecutor(cores, "inference")
        self._headers = f"x-amzn-sagemaker-custom-attributes: version={served.version}\r\n".encode()

    @classmethod
    def load(cls, folder: Path, cores: int, metrics: Metrics) -> "Model":
        """Load the artifact and have every behavior answer once.

        Raises:
            InvalidArtifactError: it cannot be served.
        """
        served = load_artifact(folder, threads=1)
        is_heavy = max(_trial(name, policy) for name, policy in served.policies.items()) > HEAVY_SECONDS
        if is_heavy and cores > 1:
            served = load_artifact(folder, threads=cores)
        return cls(served, is_heavy, cores, metrics)

    def answers(self) -> bool:
        """Whether every behavior's model gives finite actions, now."""
        return all(policy.answers() for policy in self._served.policies.values())

    def answer(self, request: Request, reply: Reply) -> None:
        """One invocation; `reply` is called from the event loop's thread."""
        pending = _Pending(reply, time.perf_counter())
        if self._is_heavy or len(request.body) > LARGE_BYTES:
            work = asyncio.get_running_loop().run_in_executor(self._threads, self._answered, request)
            work.add_done_callback(lambda done: self._reply(pending, *done.result()))
            return
        try:
            wanted, question = self._read(request)
        except Exception as error:
            self._reply(pending, _refusal(error))
            return
        self._batcher.ask(question, lambda actions: self._reply(pending, self._written(question, wanted, actions)))

    def _answered(self, request: Request) -> tuple[Response, int]:
        """From the request to its answer in one go, and for how many agents the model was asked."""
        try:
            wanted, question = self._read(request)
            actions = question.served.policy.run(question.feed, question.deterministic)
        except Exception as error:
            return _refusal(error), 0
        return self._written(question, wanted, actions), question.feed.count

    def _read(self, request: Request) -> tuple[str, Question]:
        """The format of the answer, and what the model is asked."""
        given = codec.media_type(request.content_type)
        return codec.answer_type(request.accept, given), ask(self._served, codec.decode(request.body, given))

    def _written(self, question: Question, wanted: str, actions: Actions | Exception) -> Response:
        if isinstance(actions, Exception):
            return _refusal(actions)
        self.last_answer = time.monotonic()
        body = codec.encode(question.answer(self.version, *actions), wanted)
        return Response(200, wanted, body, self._headers)

    def _reply(self, pending: _Pending, response: Response, agents: int = 0) -> None:
        if agents:
            self._metrics.inferred(1, agents)
        self._metrics.answered(response.status, time.perf_counter() - pending.began)
        pending.reply(response)


def _refusal(error: Exception) -> Response:
    """Whatever it was, the caller gets an answer, and the log the reason of what is not the caller's."""
    if isinstance(error, RequestError):
        return problem(error.status, error.code, str(error))
    log.error("an invocation failed", exc_info=error)
    return problem(500, "Internal", "the model failed; the endpoint's log tells why")


def _trial(name: str, policy: OnnxPolicy) -> float:
    """Seconds that one agent's inference takes: the shortest of a few, so that a busy machine makes no model heavy."""
    if not policy.answers():
        raise InvalidArtifactError(f"the model of behavior {name!r} gives no finite action")
    seconds = []
    for _ in range(_TRIALS):
        began = time.perf_counter()
        policy.answers()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
