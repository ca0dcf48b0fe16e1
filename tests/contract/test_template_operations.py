"""operations.yaml: what rings, what is shown and what is asked exists, and the runbook starts from each alarm."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint

from local.deployment import PARAMETERS
from pipeline.rules import names
from tests.fakes.deployed_template import deployed
from tests.fakes.deployed_template import of_type as of_stack
from tests.fakes.expanded_template import ROOT, as_list, expanded, resources, source
from tests.fakes.operations_template import of_type, operations, text_of

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ALARMS = of_type("AWS::CloudWatch::Alarm")
QUERIES = of_type("AWS::Logs::QueryDefinition")
LOGS = {"PipelineLog", "ApiLog", "PredictLog"}
OURS = "gamedojo/${Stage}"

# AWS's own metrics and the dimensions that they have (its guides' pages on CloudWatch metrics); () is: none at all.
METRICS = {
    ("AWS/States", name): {("StateMachineArn",)}
    for name in ("Started", "Succeeded", "Failed", "Aborted", "TimedOut")
    for name in (f"Executions{name}",)
} | {
    ("AWS/States", "ExecutionTime"): {("StateMachineArn",)},
    ("AWS/Lambda", "Errors"): {(), ("FunctionName",)},
    ("AWS/Lambda", "Throttles"): {(), ("FunctionName",)},
    ("AWS/Lambda", "Duration"): {(), ("FunctionName",)},
    ("AWS/Lambda", "ConcurrentExecutions"): {(), ("FunctionName",)},
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {("QueueName",)},
    **{("AWS/ApiGateway", name): {("ApiName",)} for name in ("Count", "4XXError", "5XXError", "Latency")},
    **{
        ("AWS/SageMaker", name): {("EndpointName", "VariantName")}
        for name in ("Invocations", "Invocation5XXErrors", "ModelLatency")
    },
}

# What a value of a dimension stands for: the resource of template.yaml that the nested stack is given.
DIMENSIONS = {
    "StateMachineArn": {"TrainAndDeploy"},
    "FunctionName": {"PredictFunction", "ControlReadFunction", "ControlWriteFunction"},
    "QueueName": {"UndeliveredEvents", "SweepDeadLetters", "SweepEndpointsDeadLetters"},
}


def own_metrics() -> dict[str, set[tuple[str, ...]]]:
    """Metrics that our filters make: name → sets of dimensions."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for one in of_type("AWS::Logs::MetricFilter").values():
        for made in one["MetricTransformations"]:
            assert text_of(made["MetricNamespace"]) == OURS
            found.setdefault(made["MetricName"], set()).add(tuple(each["Key"] for each in made.get("Dimensions", [])))
    return found


def assert_exists(namespace: str, metric: str, dimensions: dict[str, str]) -> None:
    known = own_metrics().get(metric) if namespace == OURS else METRICS.get((namespace, metric))
    assert known is not None, f"there is no metric {namespace} {metric}"
    assert tuple(dimensions) in known, (metric, dimensions)
    for name, value in dimensions.items():
        if name in DIMENSIONS:
            assert value.strip("${}") in DIMENSIONS[name], (metric, value)
        if name == "ApiName":
            assert value in {text_of(one["Name"]) for one in resources("AWS::ApiGateway::RestApi").values()}


def body() -> dict[str, Any]:
    ((_, dashboard),) = of_type("AWS::CloudWatch::Dashboard").items()
    document: dict[str, Any] = json.loads(text_of(dashboard["DashboardBody"]))
    return document


def widgets(kind: str) -> list[dict[str, Any]]:
    return [one["properties"] for one in body()["widgets"] if one["type"] == kind]


def name_of(alarm: dict[str, Any]) -> str:
    return text_of(alarm["AlarmName"]).removeprefix(f"{OURS}/")


# ── The stack within the stack ─────


def test_the_template_is_clean_by_cfn_lint() -> None:
    # W1101: `sam build` writes out what YAML's aliases stand for, which CloudFormation does not read
    config = ManualArgs(regions=["us-east-1", "eu-central-1"], ignore_checks=["W1101"])
    faults = lint((ROOT / "operations.yaml").read_text(), config=config)
    assert [f"{fault.rule.id} {fault.message} {fault.path}" for fault in faults] == []


def test_it_is_given_each_of_its_parameters_and_each_is_of_a_resource_or_parameter_that_exists() -> None:
    given = source()["Resources"]["Operations"]["Properties"]["Parameters"]
    assert set(given) == set(operations()["Parameters"])
    known = set(expanded()["Resources"]) | set(source()["Parameters"])
    for name, value in given.items():
        ((_, reference),) = value.items()
        assert as_list(reference)[0] in known, name
        assert name in {as_list(reference)[0]}, "by the same name"


def test_each_parameter_is_used() -> None:
    text = json.dumps(operations()["Resources"]) + json.dumps(operations()["Conditions"])
    for name in operations()["Parameters"]:
        assert f'"Ref": "{name}"' in text or f"${{{name}}}" in text, name


