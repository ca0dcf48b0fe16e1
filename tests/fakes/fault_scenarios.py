"""Ways that a run can take, in which its calls then go wrong."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sample_builds.packer import pack
from tests.fakes.artifact_archives import invocation_answer
from tests.fakes.faulty_clients import Call
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack
from tests.fakes.sagemaker_double import IN_PROGRESS

Scenario = Callable[[PipelineStack, bytes], Any]


@cache
def packed_build() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return pack("Basic", Path(folder)).read_bytes()


def first_run(stack: PipelineStack, build: bytes) -> None:
    """Nothing is there yet."""


def next_run(stack: PipelineStack, build: bytes) -> None:
    """A policy is in service, whose endpoint is updated, for the next one is better."""
    stack.returns[:] = [0.8, 0.93]
    stack.execute(stack.put("builds/Basic.zip", build))


def failing_training(stack: PipelineStack, build: bytes) -> None:
    """The training job fails."""
    failed = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError: broken"}
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS, failed]


def wrong_first_answer(stack: PipelineStack, build: bytes) -> None:
    """The new endpoint answers otherwise than the evaluation did: it is deleted."""
    stack.runtime.answer = _wrong


def wrong_next_answer(stack: PipelineStack, build: bytes) -> None:
    """The updated endpoint answers otherwise: it goes back to the former version."""
    next_run(stack, build)
    stack.runtime.answer = _wrong


def _wrong(request: Any, version: str) -> bytes:
    return invocation_answer(request, "another-version")


SCENARIOS: dict[str, tuple[Scenario, frozenset[str]]] = {
    "first run": (first_run, frozenset()),
    "next run": (
        next_run,
        frozenset({"StartEvaluation", "DecidePromotion", "DeployEndpoint", "CheckEndpoint", "VerifyEndpoint"}),
    ),
    "failing training": (failing_training, frozenset({"CheckTraining", "FinishRun"})),
    "wrong answers": (wrong_first_answer, frozenset({"VerifyEndpoint", "FinishRun"})),
    "wrong answers after an update": (wrong_next_answer, frozenset({"FinishRun"})),
}
"""By name: how it is prepared, and the states whose calls differ from the first run's (none named: all)."""


@cache
def calls_of(scenario: str) -> tuple[Call, ...]:
    """Every call that the run makes when nothing goes wrong, in the states that the scenario is about."""
    prepare, states = SCENARIOS[scenario]
    with pipeline_stack() as stack:
        prepare(stack, packed_build())
        begun = len(stack.faults.made)
        stack.execute(stack.put("builds/Basic.zip", packed_build()))
        made = stack.faults.made[begun:]
    return tuple(sorted({call for call in made if not states or call.state in states}))
