"""The template with a KMS key and without, in production and elsewhere: what is encrypted by it, who may use it."""

import json
import re
from typing import Any

import pytest

from tests.fakes.deployed_template import deployed, of_type, statements_of_role
from tests.fakes.expanded_template import ROOT, as_list, source

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000"
THE_KEY = {"Ref": "KmsKeyArn"}

FUNCTION_ROLES = sorted(name for name in of_type("AWS::IAM::Role") if name.endswith("FunctionRole"))
ROLES = [*FUNCTION_ROLES, "JobRole", "EndpointRole", "TrainAndDeployRole"]

# What somebody who may do the one needs of the key, on behalf of which service.
NEEDS = {
    "s3:GetObject": {("s3", "kms:Decrypt")},
    "s3:GetObjectVersion": {("s3", "kms:Decrypt")},
    "s3:PutObject": {("s3", "kms:Decrypt"), ("s3", "kms:GenerateDataKey")},  # Decrypt: uploads in parts
    **{f"dynamodb:{one}": {("dynamodb", "kms:Decrypt")} for one in ("GetItem", "PutItem", "UpdateItem", "Query")},
    "dynamodb:DeleteItem": {("dynamodb", "kms:Decrypt")},
    "sns:Publish": {("sns", "kms:Decrypt"), ("sns", "kms:GenerateDataKey")},
    "sqs:SendMessage": {("sqs", "kms:Decrypt"), ("sqs", "kms:GenerateDataKey")},
    **{
        f"sagemaker:{one}": {("a resource", "kms:CreateGrant")}
        for one in ("CreateTrainingJob", "CreateEndpoint", "UpdateEndpoint")
    },
}

PLACES = {
    "AWS::Lambda::Function": "KmsKeyArn",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::Logs::LogGroup": "KmsKeyId",
}


def key_actions(role: str, **parameters: str) -> set[tuple[str, str]]:
    """Service and action of each thing that the role may do with the key."""
    found = set()
    for one in statements_of_role(role, **parameters):
        actions = [action for action in as_list(one["Action"]) if action.startswith("kms:")]
        if actions:
            assert one["Resource"] == THE_KEY, "the one key and no other"
            found |= {(_service(one.get("Condition", {})), action) for action in actions}
    return found


def _service(condition: dict[str, Any]) -> str:
    if condition == {"Bool": {"kms:GrantIsForAWSResource": "true"}}:
        return "a resource"
    if not condition:
        return ""
    via = condition["StringEquals"]["kms:ViaService"]["Fn::Sub"]
    (service,) = re.fullmatch(r"(\w+)\.\$\{AWS::Region\}\.\$\{AWS::URLSuffix\}", via).groups()  # type: ignore[union-attr]
    return str(service)


@pytest.mark.parametrize("kind", PLACES)
def test_the_key_is_named_wherever_something_lies(kind: str) -> None:
    assert of_type(kind), kind
    for name, one in of_type(kind, KmsKeyArn=KEY).items():
        assert one[PLACES[kind]] == THE_KEY, name
    for name, one in of_type(kind).items():
        assert PLACES[kind] not in one, name


