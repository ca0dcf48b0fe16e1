"""The OpenAPI documents: valid, as they lie in docs/, and whole."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import pipeline
from pipeline.api import codes, openapi
from pipeline.api.routes import CONTROL, PREDICT, AnyDocument, Route
from pipeline.contracts.api import BuildPage
from pipeline.contracts.cost import CostEstimate, JobCost
from pipeline.contracts.predict import PredictRequest

ROOT = Path(__file__).parents[2]
DOCUMENTS = {"control": (openapi.control_document(), CONTROL), "predict": (openapi.predict_document(), PREDICT)}
ROUTES = [(api, route) for api, (_, table) in DOCUMENTS.items() for route in table]


def resolved(document: dict[str, Any], one: dict[str, Any]) -> Any:
    """What a reference of the document names."""
    while "$ref" in one:
        found: Any = document
        for step in one["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        one = found
    return one


def operation(api: str, route: Route) -> dict[str, Any]:
    return DOCUMENTS[api][0]["paths"][route.path][route.method.lower()]


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


@pytest.mark.parametrize("name", openapi.written())
def test_what_lies_in_docs_is_what_the_code_says(name):
    """If this fails: `make openapi`, and look at the difference."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == openapi.written()[name]


@pytest.mark.parametrize("api", DOCUMENTS)
def test_the_document_is_openapi_3_1(api):
    document = DOCUMENTS[api][0]
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_the_version_is_the_projects():
    assert f'version = "{pipeline.__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("api", DOCUMENTS)
def test_every_schema_is_one_and_every_reference_leads_somewhere(api):
    document = DOCUMENTS[api][0]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    for reference in references:
        assert resolved(document, {"$ref": reference})
    used = {reference.rsplit("/", 1)[-1] for reference in references}
    assert set(document["components"]["schemas"]) | set(document["components"]["responses"]) == used


@pytest.mark.parametrize("api", DOCUMENTS)
def test_every_name_of_an_operation_is_its_own(api):
    document, table = DOCUMENTS[api]
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names)) == len(table)


@pytest.mark.parametrize(("api", "route"), ROUTES)
def test_a_route_has_all_of_its_parameters_body_answers_and_errors(api, route):
    found = operation(api, route)
    assert found["summary"] == route.summary
    assert found["security"] == ([{"api_key": []}] if route.needs_key else [])
    places = {(one["in"], one["name"]) for one in found["parameters"]}
    wanted = {("path", name) for name in re.findall(r"{(\w+)}", route.path)}
    wanted |= {("query", name) for name in (route.query.model_fields if route.query else ())}
    wanted |= {("header", "Idempotency-Key")} if route.takes_idempotency_key else set()
    assert places == wanted
    assert all(one["description"] for one in found["parameters"])
    assert ("requestBody" in found) is (route.body is not None)
    statuses = {int(status) for status in route.answers} | {int(one.status) for one in route.all_failures}
    assert {int(status) for status in found["responses"]} == statuses


@pytest.mark.parametrize(("api", "route"), [pair for pair in ROUTES if pair[1].example is not None])
def test_the_example_of_a_body_is_taken_by_its_contract_and_its_schema(api, route):
    document = DOCUMENTS[api][0]
    content = operation(api, route)["requestBody"]["content"]["application/json"]
    route.body.model_validate_json(json.dumps(content["example"]), strict=True)
    validator(document, content["schema"]).validate(content["example"])


def test_every_route_with_a_body_has_an_example_of_it():
    assert [route.name for _, route in ROUTES if route.body is not None and route.example is None] == []


@pytest.mark.parametrize(("api", "route"), ROUTES)
def test_every_error_has_an_example_that_fits_its_schema(api, route):
    document = DOCUMENTS[api][0]
    told = set()
    for status, response in operation(api, route)["responses"].items():
        content = resolved(document, response)["content"]
        if int(status) < 400:
            continue
        problem = content["application/problem+json"]
        for code, example in problem["examples"].items():
            told.add((code, int(status)))
            validator(document, problem["schema"]).validate(example["value"])
            assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))
            assert example["value"]["remedy"]
    assert told == {(one.code, int(one.status)) for one in route.all_failures}


@pytest.mark.parametrize(
    "answer",
    [
        CostEstimate(
            training=JobCost(
                instance_type="ml.x.y", instance_count=1, spot=True, max_seconds=1, usd_per_hour=None, max_usd=None
            ),
            evaluation=JobCost(
                instance_type="ml.x.y", instance_count=1, spot=True, max_seconds=1, usd_per_hour=1.0, max_usd=1.0
            ),
            max_usd=None,
            prices="x",
        ),
        BuildPage(builds=({"build_id": None, "key": "uploads/x.zip", "size_bytes": 3},)),
    ],
)
def test_an_answer_leaves_nulls_out_and_still_fits_its_schema(answer):
    document = DOCUMENTS["control"][0]
    schema = {"$ref": f"#/components/schemas/{type(answer).__name__}"}
    validator(document, schema).validate(json.loads(answer.model_dump_json(exclude_none=True)))


def test_no_body_loses_a_required_field_because_answers_leave_nulls_out():
    for api, route in ROUTES:
        if route.body is not None:
            given = DOCUMENTS[api][0]["components"]["schemas"][route.body.__name__].get("required", [])
            assert sorted(given) == sorted(name for name, one in route.body.model_fields.items() if one.is_required())


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"observations": [[0, 1]]}, True),
        ({"observations": {"eye": {"dtype": "uint8", "shape": [1], "data": "AA=="}}, "state": None}, True),
        ({"observations": [[[0], [1]]], "state": ["a", None], "action_masks": [[1], [1]]}, True),
        ({"observations": 1}, False),
        ({"observations": [[0]], "memory": []}, False),
        ({"observations": [{"dtype": "float64", "shape": [1], "data": ""}]}, False),
    ],
)
def test_the_schema_of_a_predict_request_and_its_contract_are_of_one_mind(body, fits):
    document = DOCUMENTS["predict"][0]
    assert validator(document, {"$ref": "#/components/schemas/PredictRequest"}).is_valid(body) is fits
    try:
        PredictRequest.model_validate_json(json.dumps(body), strict=True)
    except ValueError:
        assert not fits
    else:
        assert fits


def test_the_page_of_errors_has_every_code_that_a_route_has():
    page = openapi.written()["errors.md"]
    for _, route in ROUTES:
        for one in route.all_failures:
            assert re.search(rf"^\| {int(one.status)} \| `{one.code}`", page, re.MULTILINE), one.code


def test_codes_have_one_status_each():
    found = codes.all_codes()
    assert len({one.code for one in found}) == len(found)


def test_the_answer_that_describes_the_api_is_any_document():
    assert [route.name for _, route in ROUTES if AnyDocument in next(iter(route.answers.values()))] == [
        "getDescription"
    ] * 2
