"""Ways that a run can take, in which its calls then go wrong."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.contracts.run import RunStatus
from pipeline.errors import DeadlineExceededError
from sample_builds.packer import pack
from tests.fakes.artifact_archives import invocation_answer
from tests.fakes.configured_builds import configured
from tests.fakes.faulty_clients import KINDS, Call
from tests.fakes.pipeline_stack import PipelineStack, pipeline_stack
from tests.fakes.sagemaker_double import IN_PROGRESS

Prepare = Callable[[PipelineStack, bytes], bytes]
"""Of a stack and a build: what comes before, and the build that is then dropped."""

_SCALED = {"mode": "realtime", "instance_count": 2, "max_instance_count": 4}
_OTHER_MACHINE = "ml.m7i.large"


class Scenario(NamedTuple):
    """A run; of the calls that it makes, those of other states or services are the first run's, too."""

    prepare: Prepare
    outcome: RunStatus
    """What becomes of the run when nothing goes wrong."""
    states: frozenset[str] = frozenset()
    """None named: all."""
    services: frozenset[str] = frozenset()
    """None named: all."""

    def is_about(self, call: Call) -> bool:
        return (not self.states or call.state in self.states) and (not self.services or call.service in self.services)


@cache
def packed_build() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return pack("Basic", Path(folder)).read_bytes()


def run_dropped(stack: PipelineStack, build: bytes) -> None:
    """The run that faults are injected into."""
    stack.begin(stack.put("builds/Basic.zip", build))
    stack.wait_for_executions()


def first_run(stack: PipelineStack, build: bytes) -> bytes:
    """Nothing is there yet."""
    return build


def next_run(stack: PipelineStack, build: bytes) -> bytes:
    """A policy is in service, whose endpoint is updated, for the next one is better."""
    stack.returns[:] = [0.8, 0.93]
    run_dropped(stack, build)
    return build


def failing_training(stack: PipelineStack, build: bytes) -> bytes:
    """The training job fails."""
    failed = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError: broken"}
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS, failed]
    return build


def endless_training(stack: PipelineStack, build: bytes) -> bytes:
    """The training job is still at work when its time is over, and is stopped."""
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS]
    stack.broken["CheckTraining"] = [DeadlineExceededError("The job takes too long.", "Ask for less.")]
    return build


def wrong_first_answer(stack: PipelineStack, build: bytes) -> bytes:
    """The new endpoint answers otherwise than the evaluation did: it is deleted."""
    stack.runtime.answer = _wrong
    return build


def wrong_next_answer(stack: PipelineStack, build: bytes) -> bytes:
    """The updated endpoint answers otherwise: it goes back to the former version."""
    next_run(stack, build)
    stack.runtime.answer = _wrong
    return build


def scaled_update(stack: PipelineStack, build: bytes) -> bytes:
    """A real-time endpoint whose instances come and go is moved to another machine, watched by alarms."""
    next_run(stack, configured(build, endpoint=_SCALED))
    return configured(build, seed=1, endpoint=_SCALED | {"instance_type": _OTHER_MACHINE})


def wrong_scaled_answer(stack: PipelineStack, build: bytes) -> bytes:
    """The same endpoint answers otherwise then: it goes back, and scales as it did."""
    changed = scaled_update(stack, build)
    stack.runtime.answer = _wrong
    return changed


def _wrong(request: Any, version: str) -> bytes:
    return invocation_answer(request, "another-version")


_NEXT_STATES = frozenset({"StartEvaluation", "DecidePromotion", "DeployEndpoint", "CheckEndpoint", "VerifyEndpoint"})
_SCALING = frozenset({"cloudwatch", "application_autoscaling"})

_WELL, _BADLY = RunStatus.SUCCEEDED, RunStatus.FAILED

SCENARIOS = {
    "first run": Scenario(first_run, _WELL),
    "next run": Scenario(next_run, _WELL, _NEXT_STATES),
    "failing training": Scenario(failing_training, _BADLY, frozenset({"CheckTraining", "FinishRun"})),
    "endless training": Scenario(endless_training, _BADLY, frozenset({"FinishRun"})),
    "wrong answers": Scenario(wrong_first_answer, _BADLY, frozenset({"VerifyEndpoint", "FinishRun"})),
    "wrong answers after an update": Scenario(wrong_next_answer, _BADLY, frozenset({"FinishRun"})),
    "scaled update": Scenario(scaled_update, _WELL, _NEXT_STATES, _SCALING),
    "wrong answers after a scaled update": Scenario(wrong_scaled_answer, _BADLY, frozenset({"FinishRun"}), _SCALING),
}


class Calls(NamedTuple):
    """What a scenario's run calls when nothing goes wrong, as far as the scenario is about it."""

    made: tuple[Call, ...]
    left_out: dict[tuple[Call, str], str]
    """Why AWS would not answer a call so, by call and kind."""

    def kinds(self, call: Call) -> list[str]:
        """How this call can go wrong."""
        return [kind for kind in KINDS if (call, kind) not in self.left_out]


@cache
def calls_of(name: str) -> Calls:
    scenario = SCENARIOS[name]
    with pipeline_stack() as stack:
        build = scenario.prepare(stack, packed_build())
        stack.faults.forget()
        run_dropped(stack, build)
        newest = stack.newest()
        assert newest.status is scenario.outcome, f"{name}: {newest.failure}"
    made = {call for call in stack.faults.made if scenario.is_about(call)}
    left_out = {(call, kind): why for (call, kind), why in stack.faults.left_out.items() if call in made}
    return Calls(tuple(sorted(made)), left_out)
