"""From a whole request to its answer: read, check, ask the model, write.

What is light is done at once, in the event loop: handing 40 µs of work to a thread costs twice as much. A heavy model
and a large body go to threads, one for each core, so that the loop goes on reading and `/ping` is answered.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.errors import InvalidArtifactError, RequestError
from rl_src.serving.http_connection import Reply, Request, Response
from rl_src.serving.metrics import Metrics
from rl_src.serving.onnx_policy import OnnxPolicy
from rl_src.serving.problems import problem
from rl_src.serving.questions import ask

HEAVY_SECONDS = 0.000_5
"""One agent's inference that takes longer than this is worth a thread."""
LARGE_BYTES = 131_072
"""Reading a body of this size takes about as long."""
_TRIALS = 5

log = logging.getLogger(__name__)


class Model:
    """What is served, ready to answer. `answer` is called from the event loop's thread."""

    def __init__(self, served: ServedPolicy, is_heavy: bool, cores: int, metrics: Metrics) -> None:
        self.version = served.version
        self.last_answer = time.monotonic()
        self._served = served
        self._metrics = metrics
        self._is_heavy = is_heavy
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
        began = time.perf_counter()
        if not self._is_heavy and len(request.body) <= LARGE_BYTES:
            self._reply(reply, self._answered(request), began)
            return

        def finish(done: "asyncio.Future[tuple[Response, int]]") -> None:
            self._reply(reply, done.result(), began)

        work = asyncio.get_running_loop().run_in_executor(self._threads, self._answered, request)
        work.add_done_callback(finish)

    def _answered(self, request: Request) -> tuple[Response, int]:
        """The response, and for how many agents the model was asked."""
        try:
            given = codec.media_type(request.content_type)
            wanted = codec.answer_type(request.accept, given)
            question = ask(self._served, codec.decode(request.body, given))
            results = question.served.policy.run(question.feed, question.deterministic)
            body = codec.encode(question.answer(self.version, *results), wanted)
        except RequestError as error:
            return problem(error.status, error.code, str(error)), 0
        except Exception:  # whatever it was, the caller gets an answer and the log the reason
            log.exception("an invocation failed")
            return problem(500, "Internal", "the model failed; the endpoint's log tells why"), 0
        return Response(200, wanted, body, self._headers), question.feed.count

    def _reply(self, reply: Reply, answered: tuple[Response, int], began: float) -> None:
        response, agents = answered
        now = time.perf_counter()
        if agents:
            self.last_answer = time.monotonic()
            self._metrics.inferred(agents)
        self._metrics.answered(response.status, now - began)
        reply(response)


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
