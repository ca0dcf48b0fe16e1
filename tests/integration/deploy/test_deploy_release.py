"""Two releases of a stage on the emulator: a run keeps to the functions that it began with."""

import json
from pathlib import Path
from typing import Any

from deploy.release import Release, released
from local.aws import client_arguments, isolated_session
from tests.fakes.expanded_template import expand, source
from tests.fakes.sagemaker_cloud import emulator
from tests.fakes.waiting import wait_for

STACK = "gamedojo-released"
FUNCTION, WORD = "AdmitRunFunction", "AdmitRunFunctionArn"


def test_a_run_ends_with_the_code_that_it_began_with(tmp_path: Path):
    with emulator(tmp_path / "emulator") as url:
        session, arguments = isolated_session(), client_arguments(url)
        stacks, runs = session.client("cloudformation", **arguments), session.client("stepfunctions", **arguments)
        gate = tmp_path / "gate"

        def outputs(status: str) -> dict[str, str]:
            stack = wait_for(
                lambda: next(
                    (
                        one
                        for one in stacks.describe_stacks(StackName=STACK)["Stacks"]
                        if not one["StackStatus"].endswith("IN_PROGRESS")
                    ),
                    None,
                ),
                "the stack is there",
            )
            assert stack["StackStatus"] == status, stack
            return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}

        def ended(run: str) -> str:
            said = wait_for(
                lambda: (
                    described
                    if (described := runs.describe_execution(executionArn=run))["status"] != "RUNNING"
                    else None
                ),
                "the run ends",
            )
            assert said["status"] == "SUCCEEDED", said
            return str(json.loads(said["output"]))

        stacks.create_stack(StackName=STACK, TemplateBody=stack_of("first", "1" * 64, gate))
        machine = outputs("CREATE_COMPLETE")["Machine"]
        early = runs.start_execution(stateMachineArn=machine)["executionArn"]
        wait_for(lambda: (gate.with_suffix(".asked")).exists(), "the run is under way")
        stacks.update_stack(StackName=STACK, TemplateBody=stack_of("second", "2" * 64, gate))
        outputs("UPDATE_COMPLETE")
        assert runs.describe_execution(executionArn=early)["status"] == "RUNNING"
        late = runs.start_execution(stateMachineArn=machine)["executionArn"]
        gate.touch()
        assert (ended(early), ended(late)) == ("first", "second")


def stack_of(code: str, version: str, gate: Path) -> str:
    """What a release makes of the machine and of one function, with code and states that tell which code they are of.

    Args:
        code: what the function answers with.
        version: of the release.
        gate: runs wait for this file before they call the function.
    """
    made = expand(released(source(), Release(traffic="Canary10Percent5Minutes"), version))["Resources"]
    (pinned,) = (
        name
        for name, one in made.items()
        if one["Type"] == "AWS::Lambda::Version" and one["Properties"]["FunctionName"] == {"Ref": FUNCTION}
    )
    substitutions = made["TrainAndDeploy"]["Properties"]["DefinitionSubstitutions"]
    states = {
        "Gate": {"Type": "Task", "Resource": "${Gate}", "ResultPath": "$.open", "Next": "Open?"},
        "Open?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.open", "BooleanEquals": True, "Next": "Work"}],
            "Default": "Wait",
        },
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Gate"},
        "Work": {"Type": "Task", "Resource": f"${{{WORD}}}", "End": True},
    }
    looks = f"""
from pathlib import Path

def handler(event, context):
    gate = Path({str(gate)!r})
    gate.with_suffix(".asked").touch()
    return gate.exists()
"""
    template: dict[str, Any] = {
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": []}}},
            "Gate": _function(looks),
            FUNCTION: _function(
                f"def handler(event, context):\n    return {code!r}\n",
                Description=made[FUNCTION]["Properties"]["Description"],
            ),
            pinned: made[pinned],
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "DefinitionString": json.dumps({"StartAt": "Gate", "States": states}),
                    "DefinitionSubstitutions": {
                        "Gate": {"Fn::GetAtt": ["Gate", "Arn"]},
                        WORD: substitutions[WORD],
                    },
                },
            },
        },
        "Outputs": {"Machine": {"Value": {"Ref": "Machine"}}},
    }
    return json.dumps(template)


def _function(code: str, **properties: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": code},
            **properties,
        },
    }
