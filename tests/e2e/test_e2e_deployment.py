"""What stands in the local cloud is template.yaml: the local deploy step changed Runtime and bootstrap only."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local.local_package import read_template


@pytest.fixture(scope="module")
def packed(cloud) -> Path:
    (folder,) = (cloud.state_dir / "build").iterdir()
    return folder


def differences(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every place where two documents differ: path to the two values."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in before.keys() | after.keys():
            found |= differences(before.get(name), after.get(name), f"{path}/{name}")
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        found = {}
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            found |= differences(one, other, f"{path}/{index}")
        return found
    return {} if before == after else {path: (before, after)}


def test_nothing_but_the_runtime_differs(packed: Path):
    built = read_template(packed / "built" / "template.yaml")
    local = read_template(packed / "local" / "template.yaml")
    assert differences(built, local) == {"/Globals/Function/Runtime": ({"Ref": "Runtime"}, "provided.al2023")}


def test_nothing_but_the_bootstrap_is_added_to_the_package(packed: Path):
    (package,) = (path for path in (packed / "local").iterdir() if path.is_file() and path.name != "template.yaml")
    folder = packed / "built" / package.name
    built = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(package) as archive:
        local = {name: archive.read(name) for name in archive.namelist()}
    assert local.pop("bootstrap").startswith(b"#!/bin/sh")
    assert local == built


def test_the_stack_of_operations_is_taken_as_it_is(packed: Path, cloud):
    template = Path("Operations/template.yaml")
    assert (packed / "local" / template).read_bytes() == (packed / "built" / template).read_bytes()
    resources = read_template(packed / "local" / template)["Resources"].values()
    cloudwatch, logs = cloud.client("cloudwatch"), cloud.client("logs")
    standing = cloudwatch.describe_alarms(AlarmNamePrefix="gamedojo/local/")["MetricAlarms"]
    assert len(standing) == len([one for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]) > 10
    widgets = json.loads(cloudwatch.get_dashboard(DashboardName="gamedojo-local")["DashboardBody"])["widgets"]
    assert {one["AlarmArn"] for one in standing} == set(widgets[0]["properties"]["alarms"])
    assert "${" not in json.dumps(widgets)
    filters = logs.describe_metric_filters(logGroupName="/gamedojo/local/pipeline")["metricFilters"]
    assert {one["metricTransformations"][0]["metricNamespace"] for one in filters} == {"gamedojo/local"}


def test_every_function_shares_one_package(cloud):
    pages = cloud.client("lambda").get_paginator("list_functions").paginate()
    functions = [function for page in pages for function in page["Functions"]]
    assert len(functions) >= 15
    assert len({function["CodeSha256"] for function in functions}) == 1
    assert {function["Runtime"] for function in functions} == {"provided.al2023"}


def test_bringing_up_what_is_up_says_so(cloud):
    said = cloud.command("local", "up", "--detach")
    assert "up already" in said
    assert cloud.connection["control_url"] in said


def test_status_says_where_everything_is(cloud):
    said = cloud.command("local", "status")
    for value in (cloud.connection["control_url"], cloud.connection["predict_key"], cloud.connection["bucket"]):
        assert value in said
