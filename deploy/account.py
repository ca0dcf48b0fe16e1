"""Whose account it is, and what the stacks in it say."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

from deploy.errors import DeploymentError


@dataclass(frozen=True)
class Account:
    """An account and a region in it. `caller`: the ARN of whose credentials they are."""

    session: boto3.Session
    number: str
    region: str
    caller: str

    def client(self, service: str) -> Any:
        """A client of a service, in the region."""
        make: Any = self.session.client  # its types know literals only
        return make(service, region_name=self.region)

    def outputs(self, stack: str) -> dict[str, str] | None:
        """The outputs of a stack that stands whole; None, if there is no such stack.

        Raises:
            DeploymentError: it may not be read, or does not stand whole.
        """
        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise DeploymentError(f"The stack {stack} cannot be read: {error}") from error
        if found["StackStatus"].endswith(("_FAILED", "ROLLBACK_COMPLETE")) and "UPDATE" not in found["StackStatus"]:
            raise DeploymentError(
                f"The stack {stack} is in the state {found['StackStatus']}. Its events in CloudFormation's console say "
                "why; it has to be deleted before it can be made again."
            )
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}


def sign_in(environment: Mapping[str, str] = os.environ) -> Account:
    """The account of the credentials at hand.

    Raises:
        DeploymentError: there are none, they are refused, or no region is named.
    """
    try:
        session = boto3.Session(region_name=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"))
    except ProfileNotFound as error:
        raise DeploymentError(f"{error}. `aws configure list-profiles` names those that are there.") from error
    region = session.region_name
    if not region:
        raise DeploymentError("No region is named. Set AWS_REGION, for example to us-east-1, or one in your profile.")
    try:
        caller = session.client("sts", region_name=region).get_caller_identity()
    except NoCredentialsError as error:
        raise DeploymentError(
            "There are no credentials for AWS. Sign in with `aws sso login` or `aws configure`, name a profile by "
            "AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    except (ClientError, BotoCoreError) as error:
        raise DeploymentError(f"AWS refuses the credentials at hand: {error} Sign in again.") from error
    return Account(session, caller["Account"], region, caller["Arn"])
