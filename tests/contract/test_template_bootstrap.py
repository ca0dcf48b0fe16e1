"""deploy/bootstrap.yaml: who deploys can do what the stack needs, and nothing that leads further."""

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import boto3
import pytest
from cfnlint.decode import decode
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from deploy.account import Account
from deploy.permissions import needed_permissions
from deploy.release import Release, released
from deploy.stages import Bootstrap, Stage
from tests.fakes.expanded_template import ROOT, as_list, expand, expanded, resources, source, statements
from tests.fakes.operations_template import operations

STAGE = "dev"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "Stage": STAGE}

# What handlers of CloudFormation's registry ask for beyond what this stack has them do.
NOT_GIVEN = {
    "apigateway:UpdateRestApiPolicy",  # no API has a resource policy
    "billing:GetBillingViewData",  # no budget has a billing view
    "iam:CreateServiceLinkedRole",  # no table has replicas
    "kms:ListAliases",  # the key is named by its ARN
    "iam:DeleteRolePermissionsBoundary",  # nobody who deploys may
    "wafv2:GetPermissionPolicy",  # no firewall is shared with other accounts
    "wafv2:PutPermissionPolicy",
} | {f"iam:{verb}{kind}Policy" for verb in ("Attach", "Detach", "Delete", "Get", "Put") for kind in ("Group", "User")}
# Services of features that no resource here has: networks, file systems, streams, tables of S3, other firewalls.
OTHER_SERVICES = {
    "amplify",
    "apprunner",
    "appsync",
    "bedrock-agentcore",
    "cognito-idp",
    "ec2",
    "elasticfilesystem",
    "elasticloadbalancing",
    "firehose",
    "kinesis",
    "s3files",
    "s3tables",
}
MANAGED = {  # what SAM attaches to functions' roles (AWSLambdaBasicExecutionRole, AWSXrayWriteOnlyAccess)
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:GetSamplingRules",
    "xray:GetSamplingStatisticSummaries",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


@cache
def bootstrap() -> dict[str, Any]:
    template, faults = decode(str(ROOT / "deploy" / "bootstrap.yaml"))
    assert not faults, faults
    document: dict[str, Any] = json.loads(json.dumps(template))
    return document


@cache
def canary() -> dict[str, Any]:
    """The stack of a stage that moves traffic bit by bit."""
    return expand(released(source(), Release(traffic="Canary10Percent5Minutes"), "1" * 64))


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = bootstrap()["Resources"][name]["Properties"]
    return found


def rules(*names: str) -> list[dict[str, Any]]:
    return [one for name in names for one in properties(name)["PolicyDocument"]["Statement"]]


def actions(found: Iterable[dict[str, Any]]) -> set[str]:
    return {action for one in found for action in as_list(one["Action"])}


def text(value: Any) -> str:
    """What Sub makes of it; ids of resources become `*`."""
    found = value["Fn::Sub"] if isinstance(value, dict) and "Fn::Sub" in value else value
    assert isinstance(found, str), value
    return re.sub(r"\$\{([^}]+)\}", lambda match: PSEUDO.get(match[1], "*"), found)


def allows(found: Iterable[dict[str, Any]], action: str, resource: str | None = None) -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in as_list(one["Action"]))
        and (resource is None or any(fnmatchcase(resource, text(each)) for each in as_list(one["Resource"])))
        for one in found
    )


def test_a_token_of_one_repository_and_one_environment_is_taken_and_no_other():
    (rule,) = properties("DeployRole")["AssumeRolePolicyDocument"]["Statement"]
    assert rule["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert rule["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {
                "Fn::Sub": "repo:${GitHubRepository}:environment:${GitHubEnvironment}"
            },
        }
    }
    for name in ("GitHubRepository", "GitHubEnvironment"):
        pattern = re.compile(f"^(?:{bootstrap()['Parameters'][name]['AllowedPattern']})$")
        assert pattern.match("owner/name" if name == "GitHubRepository" else "dev")
        assert not any(pattern.match(wide) for wide in ("*", "owner/*", "owner/name:ref", "d?v", "owner/name/x"))


def test_without_a_repository_no_workflow_may_deploy():
    assert bootstrap()["Resources"]["DeployRole"]["Condition"] == "HasGitHub"
    assert bootstrap()["Conditions"]["MakesProvider"]["Fn::And"][0] == {"Condition": "HasGitHub"}
    assert bootstrap()["Parameters"]["GitHubRepository"]["Default"] == ""


