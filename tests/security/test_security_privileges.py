"""The watch over what Lambdas call: it finds what is outside a policy and what is never used, and knows its calls.

The watch is over every test of a session with --privileges: `tests/fakes/privilege_verdict.py`.
"""

import subprocess
import sys

import pytest

from tests.fakes import function_policies
from tests.fakes.aws_needs import Need, needs, told_of_absence
from tests.fakes.expanded_template import ROOT
from tests.fakes.function_policies import Grant
from tests.fakes.recorded_calls import Recorder

PASSED = '{"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}'


def test_a_call_within_the_policy_is_used_and_one_outside_is_told():
    recorder = Recorder()
    recorder.record("PredictFunction", Need("s3:GetObject", "arn:aws:s3:::${Bucket}/policies/basic/current.json"))
    recorder.record("PredictFunction", Need("s3:GetObject", "arn:aws:s3:::${Bucket}/runs/basic-1/build.zip"))
    assert [action for _, action, *_ in recorder.used] == ["s3:GetObject"]
    assert [one[:3] for one in recorder.outside] == [
        ("PredictFunction", "s3:GetObject", "arn:aws:s3:::${Bucket}/runs/basic-1/build.zip")
    ]


def test_of_a_lambda_that_never_called_every_action_is_unused():
    for function in function_policies.functions():
        allowed = {(function, grant.action) for grant in function_policies.grants(function)}
        assert allowed <= set(Recorder().unused())


def test_what_a_worker_saw_is_the_same_in_the_session_that_judges():
    worker, session = Recorder(), Recorder()
    worker.record("PredictFunction", Need("s3:GetObject", "arn:aws:s3:::${Bucket}/policies/basic/current.json"))
    worker.record("PredictFunction", Need("sns:Publish", "${Topic}"))
    session.merge(worker.as_lists())
    assert (session.used, session.outside) == (worker.used, worker.outside)


IN_A_LAMBDA = """
from tests.fakes.recorded_calls import note

def calls(topic):
    at = compile("note('sns', 'Publish', {'TopicArn': topic})", HANDLER, "exec")
    exec(at, {"note": note, "topic": topic})

def test_one():
    calls("one")

def test_another():
    calls("another")
"""


def test_a_session_of_several_workers_fails_for_a_call_outside_a_policy(tmp_path):
    handler = ROOT / "functions" / "predict" / "app.py"
    (tmp_path / "test_calls.py").write_text(f"HANDLER = {str(handler)!r}\n{IN_A_LAMBDA}")
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider", "--dist", "each"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-n", "2", "--privileges", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "4 passed" in done.stdout
    for topic in ("one", "another"):
        assert f"PredictFunction may not sns:Publish on {topic}, which " in done.stdout


@pytest.mark.parametrize(
    ("need", "covered"),
    [
        (Need("iam:PassRole", "role", (("iam:PassedToService", "sagemaker.amazonaws.com"),)), True),
        (Need("iam:PassRole", "role", (("iam:PassedToService", "ec2.amazonaws.com"),)), False),
        (Need("iam:PassRole", "role"), False),
        (Need("iam:PassRole", "other", (("iam:PassedToService", "sagemaker.amazonaws.com"),)), False),
        (Need("iam:GetRole", "role", (("iam:PassedToService", "sagemaker.amazonaws.com"),)), False),
    ],
)
def test_a_grant_covers_its_action_resource_and_condition_together(need, covered):
    assert Grant("iam:PassRole", "role", PASSED).covers(need) is covered


@pytest.mark.parametrize(
    ("pattern", "value", "matching"),
    [
        ("arn:aws:s3:::b/runs/*", "arn:aws:s3:::b/runs/a/b/c", True),
        ("arn:aws:s3:::b/runs/*", "arn:aws:s3:::b/run", False),
        ("arn:aws:s3:::b/runs/*/request.json", "arn:aws:s3:::b/runs/x/build.zip", False),
        ("a?c", "abc", True),
        ("a.c", "abc", False),
    ],
)
def test_patterns_are_those_of_iam(pattern, value, matching):
    assert function_policies.matches(pattern, value) is matching


def test_a_copy_of_what_a_user_brought_needs_its_tags_and_its_very_version():
    source = {"Bucket": "b", "Key": "builds/a.zip", "VersionId": "1"}
    actions = {one.action for one in needs("s3", "CopyObject", {"Bucket": "b", "Key": "runs/x", "CopySource": source})}
    assert actions == {"s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:PutObject", "s3:PutObjectTagging"}


def test_a_job_with_tags_and_a_role_needs_all_three():
    request = {"TrainingJobName": "j", "RoleArn": "role", "Tags": [{"Key": "a", "Value": "b"}]}
    actions = [one.action for one in needs("sagemaker", "CreateTrainingJob", request)]
    assert actions == ["sagemaker:CreateTrainingJob", "sagemaker:AddTags", "iam:PassRole"]


def test_to_be_told_of_absence_needs_the_list_of_the_bucket():
    assert [one.action for one in told_of_absence("s3", "HeadObject", {"Bucket": "b", "Key": "k"})] == ["s3:ListBucket"]


def test_an_operation_that_nobody_described_is_an_error():
    with pytest.raises(KeyError):
        needs("s3", "DeleteBucket", {"Bucket": "b"})
