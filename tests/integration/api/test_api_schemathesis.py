"""Both APIs under schemathesis: requests made from the OpenAPI documents, good and spoiled, known ids and others.

No answer is a 5xx, and none is another than the document says: its status, its content type, its schema, its headers.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_read.app import handler as read_handler
from control_write.app import handler as write_handler
from pipeline.api.routes import CONTROL, PREDICT, Route
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.environments import RegistryEntry
from pipeline.contracts.policy import (
    ActionSpec,
    BehaviorSpec,
    CurrentPolicy,
    ObservationSpec,
    PolicySpec,
    ServedVersion,
)
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import JobRecord, RunRecord, RunStatus
from predict.app import handler as predict_handler
from tests.fakes.control_stack import Stack, control_stack, moto_client
from tests.fakes.gateway import KEY, Gateway
from tests.fakes.onnx_policies import write_linear_policy, write_manifest
from tests.fakes.runtime_endpoint import runtime_endpoint
from tests.fakes.served_endpoint import serve_artifact
from tests.integration.api.test_api_control import REPORT

RUN, POLICY, BUILD = "mygame-3f9c0a1b2c3d", "mygame", "4f1c2d3e4f5061728394a5b6c7d8e9f0"
ENVIRONMENT = "3DBall"
SENSOR = "BasicSensor"
KNOWN = {"run_id": RUN, "policy": POLICY, "build_id": BUILD, "environment": ENVIRONMENT}
"""The documents' own examples."""