def test_the_bucket_is_encrypted_by_the_key_or_by_s3s_own() -> None:
    for parameters, wanted in (
        ({"KmsKeyArn": KEY}, {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": THE_KEY}),
        ({}, {"SSEAlgorithm": "AES256"}),
    ):
        (bucket,) = of_type("AWS::S3::Bucket", **parameters).values()
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == wanted
        assert rule.get("BucketKeyEnabled", False) is bool(parameters)


def test_tables_are_encrypted_by_the_key_or_by_dynamodbs_own() -> None:
    for one in of_type("AWS::DynamoDB::Table", KmsKeyArn=KEY).values():
        assert one["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": THE_KEY}
    for one in of_type("AWS::DynamoDB::Table").values():
        assert one["SSESpecification"] == {"SSEEnabled": False}


def test_queues_are_encrypted_either_way() -> None:
    assert {one["SqsManagedSseEnabled"] for one in of_type("AWS::SQS::Queue").values()} == {True}
    assert {one["SqsManagedSseEnabled"] for one in of_type("AWS::SQS::Queue", KmsKeyArn=KEY).values()} == {False}


def test_those_that_make_jobs_and_endpoints_are_told_the_key() -> None:
    for parameters, wanted in (({"KmsKeyArn": KEY}, THE_KEY), ({}, "none")):
        functions = of_type("AWS::Lambda::Function", **parameters)
        told = {name: one["Environment"]["Variables"].get("KMS_KEY_ARN") for name, one in functions.items()}
        makers = {name: key for name, key in told.items() if key is not None}
        assert makers == dict.fromkeys(
            ("StartTrainingFunction", "StartEvaluationFunction", "DeployEndpointFunction"), wanted
        )


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_each_function_may_do_with_the_key_what_its_other_rights_need_and_nothing_else(role: str) -> None:
    actions = {action for one in statements_of_role(role) for action in as_list(one["Action"])}
    assert key_actions(role, KmsKeyArn=KEY) == {need for action in actions for need in NEEDS.get(action, set())}


def test_the_roles_of_sagemaker_may_use_the_key_for_their_objects_models_and_volumes() -> None:
    assert key_actions("JobRole", KmsKeyArn=KEY) == {
        ("s3", "kms:Decrypt"),
        ("s3", "kms:GenerateDataKey"),
        ("a resource", "kms:CreateGrant"),  # ResourceConfig.VolumeKmsKeyId
        ("", "kms:Encrypt"),  # OutputDataConfig.KmsKeyId
    }
    assert key_actions("EndpointRole", KmsKeyArn=KEY) == {("s3", "kms:Decrypt")}


def test_the_state_machine_needs_no_key() -> None:
    assert key_actions("TrainAndDeployRole", KmsKeyArn=KEY) == set()


@pytest.mark.parametrize("role", ROLES)
def test_without_a_key_nobody_may_use_any(role: str) -> None:
    assert key_actions(role) == set()


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_more_managed_policies_or_longer_inline_ones_than_iam_takes(role: str) -> None:
    properties = deployed(KmsKeyArn=KEY)[role]["Properties"]
    assert len(properties.get("ManagedPolicyArns", [])) <= 10
    inline = [one["PolicyDocument"] for one in properties.get("Policies", [])]
    inline += [
        one["PolicyDocument"]
        for one in of_type("AWS::IAM::Policy", KmsKeyArn=KEY).values()
        if {"Ref": role} in one["Roles"]
    ]
    assert sum(len(json.dumps(one, separators=(",", ":"))) for one in inline) < 10_240


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        (KEY, True),
        ("arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234", True),
        ("alias/mine", False),
        ("arn:aws:kms:eu-central-1:123456789012:alias/mine", False),
        ("0f1e2d3c-0000-4000-8000-000000000000", False),
    ],
)
def test_a_key_is_given_by_its_arn_for_policies_take_nothing_else(text: str, taken: bool) -> None:
    parameter = source()["Parameters"]["KmsKeyArn"]
    assert parameter["Default"] == ""
    assert bool(re.fullmatch(parameter["AllowedPattern"], text)) is taken


# ── Deletion, by stage ─────


@pytest.mark.parametrize(("stage", "protected"), [("prod", True), ("dev", False), ("prod2", False)])
def test_tables_cannot_be_deleted_in_production(stage: str, protected: bool) -> None:
    tables = of_type("AWS::DynamoDB::Table", Stage=stage)
    assert {one["DeletionProtectionEnabled"] for one in tables.values()} == {protected}
    assert all(one["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] for one in tables.values())


@pytest.mark.parametrize(("stage", "protected"), [("prod", True), ("dev", False)])
def test_nobody_deletes_the_bucket_of_production(stage: str, protected: bool) -> None:
    (policy,) = of_type("AWS::S3::BucketPolicy", Stage=stage).values()
    denied = {action for one in policy["PolicyDocument"]["Statement"] for action in as_list(one["Action"])}
    assert ("s3:DeleteBucket" in denied) is protected
    assert {one["Effect"] for one in policy["PolicyDocument"]["Statement"]} == {"Deny"}


def test_a_bucket_that_stays_is_still_spoken_to_over_tls_only() -> None:
    for name in ("Bucket", "BucketPolicy"):
        assert deployed()[name]["DeletionPolicy"] == deployed()[name]["UpdateReplacePolicy"] == "Retain"


# ── The guide ─────


def key_policy() -> dict[str, Any]:
    """The key policy that docs/operating.md gives."""
    (found,) = re.findall(r"```json\n(\{.*?\})\n```", (ROOT / "docs" / "operating.md").read_text(), re.DOTALL)
    document: dict[str, Any] = json.loads(found)
    return document


def test_the_guides_key_policy_lets_every_service_in_that_uses_the_key_by_itself() -> None:
    services = {
        one for statement in key_policy()["Statement"] for one in as_list(statement["Principal"].get("Service", []))
    }
    assert services == {
        "logs.REGION.amazonaws.com",  # log groups
        "cloudwatch.amazonaws.com",  # alarms to the topic
        "budgets.amazonaws.com",  # the budget to the topic
        "events.amazonaws.com",  # rules to their queue
    }
    for statement in key_policy()["Statement"]:
        if "Service" in statement["Principal"]:
            assert statement["Condition"], "for this account only"
            assert not {"kms:*", "kms:CreateGrant"} & set(as_list(statement["Action"]))
