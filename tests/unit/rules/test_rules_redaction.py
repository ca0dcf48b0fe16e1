"""Secrets do not reach those who read of a failure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors
from pipeline.rules.failures import classify
from pipeline.rules.redaction import redact

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "text",
    [
        "key AKIAIOSFODNN7EXAMPLE used",
        "ASIAIOSFODNN7EXAMPLE",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"aws_secret_access_key = {SECRET}",
        f'{{"SecretAccessKey": "{SECRET}", "a": 1}}',
        f"aws_session_token: {SECRET}",
        f"https://b.s3.amazonaws.com/k?X-Amz-Signature={SECRET.lower()}&x=1",
        f"https://b.s3.amazonaws.com/k?X-Amz-Security-Token={SECRET}",
        f"x-api-key: {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"password={SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_made_unreadable(text):
    hidden = redact(f"before {text} after")
    assert SECRET not in hidden
    assert SECRET.lower() not in hidden
    assert "IOSFODNN7EXAMPLE" not in hidden
    assert "***" in hidden
    assert hidden.startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "The build ended with signal 11 (SIGSEGV).",
        "s3://bucket/runs/basic-0123456789ab/build.zip",
        "hyperparameters.lr must be above 0, not -1",
        "arn:aws:sagemaker:us-east-1:123456789012:training-job/gamedojo-dev-basic-train-1",
    ],
)
def test_what_is_none_stays_as_it_is(text):
    assert redact(text) == text


@given(st.text())
def test_any_text_can_be_read_through(text):
    assert redact(redact(text)) == redact(text)


def test_a_failures_words_are_redacted():
    error = errors.TrainingFailedError(f"It printed AWS_SECRET_ACCESS_KEY={SECRET}.", f"Rotate password={SECRET}")
    failure = classify("CheckTraining", "TrainingFailedError", json.dumps({"errorMessage": str(error)}))
    assert SECRET not in failure.model_dump_json()
