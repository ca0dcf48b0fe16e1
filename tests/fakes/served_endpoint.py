"""An endpoint with the inference server's own reading, ONNX Runtime and writing behind SageMaker's protocol."""

import json
from pathlib import Path
from typing import Any

from rl_src.serving import codec
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.errors import RequestError
from rl_src.serving.questions import ask
from tests.fakes.runtime_endpoint import Answer, RuntimeEndpoint


def serve_artifact(endpoint: RuntimeEndpoint, folder: Path) -> ServedPolicy:
    """Have the endpoint answer with the policies of this artifact from now on."""
    served = load_artifact(folder)

    def respond(_: str, body: Any) -> Answer:
        given, wanted = endpoint.media[-1]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            question = ask(served, codec.decode(raw, codec.media_type(given)))
        except RequestError as error:
            problem = json.dumps({"status": error.status, "code": error.code, "detail": str(error)})
            said = {"OriginalStatusCode": error.status, "OriginalMessage": problem}
            return Answer(said, status=424, error="ModelError")
        results = question.served.policy.run(question.feed, question.deterministic)
        answer = question.answer(served.version, *results)
        return Answer(codec.encode(answer, codec.answer_type(wanted, codec.media_type(given))))

    endpoint.respond = respond
    return served
