"""What who deploys has to be allowed, and what of it IAM says is denied."""

import re
from dataclasses import dataclass

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.errors import DeploymentError
from deploy.stages import Bootstrap, Stage


@dataclass(frozen=True)
class Permission:
    """Actions on resources, by their ARNs. `passed_to`: the service that a role is passed to."""

    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    passed_to: str = ""


def needed_permissions(account: Account, stage: Stage, bootstrap: Bootstrap) -> list[Permission]:
    """Those of MayDeploy (deploy/bootstrap.yaml) that a deployment cannot do without."""
    place = f"{account.region}:{account.number}"
    partition = account.caller.split(":")[1]
    repositories = [uri.partition("/")[2] for uri in (bootstrap.training_repository, bootstrap.inference_repository)]
    return [
        Permission(
            (
                "ecr:BatchCheckLayerAvailability",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ),
            tuple(f"arn:{partition}:ecr:{place}:repository/{name}" for name in repositories),
        ),
        Permission(("ecr:GetAuthorizationToken", "cloudformation:GetTemplateSummary")),
        Permission(("s3:GetObject", "s3:PutObject"), (f"arn:{partition}:s3:::{bootstrap.bucket}/*",)),
        Permission(
            (
                "cloudformation:CreateChangeSet",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks",
                "cloudformation:ExecuteChangeSet",
            ),
            (f"arn:{partition}:cloudformation:{place}:stack/{stage.stack}/*",),
        ),
        Permission(
            ("cloudformation:CreateChangeSet",),
            (f"arn:{partition}:cloudformation:{account.region}:aws:transform/Serverless-2016-10-31",),
        ),
        Permission(("iam:PassRole",), (bootstrap.execution_role,), passed_to="cloudformation.amazonaws.com"),
    ]


def denied_actions(account: Account, needed: list[Permission]) -> list[str]:
    """Actions with their resource, which IAM says the caller is not allowed; the root user is allowed everything.

    Raises:
        DeploymentError: the caller may not ask.
    """
    if account.caller.endswith(":root"):
        return []
    client = account.client("iam")
    source = _policy_source(account)
    denied = []
    for one in needed:
        context = {
            "ContextKeyName": "iam:PassedToService",
            "ContextKeyType": "string",
            "ContextKeyValues": [one.passed_to],
        }
        try:
            pages = client.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=source,
                ActionNames=list(one.actions),
                ResourceArns=list(one.resources),
                ContextEntries=[context] if one.passed_to else [],
            )
            results = [result for page in pages for result in page["EvaluationResults"]]
        except ClientError as error:
            raise DeploymentError(f"IAM does not say what {source} may: {error}") from error
        denied += [
            f"{result['EvalActionName']} on {result.get('EvalResourceName', '*')}"
            for result in results
            if result["EvalDecision"] != "allowed"
        ]
    return denied


def _policy_source(account: Account) -> str:
    """The user, or the role that was assumed: policies are a role's, not a session's."""
    assumed = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", account.caller)
    if assumed is None:
        return account.caller
    partition, number, role = assumed.groups()
    try:
        arn: str = account.client("iam").get_role(RoleName=role)["Role"]["Arn"]  # has its path, as the session has not
    except ClientError:
        return f"arn:{partition}:iam::{number}:role/{role}"
    return arn
