"""template.yaml, read as the architecture that it promises to be."""

import json
import re
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint

from pipeline.api.codes import all_codes
from pipeline.api.prediction import FORMATS
from pipeline.api.routes import CONTROL, PREDICT, methods_by_path
from pipeline.contracts.constants import MSGPACK
from pipeline.contracts.problem import Problem
from tests.fakes.expanded_template import ROOT, as_list, expanded, resources, source, statements

STATES = [
    "AdmitRun",
    "InspectBuild",
    "TakeTurn",
    "StartTraining",
    "CheckTraining",
    "ExtractCheckpoint",
    "StartEvaluation",
    "CheckEvaluation",
    "DecidePromotion",
    "DeployEndpoint",
    "CheckEndpoint",
    "VerifyEndpoint",
    "FinishRun",
]
APIS = ["ControlRead", "ControlWrite", "Dashboard", "Predict"]
DASHBOARD = {("/dashboard", "get"), ("/dashboard/{file}", "get")}
BY_EVENT = ["SweepRuns", "SweepEndpoints"]

FUNCTIONS = {name: one for name, one in source()["Resources"].items() if one["Type"] == "AWS::Serverless::Function"}

# Actions that the service authorization reference gives no resource type, so that only "*" can stand there.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "cloudwatch:PutMetricData",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:GetMetricData",
    "application-autoscaling:DescribeScalableTargets",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListEndpoints",
    "sagemaker:ListModels",
    "sagemaker:ListTrainingJobs",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}


