"""What a job prints may hold a key of somebody: it stands in no log, no execution, no record and no message of ours."""

import io
import json
from typing import Any

import pytest

from pipeline.observability import logger
from tests.fakes.pipeline_stack import PipelineStack
from tests.fakes.sagemaker_double import IN_PROGRESS

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SAID = f"uploading scores with AWS_SECRET_ACCESS_KEY={SECRET}"


@pytest.mark.parametrize(
    ("reason", "log"),
    [
        ("AlgorithmError: , exit code: 1", SAID),
        (f"AlgorithmError: {SAID}", "nothing"),
        (f"AlgorithmError: [BuildCrashed] {SAID} Remedy: Rotate password={SECRET}, exit code: 1", "nothing"),
    ],
    ids=["in the log", "in SageMaker's reason", "in the container's own words"],
)
def test_a_key_that_a_job_prints_is_shown_to_nobody(
    stack: PipelineStack,
    basic: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    reason: str,
    log: str,
) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", printed)
    failed = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": reason}
    stack.sagemaker.script = lambda step, request: [IN_PROGRESS, failed]
    create = stack.sagemaker.create_training_job

    def print_and_create(**request: Any) -> Any:
        stack.print(request["TrainingJobName"], "Starting.", log)
        return create(**request)

    stack.sagemaker.create_training_job = print_and_create  # type: ignore[method-assign]
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    history = stack.sfn.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)["events"]
    shown = {
        "the Lambdas' log": printed.getvalue(),
        "what else is logged": caplog.text,
        "the execution": json.dumps([execution, history], default=str),
        "the record": record.model_dump_json(),
        "the messages": json.dumps(stack.messages()),
    }
    assert [where for where, text in shown.items() if SECRET in text] == []
    assert "***" in shown["the Lambdas' log"], "it was there to be hidden"
    assert record.failure is not None
    assert "***" in record.failure.cause