@pytest.mark.parametrize("name", ["TrainingImages", "InferenceImages"])
def test_repositories_keep_what_is_in_service(name):
    own = properties(name)
    assert own["ImageTagMutability"] == "IMMUTABLE"
    assert own["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert text(own["RepositoryName"]).startswith("gamedojo"), "what the stack's roles may pull"
    policy = json.loads(own["LifecyclePolicy"]["LifecyclePolicyText"]["Fn::Sub"].replace("${KeptImages}", "50"))
    tagged = [rule["selection"] for rule in policy["rules"] if rule["selection"]["tagStatus"] != "untagged"]
    assert [one["countType"] for one in tagged] == ["imageCountMoreThan"], "age alone takes no image out of service"


@pytest.mark.parametrize("name", ["TrainingImages", "InferenceImages", "Artifacts", "ArtifactsPolicy"])
def test_what_holds_data_stays(name):
    one = bootstrap()["Resources"][name]
    assert one["DeletionPolicy"] == one["UpdateReplacePolicy"] == "Retain"


def test_who_deploys_passes_one_role_to_one_service():
    passed = [one for one in rules("MayDeploy") if "iam:PassRole" in as_list(one["Action"])]
    assert [(one["Resource"], one["Condition"]) for one in passed] == [
        (
            {"Fn::GetAtt": ["ExecutionRole", "Arn"]},
            {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}},
        )
    ]
    assert actions(rules("MayDeploy")) & {"iam:CreateRole", "sts:AssumeRole", "cloudformation:CreateStack"} == set()
    assert not any("*" in action for action in actions(rules("MayDeploy")))


def test_preflight_asks_for_what_who_deploys_is_given():
    account = Account(
        boto3.Session(), PSEUDO["AWS::AccountId"], PSEUDO["AWS::Region"], "arn:aws:iam::123456789012:user/a"
    )
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    made = Bootstrap(f"{registry}/gamedojo-{STAGE}-training", f"{registry}/gamedojo-{STAGE}-inference", "*", "*", "*")
    for one in needed_permissions(account, Stage(STAGE, f"gamedojo-{STAGE}", {}), made):
        for action in one.actions:
            given = [rule for rule in rules("MayDeploy") if action in as_list(rule["Action"])]
            assert given, action
            for resource in one.resources:
                assert "*" in resource or any(
                    "Fn::GetAtt" in each or text(each) == resource
                    for rule in given
                    for each in as_list(rule["Resource"])
                ), (action, resource)


def test_every_star_of_a_resource_says_why():
    wide = [one for one in rules("MayDeploy", "MakeResources", "MakeRoles", "Boundary") if one["Resource"] == "*"]
    assert {one["Sid"] for one in wide} == {"LogIntoTheRegistry", "ReadTheTemplate", "SeeQuotas", "TakesNoResource"}
    assert not any(re.search(r"PassRole|Role$|Policy$|\*$", action) for action in actions(wide) - LOGS_AND_LISTS)


LOGS_AND_LISTS = {"logs:PutResourcePolicy", "sagemaker:List*"}


def test_roles_are_made_within_the_boundary_which_nobody_who_deploys_can_change():
    made = [one for one in rules("MakeRoles") if one["Sid"] == "WithinTheBoundary"]
    assert [one["Condition"] for one in made] == [{"StringEquals": {"iam:PermissionsBoundary": {"Ref": "Boundary"}}}]
    giving = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"}
    assert giving <= actions(made)
    assert not giving & actions(one for one in rules("MakeRoles") if one not in made)
    assert "iam:DeleteRolePermissionsBoundary" not in actions(rules("MakeRoles"))


@pytest.mark.parametrize("stage", ["dev", "deploy", "execution", "boundary", "make", "may", "bootstrap"])
def test_no_stage_can_change_what_stands_before_it(stage):
    own = {
        text(one["Properties"][key]).replace(STAGE, stage): kind
        for one in bootstrap()["Resources"].values()
        for key, kind in (("RoleName", "role"), ("ManagedPolicyName", "policy"), ("BucketName", "s3"))
        if key in one["Properties"]
    }
    named = [
        one
        for one in bootstrap()["Resources"].values()
        if one["Type"].startswith("AWS::IAM::") and "Url" not in one["Properties"]
    ]
    assert len(own) == len(named) + 1, "each has a name of its own, and so has the bucket"
    for name, kind in own.items():
        arn = f"arn:aws:s3:::{name}" if kind == "s3" else f"arn:aws:iam::123456789012:{kind}/{name}"
        for pattern in {
            text(each).replace(STAGE, stage) for one in rules("MakeResources", "MakeRoles") for each in _subs(one)
        }:
            assert pattern == "*" or not fnmatchcase(arn, pattern), (arn, pattern)