def test_what_the_emulator_refuses_is_left_out_by_the_parameters_of_the_local_cloud() -> None:
    refused = {one for one in operations()["Resources"].values() if "Metrics" in one["Properties"]}
    assert not refused, "alarms by metric math"
    assert {operations()["Resources"][name]["Condition"] for name in QUERIES} == {"HasSavedQueries"}
    assert operations()["Conditions"]["HasSavedQueries"] == {"Fn::Equals": [{"Ref": "SavedQueries"}, "true"]}
    assert PARAMETERS["SavedQueries"] == "false"
    assert source()["Parameters"]["SavedQueries"]["Default"] == "true", "in AWS, they are there"


# ── Alarms ─────


def test_there_is_an_alarm_for_each_of_what_goes_wrong() -> None:
    assert {name_of(one) for one in ALARMS.values()} == {
        *("failed-runs", "failed-executions", "timed-out-executions", "function-faults", "throttles"),
        *(f"{api}-{what}" for api in ("predict", "control-read", "control-write") for what in ("errors", "latency")),
        *("undelivered-events", "sweep-dead-letters", "sweep-endpoints-dead-letters"),
        *("idle-endpoint", "daily-spend"),
    }


@pytest.mark.parametrize("alarm", ALARMS)
def test_each_alarm_watches_a_metric_that_exists_and_tells_operators(alarm: str) -> None:
    one = ALARMS[alarm]
    dimensions = {each["Name"]: text_of(each["Value"]) for each in one.get("Dimensions", [])}
    assert_exists(text_of(one["Namespace"]), one["MetricName"], dimensions)
    assert one["AlarmActions"] == one["OKActions"] == [{"Ref": "OperatorsTopic"}]
    assert one["TreatMissingData"] in {"notBreaching", "ignore"}, "what does not happen rings nothing"
    longest = 7 * 86_400 if one["Period"] >= 3600 else 86_400  # PutMetricAlarm
    assert one["Period"] * one["EvaluationPeriods"] <= longest


def test_every_queue_for_what_failed_has_an_alarm() -> None:
    watched = {
        each["Value"]["Ref"]
        for one in ALARMS.values()
        for each in one.get("Dimensions", [])
        if each["Name"] == "QueueName"
    }
    assert watched == set(resources("AWS::SQS::Queue"))


def test_alarms_of_the_stack_and_those_of_endpoints_cannot_be_taken_for_one_another() -> None:
    for policy in ("a", "basic", "x-rt"):
        for alarm in names.alarms(names.endpoint_name("gamedojo-dev", policy, "serverless")):
            assert not alarm.startswith("gamedojo/")
    deletable = [
        text_of(resource)
        for one in resources("AWS::IAM::ManagedPolicy").values()
        for statement in as_list(one["PolicyDocument"]["Statement"])
        if "cloudwatch:DeleteAlarms" in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]
    assert deletable
    assert all(re.search(r":alarm:(TargetTracking-endpoint/)?gamedojo-\$\{Stage\}-\*$", one) for one in deletable)


