"""What ended a job, told by the texts that SageMaker, Linux, Python, torch and Unity leave."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules import job_failures
from pipeline.rules.job_failures import RETRYABLE, is_explained, job_failure

WRITTEN = (
    "[BuildCrashed] The build ended with signal 11 (SIGSEGV). Last lines of its log: 'boom' "
    "Remedy: Play the build on Linux."
)


@pytest.mark.parametrize("template", ["AlgorithmError: {}, exit code: 1", "AlgorithmError: {} , exit code: 134", "{}"])
def test_the_containers_words_are_found_in_sagemakers_reason(template):
    found = job_failure(template.format(WRITTEN), "MemoryError: in the log, but the container knows better")
    assert (found.code, found.remedy) == ("BuildCrashed", "Play the build on Linux.")
    assert found.cause.startswith("The build ended with signal 11")
    assert is_explained(template.format(WRITTEN))


def test_the_containers_words_may_have_lines():
    found = job_failure("AlgorithmError: [NanReward] One.\nTwo. Remedy: Three.\nFour., exit code: 1")
    assert (found.code, found.cause, found.remedy) == ("NanReward", "One.\nTwo.", "Three.\nFour.")


def test_the_containers_words_are_found_in_the_log_where_the_reason_was_cut():
    found = job_failure("AlgorithmError: [BuildCra, exit code: 1", f"starting\n{WRITTEN}\ndone")
    assert (found.code, found.remedy) == ("BuildCrashed", "Play the build on Linux.")


REASONS = [
    ("AlgorithmError: , exit code: 137", "OutOfMemory", ["killed", "instance_type"]),
    ("AlgorithmError: , exit code: 139", "BuildCrashed", ["SIGSEGV"]),
    ("AlgorithmError: , exit code: 143", "Interrupted", ["SIGTERM"]),
    (
        "CapacityError: Unable to provision requested ML compute capacity. Please retry.",
        "Capacity",
        ["no machine", "spot"],
    ),
    ("InternalServerError: We encountered an internal error. Please try again.", "Platform", ["on its side", "again"]),
    (
        "ClientError: Cannot pull image 123.dkr.ecr.eu-west-1.amazonaws.com/gamedojo:1: CannotPullContainerError",
        "ImagePull",
        ["TrainingImageUri"],
    ),
    (
        "ClientError: Data download failed:Failed to download data. AccessDenied (403): Access Denied",
        "StorageAccess",
        ["role"],
    ),
    (
        "ClientError: Artifact upload failed:Insufficient disk space? No space left on device",
        "DiskFull",
        ["volume_size_gb"],
    ),
    (
        "ClientError: Data download failed:No S3 objects found under S3 URL s3://b/runs/x/build.zip",
        "NoData",
        ["Upload"],
    ),
]


@pytest.mark.parametrize(("reason", "code", "words"), REASONS)
def test_sagemakers_own_reasons(reason, code, words):
    found = job_failure(reason)
    assert found.code == code
    assert [word for word in words if word not in f"{found.cause} {found.remedy}"] == []
    assert found.retryable == (code in RETRYABLE)


LOGS = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "GpuOutOfMemory", ["batch_size"]),
    ("numpy._core._exceptions._ArrayMemoryError: MemoryError: Unable to allocate 9 GiB", "OutOfMemory", ["num_builds"]),
    ("OSError: [Errno 28] No space left on device: '/opt/ml/model/x'", "DiskFull", ["volume_size_gb"]),
    (
        "./Game.x86_64: error while loading shared libraries: libGLU.so.1: cannot open shared object file",
        "MissingLibrary",
        ["libGLU.so.1"],
    ),
    ("OSError: [Errno 8] Exec format error: '/tmp/Game.exe'", "WrongPlatform", ["Linux", "x86_64"]),
    ("Failed to initialize graphics.", "NoDisplay", ["environment.graphics"]),
    ("Couldn't connect to trainer on port 5005 using API version 1.5.0.", "NoAgents", ["ML-Agents"]),
    ("ValueError: the reward of agent 3 is not finite (nan)", "NonFinite", ["lr"]),
    (
        "NullReferenceException: Object reference not set to an instance of an object",
        "BuildException",
        ["NullReferenceException: Object reference"],
    ),
    ("Caught fatal signal - signo:11 code:1 errno:0 addr:(nil)", "BuildCrashed", ["Linux desktop"]),
]


@pytest.mark.parametrize(("line", "code", "words"), LOGS)
def test_the_end_of_the_log_tells_what_the_reason_does_not(line, code, words):
    found = job_failure("AlgorithmError: , exit code: 1", f"Starting.\n{line}\nTraceback follows\n")
    assert found.code == code
    assert [word for word in words if word not in f"{found.cause} {found.remedy}"] == []


def test_every_known_cause_has_a_text_here():
    tested = {code for _, code, _ in (*REASONS, *LOGS)}
    tables = (*job_failures._REASONS, *job_failures._LOG)
    assert {known.code for known in tables} | {one.code for one in job_failures._EXITS.values()} == tested


def test_of_two_causes_that_are_alike_what_was_said_last_counts():
    log = "NullReferenceException: first\nIndexOutOfRangeException: second"
    assert "second" in job_failure("AlgorithmError: , exit code: 1", log).cause


@pytest.mark.parametrize("reason", ["", "AlgorithmError: x"])
def test_what_nobody_foresaw_is_shown_as_it_is_with_the_logs_last_line(reason):
    found = job_failure(reason, "one\n\nlast words\n\n")
    assert found.code == ""
    assert found.cause.startswith(reason or "The job failed without saying why.")
    assert "last words" in found.cause
    assert "log" in found.remedy


@given(st.text(max_size=300), st.text(max_size=2000))
def test_any_text_gives_a_cause_and_a_remedy(reason, log):
    found = job_failure(reason, log)
    assert found.cause
    assert is_explained(reason) or found.remedy


@given(st.integers(0, 20_000), st.sampled_from(["MemoryError ", ""]))
def test_a_long_line_makes_no_long_cause(length, beginning):
    assert len(job_failure("", f"one\n{beginning}{'y' * length}").cause) < 500


def test_the_patterns_are_sound():
    for known in (*job_failures._REASONS, *job_failures._LOG):
        groups = re.compile(known.pattern).groupindex
        assert ("{what}" in known.cause) <= ("what" in groups)


def test_every_code_is_explained_in_the_guide():
    guide = (Path(__file__).parents[3] / "docs" / "failures.md").read_text()
    tables = (*job_failures._REASONS, *job_failures._LOG)
    codes = {known.code for known in tables} | {one.code for one in job_failures._EXITS.values()}
    assert [code for code in sorted(codes) if f"`{code}`" not in guide] == []
