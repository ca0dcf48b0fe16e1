"""What an evaluation of a policy with a memory records is answered alike by the server's own code."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest

from pipeline.aws.invocations import invoke
from pipeline.contracts.evaluation import ParityPair
from pipeline.contracts.predict import InvocationRequest
from pipeline.rules.parity import differences
from rl_src.envs.batches import DecisionBatch
from rl_src.evaluation.parity import ParityRecorder
from rl_src.serving.onnx_policy import OnnxPolicy
from tests.fakes.onnx_policies import write_manifest, write_summing_policy
from tests.fakes.runtime_endpoint import RuntimeEndpoint, runtime_endpoint
from tests.fakes.served_endpoint import serve_artifact

SIZE = 2


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[RuntimeEndpoint]:
    write_summing_policy(tmp_path / "policies" / "Game.onnx", SIZE)
    with runtime_endpoint() as found:
        serve_artifact(found, write_manifest(tmp_path, {"Game": (SIZE,)}))
        yield found


def recorded(policy: OnnxPolicy) -> ParityPair:
    """Three decisions of one agent, each with the memory that the one before has left."""
    recorder, memory = ParityRecorder("Game", policy), np.zeros((1, SIZE), np.float32)
    for number in range(3):
        seen = np.full((1, SIZE), 1.0 + number, np.float32)
        nothing = np.zeros(1, np.float32)
        batch = DecisionBatch(np.array([1]), (seen,), nothing, None, np.zeros(1, np.int64), nothing)
        recorder.see(batch, [number], memory)
        *_, memory = policy.step([seen], None, True, memory)
    return ParityPair.model_validate(recorder.document(), strict=False)


def test_a_policy_with_a_memory_is_verified_from_what_it_remembered(endpoint: RuntimeEndpoint, tmp_path: Path) -> None:
    pair = recorded(OnnxPolicy.load(tmp_path / "policies" / "Game.onnx"))
    assert pair.memory == [[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]]
    request = InvocationRequest(behavior="Game", observations=list(pair.observations), memory=pair.memory)
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=endpoint.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    assert differences(pair, invoke(client, "game", request)) == []
    forgetful = request.model_copy(update={"memory": None})
    assert differences(pair, invoke(client, "game", forgetful))
