"""Secrets do not reach those who read of a failure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import errors
from pipeline.rules.failures import classify
from pipeline.rules.redaction import redact, redact_lines

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


KEY = [f"{n:02d}" + "Ab+/" * 15 + "xY" for n in range(8)]
PEM = ["-----BEGIN PRIVATE KEY-----", *KEY, "c2hvcnQ=", "-----END PRIVATE KEY-----"]


@pytest.mark.parametrize("first", range(len(PEM)))
@pytest.mark.parametrize("last", range(len(PEM)))
def test_of_a_private_key_no_line_is_read_wherever_a_page_of_lines_is_cut(first, last):
    page = ["before", *PEM[first : last + 1], "after"] if first == 0 else [*PEM[first : last + 1], "after"]
    shown = redact_lines(page)
    assert len(shown) == len(page)
    assert not set(shown) & set(KEY)
    if last == len(PEM) - 1:
        assert "c2hvcnQ=" not in shown
        assert shown[-1] == "after"


def test_a_log_keeps_its_lines_and_what_is_no_secret_in_them():
    digest = "0123456789abcdef" * 4
    lines = ["", "ends in Windows\r\n", digest, "a\tb", f"password:\n{SECRET}", "password=", "next", "é 🎲"]
    assert redact_lines(lines) == ["", "ends in Windows", digest, "a\tb", "password: ***", "password=", "***", "é 🎲"]
    assert redact_lines([]) == []


def test_nothing_that_a_terminal_obeys_is_left_and_no_line_is_long():
    assert redact_lines(["\x1b[2Jgone\x07 \x9b1m \u2028"]) == ["\ufffd[2Jgone\ufffd \ufffd1m \ufffd"]
    assert redact_lines(["x" * 2007]) == ["x" * 2000 + "… (7 characters more)"]


@given(st.lists(st.text()))
def test_any_lines_are_as_many_afterwards_in_utf_8(lines):
    shown = redact_lines(lines)
    assert len(shown) == len(lines)
    "".join(shown).encode()


@pytest.mark.parametrize("bad", ["\x1b]52;c;eA==\x07", "\x1b[2J", "\x9b2J", "\0", "\r", "\u202e", "\u2028", "\ud800"])
def test_a_cause_that_quotes_a_builds_log_does_nothing_to_a_terminal(bad):
    told = classify(
        "CheckTraining", "TrainingFailedError", json.dumps({"errorMessage": f"a {bad} b\n\tc Remedy: d{bad}"})
    )
    assert told.cause.replace("\n", "").replace("\t", "").isprintable()
    assert told.cause.startswith("a \ufffd")
    assert told.cause.endswith(" b\n\tc"), "lines stay lines"
    assert told.remedy.startswith("d\ufffd")
