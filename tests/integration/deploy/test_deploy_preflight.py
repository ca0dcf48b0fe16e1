"""`python -m deploy preflight` and `smoke`: what the account is asked, and what is told of what it lacks."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from rich.console import Console

from deploy.account import Account
from deploy.connecting import connect_to_stage
from deploy.errors import DeploymentError
from deploy.permissions import Permission, denied_actions
from deploy.preflight import Preflight, show
from deploy.quotas import GPU, Quota, held_quotas, low_quotas, wanted_quotas
from deploy.stages import Stage, read_stage
from deploy.template import parameter_defaults

CHECKOUT = Path(__file__).parents[3]
REGION = "us-east-1"
PARAMETERS = {
    "TrainingInstanceType": "ml.c7i.2xlarge",
    "EvaluationInstanceType": "ml.c7i.xlarge",
    "MaxConcurrentRuns": "10",
}
TRAINING = ("sagemaker", "ml.c7i.2xlarge for training job usage")
STAGE = Stage("dev", "gamedojo-dev", {"Stage": "dev"})


class Stubbed:
    """An account whose clients answer what they are told to, and refuse any other question."""

    def __init__(self, caller: str = "arn:aws:iam::123456789012:user/ann") -> None:
        self.session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION)
        self.clients: dict[str, Any] = {}
        self.stubs: dict[str, Stubber] = {}
        self.caller = caller

    def stub(self, service: str) -> Stubber:
        if service not in self.stubs:
            make: Any = self.session.client
            self.clients[service] = make(service)
            self.stubs[service] = Stubber(self.clients[service])
            self.stubs[service].activate()
        return self.stubs[service]

    def account(self) -> Account:
        clients = self.clients

        class Answering(Account):
            def client(self, service: str) -> Any:
                return clients[service]

        return Answering(self.session, "123456789012", REGION, self.caller)


def ample() -> dict[tuple[str, str], Quota]:
    return {(one.service, one.name): Quota(one.ample, "L-1") for one in wanted_quotas(PARAMETERS)}


def test_an_account_that_has_all_lacks_nothing():
    assert low_quotas(wanted_quotas(PARAMETERS), ample(), REGION) == []


@pytest.mark.parametrize(("value", "missing"), [(0, True), (1, False), (9, False)])
def test_a_quota_of_no_job_is_missing_and_one_of_few_is_low(value, missing):
    (found,) = low_quotas(wanted_quotas(PARAMETERS), ample() | {TRAINING: Quota(value, "L-ABC")}, REGION)
    assert found.missing is missing
    assert found.remedy == (
        "aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code L-ABC "
        "--desired-value 10 --region us-east-1"
    )
    assert found.page == "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/L-ABC"


def test_runs_that_train_and_evaluate_on_one_type_need_both_at_once():
    same = PARAMETERS | {"EvaluationInstanceType": "ml.c7i.2xlarge"}
    (wanted,) = (one for one in wanted_quotas(same) if (one.service, one.name) == TRAINING)
    assert wanted.ample == 20


def test_gpus_are_missing_only_where_they_are_asked_for():
    without = {key: quota for key, quota in ample().items() if GPU not in key[1]}
    (optional,) = low_quotas(wanted_quotas(PARAMETERS), without, REGION)
    assert (optional.missing, optional.wanted.name) == (False, f"{GPU} for training job usage")
    named = low_quotas(wanted_quotas(PARAMETERS, [GPU]), without, REGION)
    assert [(one.missing, one.wanted.name) for one in named] == [
        (True, f"{GPU} for training job usage"),
        (False, f"{GPU} for spot training job usage"),
    ]
    assert named[0].remedy == "us-east-1 does not list it: is the type offered there?"


def test_the_templates_own_parameters_are_known():
    names = {one.name for one in wanted_quotas(parameter_defaults(CHECKOUT))}
    assert {"ml.c7i.2xlarge for training job usage", "ml.c7i.xlarge for training job usage"} <= names


def page(*quotas: tuple[str, float]) -> dict[str, Any]:
    return {"Quotas": [{"QuotaName": name, "Value": value, "QuotaCode": f"L-{name}"} for name, value in quotas]}


def test_what_is_applied_counts_rather_than_the_default():
    stubbed = Stubbed()
    stub = stubbed.stub("service-quotas")
    asked = {"ServiceCode": "lambda"}
    stub.add_response("list_aws_default_service_quotas", page(("a", 1000), ("b", 5)), asked)
    stub.add_response("list_service_quotas", page(("a", 10)) | {"NextToken": "more"}, asked)
    stub.add_response("list_service_quotas", page(("c", 7)), asked | {"NextToken": "more"})
    held = held_quotas(stubbed.account(), ["lambda"])
    assert {name: quota.value for (_, name), quota in held.items()} == {"a": 10, "b": 5, "c": 7}


def simulated(*decisions: tuple[str, str]) -> dict[str, Any]:
    return {
        "EvaluationResults": [
            {"EvalActionName": action, "EvalResourceName": "arn:x", "EvalDecision": decision}
            for action, decision in decisions
        ]
    }


def test_a_session_is_asked_about_by_its_role_with_the_roles_path():
    stubbed = Stubbed("arn:aws:sts::123456789012:assumed-role/Admin/ann")
    role = "arn:aws:iam::123456789012:role/aws-reserved/sso/Admin"
    stub = stubbed.stub("iam")
    whole = {"Path": "/aws-reserved/sso/", "RoleName": "Admin", "RoleId": "AROA1234567890123456", "Arn": role}
    stub.add_response("get_role", {"Role": whole | {"CreateDate": "2026-01-01T00:00:00Z"}}, {"RoleName": "Admin"})
    stub.add_response(
        "simulate_principal_policy",
        simulated(("iam:PassRole", "implicitDeny"), ("ecr:PutImage", "allowed")),
        {
            "PolicySourceArn": role,
            "ActionNames": ["iam:PassRole", "ecr:PutImage"],
            "ResourceArns": ["arn:x"],
            "ContextEntries": [
                {
                    "ContextKeyName": "iam:PassedToService",
                    "ContextKeyType": "string",
                    "ContextKeyValues": ["cloudformation.amazonaws.com"],
                }
            ],
        },
    )
    needed = [Permission(("iam:PassRole", "ecr:PutImage"), ("arn:x",), "cloudformation.amazonaws.com")]
    assert denied_actions(stubbed.account(), needed) == ["iam:PassRole on arn:x"]


def test_who_may_not_ask_is_told_so():
    stubbed = Stubbed()
    stubbed.stub("iam").add_client_error("simulate_principal_policy", "AccessDenied", "not you", 403)
    with pytest.raises(DeploymentError, match=r"IAM does not say what arn:aws:iam::123456789012:user/ann may.*not you"):
        denied_actions(stubbed.account(), [Permission(("ecr:PutImage",))])


def test_the_root_user_is_not_asked_about():
    assert denied_actions(Stubbed("arn:aws:iam::123456789012:root").account(), [Permission(("ecr:PutImage",))]) == []


def test_the_report_names_each_lack_with_its_remedy():
    low = low_quotas(wanted_quotas(PARAMETERS, [GPU]), {}, REGION)
    console = Console(width=160)
    with console.capture() as captured:
        show(Preflight(STAGE, "arn:ann", tuple(low), ("ecr:PutImage on arn:x",)), console)
    said = captured.get()
    for one in low:
        assert one.wanted.name in said
        assert one.page in said
    for text in ("MISSING", "ecr:PutImage on arn:x", "may-deploy-gamedojo-dev", "Not ready."):
        assert text in said
    assert Preflight(STAGE, "arn:ann", (), ()).ready
    assert not Preflight(STAGE, "arn:ann", (), ("ecr:PutImage",)).ready


OUTPUTS = ("ControlApiUrl", "ControlApiKeyId", "PredictApiUrl", "PredictApiKeyId", "BucketName")


@mock_aws
def test_the_smoke_test_finds_a_stage_by_the_outputs_of_its_stack(monkeypatch):
    keys = boto3.client("apigateway", region_name=REGION)
    made = {name: keys.create_api_key(name=name, value=name * 3)["id"] for name in ("control-key", "predict-key")}
    values = ["https://control", made["control-key"], "https://predict", made["predict-key"], "the-bucket"]
    outputs = "".join(f"  {name}: {{Value: '{value}'}}\n" for name, value in zip(OUTPUTS, values, strict=True))
    template = f"Resources:\n  Topic: {{Type: 'AWS::SNS::Topic'}}\nOutputs:\n{outputs}"
    account = Account(boto3.Session(), "123456789012", REGION, "arn:ann")
    stage = read_stage(CHECKOUT, "dev")
    with pytest.raises(DeploymentError, match=r"no stack gamedojo-dev .* make deploy STAGE=dev makes it"):
        connect_to_stage(account, stage)
    boto3.client("cloudformation", region_name=REGION).create_stack(StackName="gamedojo-dev", TemplateBody=template)
    found = connect_to_stage(account, stage)
    assert (found.control_url, found.control_key) == ("https://control", "control-key" * 3)
    assert (found.predict_url, found.predict_key) == ("https://predict", "predict-key" * 3)
    assert found.bucket == "the-bucket"