def folder(state: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", state).lower()


def test_the_expansion_is_clean_by_cfn_lint():
    # W3005: SAM writes a DependsOn that a Ref implies already; W2001: of usage plans' parameters it writes the value
    config = ManualArgs(regions=["us-east-1", "eu-central-1"], ignore_checks=["W3005", "W2001"])
    faults = lint(json.dumps(expanded()), config=config)
    assert [f"{fault.rule.id} {fault.message} {fault.path}" for fault in faults] == []


def test_there_is_one_function_for_each_state_api_and_event_and_no_other():
    assert set(FUNCTIONS) == {f"{name}Function" for name in STATES + APIS + BY_EVENT}


@pytest.mark.parametrize("name", STATES + APIS + BY_EVENT)
def test_each_function_has_the_handler_of_its_folder(name):
    handler = FUNCTIONS[f"{name}Function"]["Properties"]["Handler"]
    assert handler == f"{folder(name)}.app.handler"
    assert "CodeUri" not in FUNCTIONS[f"{name}Function"]["Properties"], "all share the one of Globals"


def test_each_function_has_a_role_of_its_own():
    roles = [json.dumps(one["Role"]) for one in resources("AWS::Lambda::Function").values()]
    assert len(set(roles)) == len(roles) == len(FUNCTIONS)


def test_no_statement_says_star_where_an_arn_can_stand():
    wide = {
        action
        for _, statement in statements()
        if "*" in as_list(statement["Resource"])
        for action in as_list(statement["Action"])
    }
    assert wide <= WITHOUT_RESOURCE


def test_no_action_is_a_wildcard():
    assert [(name, a) for name, one in statements() for a in as_list(one["Action"]) if "*" in a] == []


def test_roles_are_passed_to_sagemaker_only_and_one_by_one():
    passed = [one for _, one in statements() if "iam:PassRole" in as_list(one["Action"])]
    assert {json.dumps(one["Resource"]) for one in passed} == {
        json.dumps({"Fn::GetAtt": [role, "Arn"]}) for role in ("JobRole", "EndpointRole")
    }
    for one in passed:
        assert one["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


@pytest.mark.parametrize(("role", "prefix"), [("JobRole", "runs"), ("EndpointRole", "policies")])
def test_sagemaker_roles_reach_one_prefix_of_the_bucket(role, prefix):
    own = [one for name, one in statements() if name == role]
    objects = [one for one in own if "s3:ListBucket" not in as_list(one["Action"])]
    assert [one["Resource"] for one in objects] == [{"Fn::Sub": f"${{Bucket.Arn}}/{prefix}/*"}]
    listing = [one for one in own if "s3:ListBucket" in as_list(one["Action"])]
    assert [one["Condition"] for one in listing] == [{"StringLike": {"s3:prefix": f"{prefix}/*"}}]


def test_only_the_functions_that_say_so_may_start_or_stop_something_that_costs():
    allowed: dict[str, set[str]] = {}
    for name, one in statements():
        for action in as_list(one["Action"]):
            if action.startswith("sagemaker:") and not action.startswith("sagemaker:Describe"):
                allowed.setdefault(action, set()).add(name)
    assert allowed["sagemaker:CreateTrainingJob"] == {"StartJobs"}
    assert allowed["sagemaker:CreateEndpoint"] == {"DeployEndpointFunctionRole"}
    assert "PredictFunctionRole" in allowed["sagemaker:InvokeEndpoint"]
    users = {
        name
        for name, one in FUNCTIONS.items()
        if {"Ref": "StartJobs"} in as_list(one["Properties"].get("Policies", []))
    }
    assert users == {"StartTrainingFunction", "StartEvaluationFunction"}


def test_predict_can_neither_start_runs_nor_read_a_database():
    own = [one for name, one in statements() if name == "PredictFunctionRole"]
    services = {action.split(":")[0] for one in own for action in as_list(one["Action"])}
    assert services == {"s3", "sagemaker"}


def routes(api: str) -> dict[str, set[str]]:
    body = resources("AWS::ApiGateway::RestApi")[api]["Body"]
    return {
        path: {method.upper() for method in methods if method != "options"} for path, methods in body["paths"].items()
    }


def test_the_control_api_has_the_routes_that_its_handlers_know():
    found = routes("ControlApi")
    assert found.pop("/{proxy+}") == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    for path, method in DASHBOARD:
        assert found.pop(path) == {method.upper()}
    assert found == {path: set(methods) for path, methods in methods_by_path(CONTROL).items()}


def test_the_predict_api_has_the_routes_that_its_handler_knows():
    found = routes("PredictApi")
    assert found.pop("/{proxy+}") == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert found == {path: set(methods) for path, methods in methods_by_path(PREDICT).items()}


@pytest.mark.parametrize(("api", "table"), [("ControlApi", CONTROL), ("PredictApi", PREDICT)])
def test_each_route_is_answered_by_the_function_that_the_table_names(api, table):
    for route in table:
        if route in PREDICT and route in CONTROL and api == "PredictApi":
            continue  # what both have, each answers itself
        operation = resources("AWS::ApiGateway::RestApi")[api]["Body"]["paths"][route.path][route.method.lower()]
        wanted = "".join(part.title() for part in route.function.split("_")) + "Function.Arn"
        assert wanted in json.dumps(operation["x-amazon-apigateway-integration"]["uri"]), route.name


@pytest.mark.parametrize(("api", "table"), [("ControlApi", CONTROL), ("PredictApi", PREDICT)])
def test_every_route_wants_an_api_key_but_what_the_api_says_of_itself(api, table):
    open_to_all = {(route.path, route.method.lower()) for route in table if not route.needs_key}
    assert {path for path, _ in open_to_all} == {"/health", "/openapi.json"}
    for path, methods in resources("AWS::ApiGateway::RestApi")[api]["Body"]["paths"].items():
        for method, operation in methods.items():
            keyless = (path, method) in open_to_all | DASHBOARD | {("/{proxy+}", "options")}
            assert operation["security"] == ([] if keyless else [{"api_key": []}]), (path, method)


def test_what_needs_no_key_is_throttled_for_all_callers_together():
    for name in ("ControlApiStage", "PredictApiStage"):
        settings = {one["ResourcePath"]: one for one in resources("AWS::ApiGateway::Stage")[name]["MethodSettings"]}
        for path in ("/~1health", "/~1openapi.json", "/~1{proxy+}"):
            assert 0 < settings[path]["ThrottlingRateLimit"] <= settings[path]["ThrottlingBurstLimit"]
        if name == "ControlApiStage":
            for path in ("/~1dashboard", "/~1dashboard~1{file}"):
                assert 0 < settings[path]["ThrottlingRateLimit"] <= settings[path]["ThrottlingBurstLimit"]


def test_the_dashboards_function_reaches_nothing():
    assert {one["Action"][0] for name, one in statements() if name == "DashboardFunctionRole"} == set()


def test_the_operators_api_goes_by_iam_and_its_calls_reach_the_same_functions():
    body = resources("AWS::ApiGateway::RestApi")["OperatorApi"]["Body"]
    assert set(body["paths"]) == {"/{proxy+}"}
    assert body["components"]["securitySchemes"]["AWS_IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    for method, operation in body["paths"]["/{proxy+}"].items():
        assert operation["security"] == [{"AWS_IAM": []}]
        assert "credentials" not in operation["x-amazon-apigateway-integration"], "not with the caller's own rights"
        function = "ControlWriteFunction" if method in {"post", "delete"} else "ControlReadFunction"
        assert function in json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
    (statement,) = [one for name, one in statements() if name == "OperatorAccess"]
    assert statement["Action"] == "execute-api:Invoke"
    assert "${OperatorApi}/${Stage}/*" in json.dumps(statement["Resource"])


def test_preflights_reach_the_functions_without_a_key_and_answers_name_the_one_origin():
    assert source()["Parameters"]["AllowedOrigin"]["Default"] == "none"
    for name, function in (("ControlApi", "ControlReadFunction"), ("PredictApi", "PredictFunction")):
        body = resources("AWS::ApiGateway::RestApi")[name]["Body"]
        assert [path for path, methods in body["paths"].items() if "options" in methods] == ["/{proxy+}"]
        operation = body["paths"]["/{proxy+}"]["options"]
        assert operation["security"] == []
        assert function in json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
        for one in body["x-amazon-apigateway-gateway-responses"].values():
            origin = one["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"]
            assert origin == {"Fn::Sub": "'${AllowedOrigin}'"}
    for one in ("ControlReadFunction", "ControlWriteFunction", "PredictFunction"):
        variables = FUNCTIONS[one]["Properties"]["Environment"]["Variables"]
        assert variables["ALLOWED_ORIGIN"] == {"Ref": "AllowedOrigin"}


def test_the_limits_of_keys_are_parameters():
    given = {
        name: one["Properties"]["Auth"]["UsagePlan"]
        for name, one in source()["Resources"].items()
        if name in ("ControlApi", "PredictApi")
    }
    for api, plan in given.items():
        prefix = api.removesuffix("Api")
        assert plan["Throttle"] == {
            "RateLimit": {"Ref": f"{prefix}RateLimit"},
            "BurstLimit": {"Ref": f"{prefix}BurstLimit"},
        }
    assert given["ControlApi"]["Quota"]["Limit"] == {"Ref": "ControlDailyQuota"}


def test_both_apis_stand_behind_a_web_acl_if_there_is_one():
    found = resources("AWS::WAFv2::WebACLAssociation")
    assert len(found) == 2
    for api in ("ControlApi", "PredictApi"):
        (one,) = [one for one in found.values() if f"${{{api}}}" in one["ResourceArn"]["Fn::Sub"]]
        assert one["ResourceArn"]["Fn::Sub"].endswith(f"/restapis/${{{api}}}/stages/${{{api}Stage}}")
        assert one["WebACLArn"] == {"Ref": "WebAclArn"}
    assert source()["Conditions"]["HasWebAcl"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WebAclArn"}, ""]}]}
    assert source()["Parameters"]["WebAclArn"]["Default"] == ""


def test_predict_takes_what_is_not_text_as_bytes():
    api = resources("AWS::ApiGateway::RestApi")["PredictApi"]
    for listed in (api["BinaryMediaTypes"], api["Body"]["x-amazon-apigateway-binary-media-types"]):
        assert set(listed) == {media for media, known in FORMATS.items() if known == MSGPACK}


def test_the_bucket_lets_pages_of_the_allowed_origin_in_and_no_others():
    (bucket,) = resources("AWS::S3::Bucket").values()
    condition, rules_of_origin, otherwise = bucket["CorsConfiguration"]["Fn::If"]
    assert (condition, otherwise) == ("HasOrigin", {"Ref": "AWS::NoValue"})
    assert rules_of_origin["CorsRules"][0]["AllowedOrigins"] == [{"Ref": "AllowedOrigin"}]


def test_each_api_has_a_key_and_a_throttled_plan_of_its_own():
    plans = resources("AWS::ApiGateway::UsagePlan")
    assert (
        len(plans) == len(resources("AWS::ApiGateway::ApiKey")) == len(resources("AWS::ApiGateway::UsagePlanKey")) == 2
    )
    assert all(plan["Throttle"]["RateLimit"] > 0 for plan in plans.values())


def test_what_api_gateway_answers_itself_has_the_form_of_every_other_error():
    for api in resources("AWS::ApiGateway::RestApi").values():
        answers = api["Body"]["x-amazon-apigateway-gateway-responses"]
        assert {"INVALID_API_KEY", "THROTTLED", "QUOTA_EXCEEDED", "MISSING_AUTHENTICATION_TOKEN"} <= set(answers)
        assert "WAF_FILTERED" in answers
        for kind, one in answers.items():
            problem = Problem.model_validate_json(one["responseTemplates"]["application/json"], strict=True)
            assert problem.status == int(one["statusCode"]), kind
            assert (problem.code, problem.status) in {(code.code, code.status) for code in all_codes()}
            assert problem.remedy
            content_type = one["responseParameters"]["gatewayresponse.header.Content-Type"]
            assert content_type == "'application/problem+json'"


def rules() -> list[dict[str, Any]]:
    return list(resources("AWS::Events::Rule").values())


def test_an_object_below_builds_starts_the_machine_and_a_failed_start_is_kept():
    (rule,) = [one for one in rules() if one.get("EventPattern", {}).get("source") == ["aws.s3"]]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "builds/"}]}
    assert rule["EventPattern"]["detail"]["bucket"] == {"name": [{"Ref": "Bucket"}]}
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 20, "MaximumEventAgeInSeconds": 3600}


