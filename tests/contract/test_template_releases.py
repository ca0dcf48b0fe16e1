"""A stage's release settings, on the expanded template: aliases, canaries, snapshots, warm instances."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.api import ManualArgs, lint

from deploy.errors import DeploymentError
from deploy.release import FUNCTIONS, TRAFFIC, Release, read_release, release_built, released, state_functions
from tests.fakes.expanded_template import expand, expanded, source
from tests.fakes.operations_template import of_type

VERSION, OTHER = "1" * 64, "2" * 64
DEFAULTS = {"Runtime": "python3.12"}
CANARY = Release(traffic="Canary10Percent5Minutes")


@cache
def whole(release: Release, version: str = VERSION) -> dict[str, Any]:
    return expand(released(source(), release, version))


def resources(release: Release, kind: str, version: str = VERSION) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in whole(release, version)["Resources"].items() if one["Type"] == kind}


def test_a_stage_that_sets_nothing_is_deployed_as_the_template_is(tmp_path: Path):
    release_built(tmp_path, read_release({}, DEFAULTS), {})
    assert list(tmp_path.iterdir()) == []
    kinds = {one["Type"] for one in expanded()["Resources"].values()}
    assert not kinds & {"AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::CodeDeploy::Application"}


@pytest.mark.parametrize("release", [CANARY, Release(predict_snap_start=True), Release(predict_provisioned=2)])
def test_what_is_released_is_clean_by_cfn_lint(release):
    # as in test_template_architecture
    config = ManualArgs(regions=["us-east-1"], ignore_checks=["W3005", "W2001"])
    faults = lint(json.dumps(whole(release)), config=config)
    assert [f"{fault.rule.id} {fault.message} {fault.path}" for fault in faults] == []


def test_a_canary_moves_each_apis_function_by_its_alias_and_goes_back_by_its_alarm():
    aliases = resources(CANARY, "AWS::Lambda::Alias")
    assert {one["Properties"]["FunctionName"]["Ref"] for one in aliases.values()} == set(FUNCTIONS)
    groups = resources(CANARY, "AWS::CodeDeploy::DeploymentGroup")
    alarms = resources(CANARY, "AWS::CloudWatch::Alarm")
    assert {name.removesuffix("DeploymentGroup") for name in groups} == set(FUNCTIONS)
    for name, one in groups.items():
        properties = one["Properties"]
        assert "Canary10Percent5Minutes" in json.dumps(properties["DeploymentConfigName"])
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
        (alarm,) = (each["Name"]["Ref"] for each in properties["AlarmConfiguration"]["Alarms"])
        function = name.removesuffix("DeploymentGroup")
        dimensions = {each["Name"]: each["Value"] for each in alarms[alarm]["Properties"]["Dimensions"]}
        assert dimensions == {"FunctionName": {"Ref": function}, "Resource": {"Fn::Sub": f"${{{function}}}:live"}}
        assert properties["ServiceRoleArn"] == {"Fn::GetAtt": ["ReleaseRole", "Arn"]}
    for one in aliases.values():
        assert "CodeDeployLambdaAliasUpdate" in one["UpdatePolicy"]


def test_apis_ask_the_alias_and_may():
    made = whole(CANARY)["Resources"]
    for api, function in (("PredictApi", "PredictFunction"), ("ControlApi", "ControlWriteFunction")):
        assert f"{function}Aliaslive" in json.dumps(made[api]["Properties"]["Body"])
        assert f'{{"Fn::GetAtt": ["{function}", "Arn"]}}' not in json.dumps(made[api]["Properties"]["Body"])
        assert f"${{{function}.Arn}}" not in json.dumps(made[api]["Properties"]["Body"])
    permitted = [
        json.dumps(one["Properties"]["FunctionName"])
        for one in made.values()
        if one["Type"] == "AWS::Lambda::Permission"
    ]
    asked = [one for one in permitted if any(name in one for name in FUNCTIONS)]
    assert asked
    assert all("Aliaslive" in one for one in asked)


def test_who_shifts_traffic_is_within_the_boundary_and_can_do_no_more():
    roles = resources(CANARY, "AWS::IAM::Role")
    assert "CodeDeployServiceRole" not in roles
    own = roles["ReleaseRole"]["Properties"]
    assert own["PermissionsBoundary"] == expanded()["Resources"]["JobRole"]["Properties"]["PermissionsBoundary"]
    shift, look = own["Policies"][0]["PolicyDocument"]["Statement"]
    assert look["Action"] == "cloudwatch:DescribeAlarms"
    assert "lambda:UpdateAlias" in shift["Action"]
    assert all(any(name in json.dumps(one) for name in FUNCTIONS) for one in shift["Resource"])


@pytest.mark.parametrize(
    ("traffic", "shift"),
    [
        ("Canary10Percent15Minutes", {"Type": "CANARY", "Percentage": 10, "Interval": 15}),
        ("Linear10PercentEvery1Minute", {"Type": "LINEAR", "Percentage": 10, "Interval": 1}),
        ("Linear10PercentEvery3Minutes", {"Type": "LINEAR", "Percentage": 10, "Interval": 3}),
    ],
)
def test_new_runs_come_to_a_new_machine_bit_by_bit_and_it_goes_back_by_its_alarm(traffic, shift):
    (alias,) = resources(Release(traffic=traffic), "AWS::StepFunctions::StateMachineAlias").values()
    preference = alias["Properties"]["DeploymentPreference"]
    assert {name: preference[name] for name in shift} == shift
    (version,) = resources(Release(traffic=traffic), "AWS::StepFunctions::StateMachineVersion")
    assert preference["StateMachineVersionArn"] == {"Ref": version}
    (alarm,) = (one["Ref"] for one in preference["Alarms"])
    watched = resources(Release(traffic=traffic), "AWS::CloudWatch::Alarm")[alarm]["Properties"]
    counted = {
        each["MetricName"]
        for one in of_type("AWS::Logs::MetricFilter").values()
        for each in one["MetricTransformations"]
    }
    assert watched["MetricName"] in counted
    assert watched["Namespace"] == {"Fn::Sub": "gamedojo/${Stage}"}


def test_whoever_starts_runs_starts_them_by_the_alias_and_may():
    made = whole(CANARY)["Resources"]
    alias = {"Ref": "TrainAndDeployAliaslive"}
    (rule,) = (one for name, one in made.items() if name == "TrainAndDeployBuildDropped")
    assert [target["Arn"] for target in rule["Properties"]["Targets"]] == [alias]
    assert made["ControlWriteFunction"]["Properties"]["Environment"]["Variables"]["STATE_MACHINE_ARN"] == alias
    assert made["ControlReadFunction"]["Properties"]["Environment"]["Variables"]["STATE_MACHINE_ARN"] != alias
    may_start = [
        statement["Resource"]
        for one in made.values()
        if one["Type"] == "AWS::IAM::Role"
        for policy in one["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "states:StartExecution" in statement["Action"]
    ]
    assert may_start == [alias, alias]


def test_a_machine_of_a_canary_calls_versions_of_its_functions_that_stay():
    made = whole(CANARY)["Resources"]
    machine = made["TrainAndDeploy"]["Properties"]
    called = {one["Ref"] for one in machine["DefinitionSubstitutions"].values()}
    assert len(called) == len(expanded()["Resources"]["TrainAndDeploy"]["Properties"]["DefinitionSubstitutions"])
    versions = {name: made[name] for name in called}
    assert {one["Properties"]["FunctionName"]["Ref"] for one in versions.values()} == set(state_functions(source()))
    assert {(one["Type"], one["DeletionPolicy"], one["UpdateReplacePolicy"]) for one in versions.values()} == {
        ("AWS::Lambda::Version", "Retain", "Retain")
    }
    assert called.isdisjoint(whole(CANARY, OTHER)["Resources"]), "another release has versions of its own"


def test_a_machine_may_call_every_version_for_the_sake_of_runs_that_go_on():
    role = whole(CANARY)["Resources"]["TrainAndDeployRole"]["Properties"]
    allowed = [
        resource
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "lambda:InvokeFunction"
        for resource in statement["Resource"]
    ]
    for name in state_functions(source()):
        assert {"Fn::GetAtt": [name, "Arn"]} in allowed, "runs that began before there were versions"
        assert {"Fn::Sub": f"${{{name}.Arn}}:*"} in allowed


@pytest.mark.parametrize("release", [CANARY, Release(predict_provisioned=1)])
def test_each_function_of_a_version_differs_from_that_of_another(release):
    """Lambda publishes no version of a function that did not change, and CloudFormation takes that for a failure."""
    one, two = (whole(release, version)["Resources"] for version in (VERSION, OTHER))
    published = {
        each["Properties"]["FunctionName"]["Ref"] for each in resources(release, "AWS::Lambda::Version").values()
    }
    assert published
    for name in published:
        first, second = (made[name]["Properties"]["Description"] for made in (one, two))
        assert first != second
        assert len(first) <= 256, "Lambda's limit"


def test_other_code_and_other_parameters_are_other_versions():
    (first,) = resources(Release(predict_provisioned=1), "AWS::Lambda::Version")
    (same,) = resources(Release(predict_provisioned=3), "AWS::Lambda::Version")
    (other,) = resources(Release(predict_provisioned=1), "AWS::Lambda::Version", OTHER)
    assert first == same != other


def test_predict_starts_from_snapshots_or_is_kept_warm():
    snapped = resources(Release(predict_snap_start=True), "AWS::Lambda::Function")
    assert {name for name, one in snapped.items() if "SnapStart" in one["Properties"]} == {"PredictFunction"}
    assert snapped["PredictFunction"]["Properties"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    (alias,) = resources(Release(predict_provisioned=2), "AWS::Lambda::Alias").values()
    assert alias["Properties"]["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 2}
    assert resources(Release(predict_provisioned=2), "AWS::CodeDeploy::Application") == {}


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_each_kind_of_traffic_is_one_of_codedeploys(traffic):
    groups = resources(read_release({"traffic": traffic}, DEFAULTS), "AWS::CodeDeploy::DeploymentGroup").values()
    for one in groups:
        assert one["Properties"]["DeploymentConfigName"] == {
            "Fn::Sub": ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": traffic}]
        }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"canary": "yes"}, "has no 'canary'; it has traffic, predict_snap_start, predict_provisioned"),
        ({"traffic": "Canary50Percent1Minute"}, "traffic is one of Canary10Percent5Minutes"),
        ({"predict_provisioned": "2"}, "predict_provisioned of a release is a number, not '2'"),
        ({"predict_provisioned": True}, "predict_provisioned of a release is a number, not True"),
        ({"predict_provisioned": -1}, "a number of instances, 0 or more"),
        ({"predict_snap_start": True, "predict_provisioned": 1}, "not both"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(document, said):
    with pytest.raises(DeploymentError) as refused:
        read_release(document, DEFAULTS)
    assert said in str(refused.value)


def test_snapshots_want_a_later_python():
    with pytest.raises(DeploymentError, match=r"wants Runtime=python3.12"):
        read_release({"predict_snap_start": True}, {"Runtime": "python3.11"})


def test_what_sam_built_is_rewritten_with_a_version_of_its_content(tmp_path: Path):
    package = tmp_path / "Functions"
    package.mkdir()
    template = json.loads(json.dumps(source()))
    for name in (*FUNCTIONS, *state_functions(template)):
        template["Resources"][name]["Properties"]["CodeUri"] = "Functions"

    def built(code: str, parameters: dict[str, str], memory: int = 512) -> str:
        (package / "app.py").write_text(code)
        template["Resources"]["AdmitRunFunction"]["Properties"]["MemorySize"] = memory
        (tmp_path / "template.yaml").write_text(yaml.safe_dump(template))
        release_built(tmp_path, CANARY, parameters)
        made = yaml.safe_load((tmp_path / "template.yaml").read_text())
        version: str = made["Resources"]["PredictFunction"]["Properties"]["AutoPublishCodeSha256"]
        return version

    first = built("a = 1", {"LogLevel": "INFO"})
    assert built("a = 1", {"LogLevel": "INFO"}) == first
    other_code = built("a = 2", {"LogLevel": "INFO"})
    other_parameters = built("a = 1", {"LogLevel": "DEBUG"})
    other_settings = built("a = 1", {"LogLevel": "INFO"}, memory=1024)
    assert len({first, other_code, other_parameters, other_settings}) == 4