def test_operators_are_told_by_alarms_and_the_budget_of_this_account_only() -> None:
    (policy,) = [
        one for one in of_stack("AWS::SNS::TopicPolicy").values() if one["Topics"] == [{"Ref": "OperatorsTopic"}]
    ]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert set(statement["Principal"]["Service"]) == {"cloudwatch.amazonaws.com", "budgets.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    (budget,) = of_stack("AWS::Budgets::Budget", BudgetUsd="100").values()
    (told,) = budget["NotificationsWithSubscribers"]
    assert told["Subscribers"] == [{"SubscriptionType": "SNS", "Address": {"Ref": "OperatorsTopic"}}]
    deploy = of_stack("AWS::Lambda::Function")["DeployEndpointFunction"]["Environment"]["Variables"]
    assert deploy["OPERATORS_TOPIC_ARN"] == {"Ref": "OperatorsTopic"}


def test_somebody_is_subscribed_where_an_address_is_given() -> None:
    assert "OperatorsSubscription" not in deployed()
    subscription = deployed(OperatorEmail="ops@example.com")["OperatorsSubscription"]["Properties"]
    assert subscription["Endpoint"] == {"Ref": "OperatorEmail"}


def test_everything_is_traced_from_the_apis_on() -> None:
    assert {one["TracingConfig"]["Mode"] for one in resources("AWS::Lambda::Function").values()} == {"Active"}
    assert {one["TracingEnabled"] for one in resources("AWS::ApiGateway::Stage").values()} == {True}
    for name, role in resources("AWS::IAM::Role").items():
        if name.endswith("FunctionRole"):
            assert "AWSXrayWriteOnlyAccess" in json.dumps(role["ManagedPolicyArns"]), name


# ── The dashboard ─────


def plotted() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Namespace, metric and dimensions of each line; "." and "..." repeat the one before (CloudWatch API reference)."""
    for one in widgets("metric"):
        before: list[str] = []
        for line in one["metrics"]:
            texts = [part for part in line if isinstance(part, str)]
            if not texts:
                continue
            if texts[0] == "...":
                texts = [*before[: len(before) - len(texts) + 1], *texts[1:]]
            texts = [before[at] if part == "." else part for at, part in enumerate(texts)]
            before = texts
            yield texts[0], texts[1], dict(zip(texts[2::2], texts[3::2], strict=True))


def test_every_line_of_the_dashboard_is_of_a_metric_that_exists() -> None:
    lines = list(plotted())
    assert len(lines) > 20
    for namespace, metric, dimensions in lines:
        assert_exists(namespace, metric, dimensions)
    outcomes = {one["Outcome"] for *_, one in lines if "Outcome" in one}
    assert outcomes == {"SUCCEEDED", "KEPT", "FAILED", "CANCELLED"}


def test_what_is_searched_for_is_endpoints_of_ours_by_metrics_that_exist() -> None:
    searches = [
        line[0]["expression"] for one in widgets("metric") for line in one["metrics"] if isinstance(line[0], dict)
    ]
    found = [
        re.fullmatch(r"SEARCH\('\{(.+?)\} MetricName=\"(\w+)\" (\w+)=\"(.+?)\"', '\w+'\)", one) for one in searches
    ]
    assert len(found) == 3
    for one in found:
        assert one is not None
        namespace, *dimensions = one[1].split(",")
        assert tuple(dimensions) in METRICS[namespace, one[2]]
        assert (one[3], one[4]) == ("EndpointName", "gamedojo-${Stage}-")


def test_the_dashboard_shows_every_alarm_once_and_no_widget_covers_another() -> None:
    (alarms,) = widgets("alarm")
    assert sorted(alarms["alarms"]) == sorted(f"${{{name}.Arn}}" for name in ALARMS)
    taken: set[tuple[int, int]] = set()
    for one in body()["widgets"]:
        cells = {
            (x, y) for x in range(one["x"], one["x"] + one["width"]) for y in range(one["y"], one["y"] + one["height"])
        }
        assert not cells & taken, one["properties"]["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_reference_of_the_dashboard_resolves() -> None:
    known = {f"{name}.Arn" for name in ALARMS} | set(operations()["Parameters"]) | {"AWS::Region"}
    assert set(re.findall(r"\$\{(.+?)\}", json.dumps(body()))) <= known


def test_logs_of_the_dashboard_are_those_of_the_stack() -> None:
    for one in widgets("log"):
        assert set(re.findall(r"SOURCE '\$\{(\w+)\}'", one["query"])) <= LOGS


# ── Queries ─────


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_asks_logs_that_exist(query: str) -> None:
    asked = {one["Ref"] for one in QUERIES[query]["LogGroupNames"]}
    assert asked <= LOGS <= set(resources("AWS::Logs::LogGroup"))
    assert text_of(QUERIES[query]["Name"]).startswith(f"{OURS}/")


# ── The runbook ─────

_SECTIONS = dict(re.findall(r"^### ([a-z-]+)\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
_OF_ENDPOINTS = {"endpoint-errors", "endpoint-latency"}
_OF_AWS = {"budget"}


def test_the_runbook_starts_from_each_alarm_and_from_no_other() -> None:
    assert set(_SECTIONS) == {name_of(one) for one in ALARMS.values()} | _OF_ENDPOINTS | _OF_AWS
    suffixes = {alarm.rsplit("-", 1)[1] for alarm in names.alarms("gamedojo-dev-basic")}
    assert {name.removeprefix("endpoint-") for name in _OF_ENDPOINTS} == suffixes


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarms_mail_leads_to_its_place_in_the_runbook(alarm: str) -> None:
    assert ALARMS[alarm]["AlarmDescription"].endswith(f"docs/runbook.md#{name_of(ALARMS[alarm])}")


@pytest.mark.parametrize("section", _SECTIONS)
def test_each_place_says_what_it_means_and_what_to_do(section: str) -> None:
    for part in ("**Means**", "**Look**", "**Do**"):
        assert part in _SECTIONS[section], part


def test_the_runbook_names_queries_that_are_saved_and_each_of_them() -> None:
    saved = {text_of(one["Name"]).removeprefix(f"{OURS}/") for one in QUERIES.values()}
    assert set(re.findall(r"query `([a-z-]+)`", RUNBOOK)) == saved


def test_its_links_lead_somewhere() -> None:
    for file, anchor in re.findall(r"\]\(([\w./-]*)(#[\w-]+)?\)", RUNBOOK):
        target = ROOT / "docs" / file if file else ROOT / "docs" / "runbook.md"
        assert target.is_file(), file
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, anchor


def test_every_parameter_is_in_the_operators_guide() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE))
    assert told == set(source()["Parameters"])
