"""What a game developer is told, from what Step Functions, SageMaker and our own errors say."""

import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors
from pipeline.errors import PipelineError
from pipeline.rules.failures import classify, job_failure

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PipelineError)]
words = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1).filter(
    lambda text: "Remedy:" not in text and text == text.strip()
)


def lambda_error(error: Exception) -> str:
    """What the Lambda runtime makes of an exception, and Step Functions hands on as Cause."""
    return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []})


@pytest.mark.parametrize("kind", KINDS)
def test_each_of_our_errors_keeps_code_cause_and_remedy_on_its_way_through_lambda(kind: type[PipelineError]) -> None:
    error = kind("It broke.", "Mend it.")
    failure = classify("InspectBuild", kind.__name__, lambda_error(error))
    code = "Internal" if kind is PipelineError else kind.code()
    assert (failure.code, failure.state, failure.cause, failure.remedy) == (
        code,
        "InspectBuild",
        "It broke.",
        "Mend it.",
    )
    assert failure.retryable is issubclass(kind, errors.TransientError)


@given(words, words)
def test_any_words_survive(cause: str, remedy: str) -> None:
    failure = classify("S", "BuildRejectedError", lambda_error(errors.BuildRejectedError(cause, remedy)))
    assert (failure.cause, failure.remedy) == (cause, remedy)


@given(st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True), words, words)
def test_what_a_container_wrote_arrives_in_the_record(code: str, cause: str, remedy: str) -> None:
    reason = f"AlgorithmError: [{code}] {cause} Remedy: {remedy}, exit code: 1"
    error = errors.TrainingFailedError(*job_failure(reason))
    failure = classify("CheckTraining", "TrainingFailedError", lambda_error(error))
    assert (failure.code, failure.cause, failure.remedy) == (code, cause, remedy)


@pytest.mark.parametrize(
    ("reason", "code", "word"),
    [
        ("InternalServerError: We encountered an internal error.", "TrainingFailed", "internal error"),
        ("", "TrainingFailed", "without saying why"),
        ("AlgorithmError: , exit code: 137", "OutOfMemory", "memory"),
        ("AlgorithmError: exit code: 1", "TrainingFailed", "exit code: 1"),
        ("CapacityError: Unable to provision requested ML compute capacity.", "Capacity", "Unable to provision"),
    ],
)
def test_a_reason_that_is_not_our_containers(reason: str, code: str, word: str) -> None:
    error = errors.TrainingFailedError(*job_failure(reason))
    failure = classify("CheckTraining", "TrainingFailedError", lambda_error(error))
    assert failure.code == code
    assert word in failure.cause
    assert failure.remedy


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("States.Timeout", "Timeout"),
        ("Sandbox.Timedout", "Timeout"),
        ("Lambda.Unknown", "OutOfMemory"),
        ("Runtime.ExitError", "OutOfMemory"),
        ("States.TaskFailed", "Internal"),
    ],
)
def test_what_step_functions_and_lambda_name_themselves(error: str, code: str) -> None:
    failure = classify("ExtractCheckpoint", error, "whatever")
    assert (failure.code, failure.retryable) == (code, True)


@given(st.text(), st.text())
def test_anything_else_is_a_fault_of_ours_and_never_breaks(error: str, cause: str) -> None:
    failure = classify("S", error, cause)
    assert failure.code
    assert failure.remedy


def test_an_unknown_error_is_told_with_its_name() -> None:
    failure = classify("S", "KeyError", lambda_error(KeyError("oops")))
    assert (failure.code, failure.cause) == ("Internal", "KeyError: 'oops'")


def test_names_in_the_error_module_that_are_no_errors_are_none() -> None:
    assert classify("S", "ClassVar", "x").code == "Internal"
