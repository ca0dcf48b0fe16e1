#!/usr/bin/env python3
"""Stands in for the SAM command line where a test is about starting and stopping: packs nothing, deploys in a second.

`build` writes the template below; `deploy` makes it a stack by CloudFormation. The real command line is exercised by
tests/e2e, with the same options. A file `sam-does` beside the template of the checkout makes it misbehave:
`fail-build`, `fail-deploy`, `hang`, `hang-in-deploy`.
"""

import itertools
import json
import os
import sys
import time
from pathlib import Path

API = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "fake"}}
KEY = {"Type": "AWS::ApiGateway::ApiKey", "Properties": {"Enabled": True}}
URL = "https://${%s}.execute-api.${AWS::Region}.amazonaws.com/local"
TEMPLATE = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Resources": {
        "ControlApi": API,
        "PredictApi": API,
        "ControlKey": KEY,
        "PredictKey": KEY,
        "Bucket": {"Type": "AWS::S3::Bucket"},
    },
    "Outputs": {
        "ControlApiUrl": {"Value": {"Fn::Sub": URL % "ControlApi"}},
        "ControlApiKeyId": {"Value": {"Ref": "ControlKey"}},
        "PredictApiUrl": {"Value": {"Fn::Sub": URL % "PredictApi"}},
        "PredictApiKeyId": {"Value": {"Ref": "PredictKey"}},
        "BucketName": {"Value": {"Ref": "Bucket"}},
    },
}


def main() -> None:
    arguments = sys.argv[1:]
    print("fake sam", *arguments, flush=True)
    option = dict(itertools.pairwise(arguments))
    if arguments[0] == "build":
        checkout = Path(option["--template-file"]).parent
        behavior = (checkout / "sam-does").read_text() if (checkout / "sam-does").exists() else ""
        folder = Path(option["--build-dir"])
        folder.mkdir(parents=True)
        (folder / "template.yaml").write_text(json.dumps({**TEMPLATE, "Description": behavior}))
        misbehave(behavior, "fail-build")
    else:
        template = json.loads(json.dumps(read_yaml(Path(option["--template-file"]))))
        misbehave(template["Description"], "fail-deploy")
        deploy(option["--stack-name"], json.dumps(template))


def misbehave(behavior: str, failure: str) -> None:
    if behavior == failure:
        sys.exit(f"Error: fake sam was told to {failure}")
    if behavior == "hang":
        time.sleep(120)


def read_yaml(path: Path) -> dict:
    import yaml

    return yaml.safe_load(path.read_text())


def deploy(name: str, template: str) -> None:
    import boto3

    client = boto3.client("cloudformation", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.create_stack(StackName=name, TemplateBody=template)
    if json.loads(template)["Description"] == "hang-in-deploy":
        print("half of it stands", flush=True)
        time.sleep(120)
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


main()
