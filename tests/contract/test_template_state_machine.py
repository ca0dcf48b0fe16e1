"""The state machine's definition and the template agree, and the definition is valid States Language."""

import json
import re

from statelint.linter import Linter

from tests.fakes.expanded_template import STATE_MACHINE, resources, source

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def substitutions() -> dict[str, object]:
    machine = source()["Resources"]["TrainAndDeploy"]["Properties"]
    assert machine["DefinitionUri"] == "statemachine/train_and_deploy.asl.json"
    found: dict[str, object] = machine["DefinitionSubstitutions"]
    return found


def test_every_placeholder_is_substituted_and_none_is_left_over():
    assert set(PLACEHOLDER.findall(STATE_MACHINE.read_text())) == set(substitutions())


def test_each_placeholder_is_the_function_of_its_name():
    for name, value in substitutions().items():
        assert value == {"Fn::GetAtt": [name.removesuffix("Arn"), "Arn"]}


def test_the_machine_may_invoke_what_it_names_and_nothing_else():
    machine = source()["Resources"]["TrainAndDeploy"]["Properties"]
    statements = [one for policy in machine["Policies"] for one in policy["Statement"]]
    (invoking,) = [one for one in statements if one["Action"] == "lambda:InvokeFunction"]
    assert sorted(map(str, invoking["Resource"])) == sorted(map(str, substitutions().values()))


def test_statelint_finds_nothing_wrong_with_the_definition():
    arn = "arn:aws:lambda:us-east-1:123456789012:function:x"
    definition = json.loads(PLACEHOLDER.sub(arn, STATE_MACHINE.read_text()))
    assert Linter.validate(definition) == []


def test_no_task_waits_longer_than_its_function_may_run():
    """A state that gives up before its function does would let two of them run side by side."""
    functions = resources("AWS::Lambda::Function")
    for name, state in json.loads(STATE_MACHINE.read_text())["States"].items():
        if state["Type"] == "Task":
            (placeholder,) = PLACEHOLDER.findall(state["Resource"])
            runs_for = functions[placeholder.removesuffix("Arn")]["Timeout"]
            assert state["TimeoutSeconds"] >= runs_for, name


def test_the_machine_logs_and_traces():
    (machine,) = resources("AWS::StepFunctions::StateMachine").values()
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is True