def _subs(rule: dict[str, Any]) -> list[Any]:
    """Its resources but those of this template by GetAtt, and objects of its bucket, which are read only."""
    return [one for one in as_list(rule["Resource"]) if "Artifacts" not in json.dumps(one)]


def test_the_boundary_lets_every_role_of_the_stack_do_what_its_policies_say():
    missing = set()
    for role, one in statements():
        if role == "OperatorAccess":  # for people
            continue
        for action in as_list(one["Action"]):
            for resource in as_list(one["Resource"]):
                if not allows(rules("Boundary"), action, _physical(action, resource)):
                    missing.add((role, action, json.dumps(resource)))
    assert missing == set()
    release = canary()["Resources"]["ReleaseRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert {action for action in MANAGED | actions(release) if not allows(rules("Boundary"), action)} == set()


def _physical(action: str, resource: Any) -> str | None:
    """An ARN such as CloudFormation will make of it; None where only the deployed stack can tell."""
    if isinstance(resource, dict) and "Fn::GetAtt" in resource:
        resource = {"Fn::Sub": f"${{{'.'.join(resource['Fn::GetAtt'])}}}"}
    if not isinstance(resource, dict) or "Fn::Sub" not in resource:
        return resource if isinstance(resource, str) else None
    written: str = resource["Fn::Sub"]
    owner = re.match(r"\$\{(\w+)\.Arn\}(.*)", written)
    if owner:
        kind = expanded()["Resources"][owner[1]]["Type"]
        prefix = {
            "AWS::S3::Bucket": f"arn:aws:s3:::gamedojo-{STAGE}-bucket-x",
            "AWS::DynamoDB::Table": f"arn:aws:dynamodb:us-east-1:123456789012:table/gamedojo-{STAGE}-{owner[1]}-x",
            "AWS::Lambda::Function": f"arn:aws:lambda:us-east-1:123456789012:function:gamedojo-{STAGE}-{owner[1]}-x",
            "AWS::SQS::Queue": f"arn:aws:sqs:us-east-1:123456789012:gamedojo-{STAGE}-{owner[1]}-x",
            "AWS::IAM::Role": f"arn:aws:iam::123456789012:role/gamedojo-{STAGE}-{owner[1]}-x",
        }.get(kind)
        return None if prefix is None else prefix + owner[2]
    written = written.replace("${TrainAndDeploy.Name}", f"gamedojo-{STAGE}-TrainAndDeploy")
    return text(written)


@pytest.mark.parametrize(
    "kind", sorted({one["Type"] for made in (expanded, operations, canary) for one in made()["Resources"].values()})
)
def test_cloudformation_may_do_what_the_handlers_of_every_type_need(kind):
    needed = {one for one in _needed(kind) - NOT_GIVEN if one.split(":")[0] not in OTHER_SERVICES}
    assert {one for one in needed if not allows(rules("MakeResources", "MakeRoles"), one)} == set()


def _needed(kind: str) -> set[str]:
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema.get("handlers", {})
    found = {each for name, one in handlers.items() if name != "list" for each in one["permissions"]}
    return {re.sub(r"^\w+", lambda match: match[0].lower(), one) for one in found}


def test_every_resource_of_the_stack_that_is_named_by_us_is_named_as_the_role_expects():
    named = {
        "AWS::Logs::LogGroup": ("LogGroupName", "logs", "log-group:{}"),
        "AWS::CloudWatch::Alarm": ("AlarmName", "cloudwatch", "alarm:{}"),
        "AWS::StepFunctions::StateMachine": ("StateMachineName", "states", "stateMachine:{}"),
    }
    for kind, (key, service, resource) in named.items():
        found = [*resources(kind).values()] + [
            one["Properties"] for one in operations()["Resources"].values() if one["Type"] == kind
        ]
        assert found
        for one in found:
            arn = f"arn:aws:{service}:us-east-1:123456789012:{resource.format(text(one[key]))}"
            assert allows(rules("MakeResources"), f"{service}:TagResource", arn), arn
            other = arn.replace(STAGE, "prod")
            assert not allows(rules("MakeResources"), f"{service}:TagResource", other), "another stage's"


def test_policies_are_within_the_sizes_that_iam_takes():
    for name in ("MayDeploy", "MakeResources", "MakeRoles", "Boundary"):
        written = json.dumps(properties(name)["PolicyDocument"], separators=(",", ":"))
        grown = re.sub(r"\{\"Fn::(?:Sub|GetAtt)\":(\"[^\"]*\"|\[[^]]*\])\}", lambda match: match[1], written)
        grown = re.sub(r"\$\{[^}]+\}", "us-gov-west-1", grown)  # as long as any value of them, but in sum
        assert len(grown) <= 6144, (name, len(grown))
