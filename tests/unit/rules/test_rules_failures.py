"""What a game developer is told of a failure, by the way that it came."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors
from pipeline.rules import job_failures
from pipeline.rules.failures import FOR_OPERATORS, classify
from pipeline.rules.job_failures import job_failure

WRITTEN = (
    "[BuildCrashed] The build ended with signal 11 (SIGSEGV). Last lines of its log: 'boom' "
    "Remedy: Play the build on Linux."
)


def by_lambda(error: Exception) -> str:
    """The Cause that Step Functions hands on of a Lambda's error."""
    return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": ["…"]})


def pipeline_errors() -> list[type[errors.PipelineError]]:
    found = [errors.PipelineError]
    for one in found:
        found += one.__subclasses__()
    return found


@pytest.mark.parametrize("kind", pipeline_errors(), ids=lambda kind: kind.__name__)
def test_each_error_of_ours_keeps_code_cause_and_remedy(kind):
    failure = classify("CheckTraining", kind.__name__, by_lambda(kind("It broke.", "Mend it.")))
    assert (failure.state, failure.cause, failure.remedy) == ("CheckTraining", "It broke.", "Mend it.")
    assert failure.code == ("Internal" if kind is errors.PipelineError else kind.__name__.removesuffix("Error"))
    assert failure.retryable == issubclass(kind, errors.TransientError)


def test_the_jobs_own_code_comes_through_to_the_user():
    found = job_failure(f"AlgorithmError: {WRITTEN}, exit code: 1")
    error = errors.TrainingFailedError(f"[{found.code}] {found.cause}", found.remedy)
    failure = classify("CheckTraining", "TrainingFailedError", by_lambda(error))
    assert failure.code == "BuildCrashed"
    assert failure.cause.startswith("The build ended with signal 11")
    assert failure.remedy == "Play the build on Linux."
    assert not failure.retryable


def test_an_error_without_remedy_of_its_own_has_its_classes():
    failure = classify("InspectBuild", "BuildRejectedError", by_lambda(errors.BuildRejectedError("No zip.")))
    assert failure.remedy == errors.BuildRejectedError.default_remedy


@pytest.mark.parametrize("kind", [errors.ThrottledError, errors.LeaseHeldError, errors.NotYetConsistentError])
def test_what_was_tried_again_in_vain_is_not_said_to_be_tried_again(kind):
    failure = classify("DeployEndpoint", kind.__name__, by_lambda(kind("Not now.")))
    assert failure.retryable
    assert "redrive" in failure.remedy
    assert "is tried again" not in failure.remedy


@pytest.mark.parametrize("name", ["States.Timeout", "Sandbox.Timedout"])
def test_a_step_that_took_too_long_may_be_tried_again(name):
    failure = classify("StartTraining", name, "")
    assert (failure.code, failure.retryable) == ("Timeout", True)


@pytest.mark.parametrize("name", ["Lambda.Unknown", "Runtime.ExitError"])
def test_a_lambda_that_ended_without_an_answer(name):
    assert classify("ExtractCheckpoint", name, '{"errorMessage": "signal: killed"}').code == "OutOfMemory"


@pytest.mark.parametrize("name", ["KeyError", "errors", "PipelineErrors", "json", "", "Exception", "ClassVar"])
def test_everything_else_is_our_fault_and_says_so(name):
    failure = classify("DecidePromotion", name, json.dumps({"errorMessage": "'run'", "errorType": name}))
    assert (failure.code, failure.state) == ("Internal", "DecidePromotion")
    assert "'run'" in failure.cause
    assert "our side" in failure.remedy
    assert not failure.retryable


@given(st.text(), st.text(), st.one_of(st.text(), st.recursive(st.integers() | st.text(), st.lists).map(json.dumps)))
def test_nothing_that_step_functions_can_say_breaks_the_telling(state, error, cause):
    assert re.fullmatch(r"[A-Za-z]+", classify(state, error, cause).code)


@given(st.text())
def test_nothing_that_sagemaker_can_say_breaks_the_telling(reason):
    _, cause, remedy, _ = job_failure(reason)
    assert cause
    assert remedy


def test_operators_are_told_of_what_stays_unavailable_and_not_of_what_users_mend():
    kinds = pipeline_errors()
    assert {one.code() for one in kinds if issubclass(one, errors.TransientError)} - {"Transient"} <= FOR_OPERATORS
    assert not {one.code() for one in kinds if issubclass(one, errors.InputError)} & FOR_OPERATORS
    assert {"Internal", "Timeout"} <= FOR_OPERATORS


def test_every_code_of_operators_is_one_that_a_run_can_fail_with():
    of_jobs = {one.code for one in (*job_failures._REASONS, *job_failures._LOG)}
    assert {one.code() for one in pipeline_errors()} | of_jobs | {
        "Internal",
        "Timeout",
    } | CODES_OF_JOBS >= FOR_OPERATORS


CODES_OF_JOBS = {"UnknownOrigin"}
"""Those of containers, which write them themselves."""


def test_a_cause_with_very_many_names_stays_what_the_state_machine_can_carry() -> None:
    error = errors.BuildRejectedError(f"The zip holds {'x' * 500_000}.", "Zip less.")
    assert str(error).startswith("The zip holds xxx")
    assert str(error).endswith("x … Remedy: Zip less.")
    assert len(str(error)) < 8000