def test_an_execution_that_ended_badly_calls_the_sweeper_and_so_does_a_schedule():
    (rule,) = [one for one in rules() if one.get("EventPattern", {}).get("source") == ["aws.states"]]
    assert rule["EventPattern"]["detail"] == {
        "stateMachineArn": [{"Ref": "TrainAndDeploy"}],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    }
    (timer,) = [one for one in rules() if one.get("ScheduleExpression") == "rate(15 minutes)"]
    for one in (rule, timer):
        assert [target["Arn"] for target in one["Targets"]] == [{"Fn::GetAtt": ["SweepRunsFunction", "Arn"]}]


def test_every_target_of_an_event_has_a_queue_for_what_cannot_be_delivered():
    queues = resources("AWS::SQS::Queue")
    allowed = {json.dumps(one["Queues"]): one["PolicyDocument"] for one in resources("AWS::SQS::QueuePolicy").values()}
    for rule in rules():
        for target in rule["Targets"]:
            (queue, attribute) = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"]
            assert (queue in queues, attribute) == (True, "Arn"), rule
            (sends,) = allowed[json.dumps([{"Ref": queue}])]["Statement"]
            assert (sends["Action"], sends["Principal"]) == ("sqs:SendMessage", {"Service": "events.amazonaws.com"})
            assert sends["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":rule/${AWS::StackName}-*")


def test_every_function_that_is_called_by_events_keeps_those_it_fails_on():
    called = {
        target["Arn"]["Fn::GetAtt"][0]
        for rule in rules()
        for target in rule["Targets"]
        if "Fn::GetAtt" in target["Arn"]
    }
    functions = resources("AWS::Lambda::Function")
    assert called == {f"{name}Function" for name in BY_EVENT}
    for name in called:
        (queue, _) = functions[name]["DeadLetterConfig"]["TargetArn"]["Fn::GetAtt"]
        assert queue in resources("AWS::SQS::Queue")
        senders = [
            one for role, one in statements() if role == f"{name}Role" and "sqs:SendMessage" in as_list(one["Action"])
        ]
        assert [one["Resource"] for one in senders] == [{"Fn::GetAtt": [queue, "Arn"]}]


def test_the_bucket_is_private_versioned_and_spoken_to_over_tls_only():
    (bucket,) = resources("AWS::S3::Bucket").values()
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
    (policy,) = resources("AWS::S3::BucketPolicy").values()
    (statement,) = [one for one in policy["PolicyDocument"]["Statement"] if one.get("Sid") == "TlsOnly"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_what_users_made_outlives_the_stack():
    for name, one in source()["Resources"].items():
        if one["Type"] in {"AWS::S3::Bucket", "AWS::DynamoDB::Table"} and name != "TurnsTable":
            assert one["DeletionPolicy"] == one["UpdateReplacePolicy"] == "Retain", name


def test_the_runs_table_has_the_keys_and_indexes_that_its_readers_use():
    table = resources("AWS::DynamoDB::Table")["RunsTable"]
    assert table["KeySchema"] == [{"AttributeName": "run_id", "KeyType": "HASH"}]
    indexes = {
        one["IndexName"]: [key["AttributeName"] for key in one["KeySchema"]] for one in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {
        "by_policy": ["policy", "created_at"],
        "by_created": ["record_type", "created_at"],
        "by_open": ["open_run", "created_at"],
        "by_build": ["build_sha256", "created_at"],
    }


def test_every_log_is_forgotten_after_a_time_and_every_function_writes_to_one_of_them():
    groups = resources("AWS::Logs::LogGroup")
    assert all("RetentionInDays" in group for group in groups.values())
    used = {one["LoggingConfig"]["LogGroup"]["Ref"] for one in resources("AWS::Lambda::Function").values()}
    assert used == {"PipelineLog", "ApiLog", "PredictLog"} <= set(groups)


def test_what_the_emulator_refuses_stands_behind_a_condition_that_is_false_by_default():
    refused = {"AWS::Budgets::Budget", "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::Logs::QueryDefinition"}
    for name, one in expanded()["Resources"].items():
        if one["Type"] in refused:
            assert one.get("Condition") == "HasBudget", name
        if one["Type"] == "AWS::WAFv2::WebACLAssociation":
            assert one.get("Condition") == "HasWebAcl", name
    assert source()["Parameters"]["BudgetUsd"]["Default"] == 0
    assert source()["Conditions"]["HasBudget"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "BudgetUsd"}, 0]}]}


def test_the_outputs_name_what_clients_need():
    wanted = {"ControlApiUrl", "ControlApiKeyId", "PredictApiUrl", "PredictApiKeyId", "BucketName", "StateMachineArn"}
    wanted |= {"OperatorApiUrl", "OperatorAccessArn"}
    assert wanted | {"RunsTableName", "PoliciesTableName"} <= set(source()["Outputs"])


def test_the_template_itself_names_no_account_and_no_region():
    text = (ROOT / "template.yaml").read_text()
    assert not re.search(r"\b\d{12}\b", text)
    assert not re.search(r"\b(us|eu|ap)-[a-z]+-\d\b", text)
