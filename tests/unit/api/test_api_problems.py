"""Errors as answers: every error class has a status of its kind and shows its own stable code."""

import json

import pytest

from pipeline import errors
from pipeline.api import problems
from pipeline.contracts.predict import PredictRequest
from pipeline.contracts.problem import Problem
from pipeline.contracts.request import TrainingRequest
from pipeline.contracts.validation import InvalidDocumentError, read_document


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.mark.parametrize("kind", sorted(subclasses(errors.PipelineError), key=lambda kind: kind.__name__))
def test_every_error_is_answered_with_its_code_cause_and_remedy(kind):
    problem = problems.of_error(kind("It broke.", "Mend it."))
    assert (problem.code, problem.detail, problem.remedy) == (kind.code(), "It broke.", "Mend it.")
    family = 400 if issubclass(kind, errors.InputError | errors.ThrottledError | errors.LeaseHeldError) else 500
    assert family <= problem.status < family + 100


@pytest.mark.parametrize("kind", sorted(subclasses(errors.TransientError), key=lambda kind: kind.__name__))
def test_a_caller_is_not_told_that_somebody_else_tries_again(kind):
    assert "it is tried again" in errors.TransientError.default_remedy
    assert "it is tried again" not in problems.of_error(kind("It broke.")).remedy


@pytest.mark.parametrize(
    ("kind", "status", "retry"),
    [
        (errors.ModelNotReadyError, 503, True),
        (errors.NotYetConsistentError, 503, True),
        (errors.ThrottledError, 429, True),
        (errors.ModelError, 502, False),
        (errors.PolicyNotFoundError, 404, False),
        (errors.InvalidObservationError, 400, False),
        (errors.DeadlineExceededError, 504, False),
    ],
)
def test_statuses_of_the_predict_api(kind, status, retry):
    answer = problems.to_proxy_response(problems.of_error(kind("x")))
    assert answer["statusCode"] == status
    assert ("Retry-After" in answer["headers"]) is retry
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert Problem.model_validate_json(answer["body"]).status == status


def test_a_document_with_several_faults_names_each_field():
    body = json.dumps({"build": {"key": "uploads/a.zip"}, "hyperparameters": {"lrr": 1}, "seed": "7"})
    with pytest.raises(InvalidDocumentError) as caught:
        read_document(TrainingRequest, body)
    problem = problems.of_invalid_document(caught.value)
    assert {entry.field for entry in problem.errors} == {"hyperparameters.lrr", "seed"}
    assert problem.status == 400
    assert "'lr'" in next(entry.message for entry in problem.errors if entry.field == "hyperparameters.lrr")


def test_an_unforeseen_error_shows_nothing_but_its_request_id():
    problem = problems.internal("req-1")
    assert problem.status == 500
    assert "req-1" in problem.detail


@pytest.mark.parametrize(
    ("observations", "fields"),
    [(1, {"observations"}), ({"eye": 1}, {"observations.eye"}), ([[0], 1], {"observations.1"})],
)
def test_a_field_of_several_forms_is_named_without_pydantics_own_words(observations, fields):
    with pytest.raises(InvalidDocumentError) as caught:
        read_document(PredictRequest, json.dumps({"observations": observations}))
    assert {entry.field for entry in caught.value.problems} == fields