CONTROL_API = Gateway("ControlApi", {"ControlReadFunction": read_handler, "ControlWriteFunction": write_handler})
PREDICT_API = Gateway("PredictApi", {"PredictFunction": predict_handler})
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def operations(api: Gateway) -> dict[str, Any]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", api)
    return {found.ok().definition.raw["operationId"]: found.ok() for found in schema.get_all_operations()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with runtime_endpoint() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
        folder = tmp_path_factory.mktemp("policy")
        write_linear_policy(folder / "policies" / "Game.onnx", np.eye(20, 3, dtype=np.float32))
        with control_stack() as made:
            serve_artifact(server, write_manifest(folder, {"Game": (20,)}, RUN, SENSOR))
            seed(made)
            yield made


def seed(stack: Stack) -> None:
    """A run that has failed, with all that it made; a policy in service, by two versions; a build; an environment."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    record = RunRecord(
        run_id=RUN,
        policy=POLICY,
        status=RunStatus.FAILED,
        state="FinishRun",
        created_at=at,
        updated_at=at,
        finished_at=at,
        notified=True,
        execution_arn=stack.environment["STATE_MACHINE_ARN"].replace("stateMachine", "execution") + ":e",
        source_key=f"uploads/{BUILD}/MyGame.zip",
        build_key=f"runs/{RUN}/build.zip",
        options=RunOptions(),
        training_job=JobRecord(name="gamedojo-test-train", status="Completed"),
        artifacts={"evaluation_report.json": "runs/report", "progress.jsonl": "runs/progress"},
    )
    dynamodb = moto_client("dynamodb")
    dynamodb.delete_item(TableName=stack.environment["RUNS_TABLE"], Key={"run_id": {"S": RUN}})
    RunsTable(dynamodb, stack.environment["RUNS_TABLE"]).admit(record)
    key = f"policies/{POLICY}/{RUN}/policy_spec.json"
    for path in (f"uploads/{BUILD}/MyGame.zip", record.build_key):
        stack.put(path, b"zip")
    for path in ("serving/model.tar.gz", "evaluation/parity.json"):
        stack.put(f"runs/{RUN}/{path}", b"file")
    mirrored = RegistryEntry(
        environment=ENVIRONMENT, key="registry/x", sha256="0" * 64, size_bytes=3, source="elsewhere", mirrored_at=at
    )
    stack.put_document(f"registry/{ENVIRONMENT}.json", mirrored)
    stack.put("runs/progress", b'{"behavior": "Game", "iteration": 1, "env_steps": 64, "mean_return": 0.5}\n')
    stack.put_document("runs/report", REPORT)
    stack.put_document(key, spec())
    current = CurrentPolicy(policy=POLICY, version=RUN, endpoint_name="gamedojo-test-mygame", spec_key=key)
    stack.put_document(f"policies/{POLICY}/current.json", current)
    policies = PoliciesTable(dynamodb, stack.environment["POLICIES_TABLE"])
    policies.forget(POLICY)
    for day in (1, 2):
        served = {
            "version": RUN,
            "run_id": RUN,
            "endpoint_name": "gamedojo-test-mygame",
            "config_name": f"gamedojo-test-mygame-{day}",
        }
        policies.set_in_service(POLICY, ServedVersion(at=datetime(2026, 1, day, tzinfo=UTC), **served))


def spec() -> PolicySpec:
    sensor = ObservationSpec(name=SENSOR, shape=(20,))
    game = BehaviorSpec(
        name="Game", onnx="policies/Game.onnx", observations=(sensor,), actions=ActionSpec(discrete_branches=(3,))
    )
    return PolicySpec(policy=POLICY, version=RUN, behaviors=(game,))


def ask(stack: Stack, case: Any, known: bool, with_key: bool) -> Any:
    if known and case.path_parameters:
        case.path_parameters = case.path_parameters | {
            name: KNOWN[name] for name in case.path_parameters if name in KNOWN
        }
    if case.method != "GET":
        seed(stack)
    response = case.call(base_url="http://localhost", headers={"x-api-key": KEY} if with_key else {})
    case.validate_response(response, checks=CHECKS)
    return response


QUICK = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


@pytest.mark.parametrize("route", CONTROL, ids=lambda route: route.name)
def test_the_control_api_answers_as_its_document_says(stack, route):
    hold(stack, CONTROL_API, route)


@pytest.mark.parametrize("route", PREDICT, ids=lambda route: route.name)
def test_the_predict_api_answers_as_its_document_says(stack, route):
    hold(stack, PREDICT_API, route)


def hold(stack: Stack, api: Gateway, route: Route) -> None:
    operation = operations(api)[route.name]
    spoiled = [GenerationMode.NEGATIVE] if route.query or route.body else []  # any text is an id

    @QUICK
    @given(data=st.data(), known=st.booleans(), mode=st.sampled_from([GenerationMode.POSITIVE, *spoiled]))
    def answers(data: Any, known: bool, mode: GenerationMode) -> None:
        ask(stack, data.draw(operation.as_strategy(generation_mode=mode)), known, with_key=True)

    answers()


@pytest.mark.parametrize(("api", "table"), [(CONTROL_API, CONTROL), (PREDICT_API, PREDICT)])
def test_what_needs_a_key_says_so_as_documented(stack, api, table):
    for route in table:
        operation = operations(api)[route.name]
        case = operation.Case(path_parameters={name: KNOWN[name] for name in KNOWN if f"{{{name}}}" in route.path})
        response = ask(stack, case, known=True, with_key=False)
        assert (response.status_code == 403) is route.needs_key, route.name


STAND_OTHERWISE = {"getPartUrls", "completeBuild", "rollBack", "wake"}
"""The build is complete already, and the policy awake and served in the version that the example names."""


@pytest.mark.parametrize(("api", "table"), [(CONTROL_API, CONTROL), (PREDICT_API, PREDICT)])
def test_the_examples_of_the_documents_are_answered(stack, api, table):
    for route in table:
        seed(stack)
        path = {name: KNOWN[name] for name in KNOWN if f"{{{name}}}" in route.path}
        more = {} if route.example is None else {"body": route.example, "media_type": "application/json"}
        response = ask(stack, operations(api)[route.name].Case(path_parameters=path, **more), known=True, with_key=True)
        wanted = {409} if route.name in STAND_OTHERWISE else {int(status) for status in route.answers}
        assert response.status_code in wanted, (route.name, response.text)
