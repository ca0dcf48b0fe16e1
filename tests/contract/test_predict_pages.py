"""The pages about asking a policy: every JSON body on them is what the contracts say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.contracts.policy import ActionSpec, BehaviorSpec, ObservationSpec, PolicySpec
from pipeline.contracts.predict import PredictRequest, PredictResponse
from pipeline.contracts.problem import Problem
from pipeline.rules.observations import check_question
from pipeline.rules.questions import read_question
from pipeline.rules.served import read_spec

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "predict.md").read_text()
GUIDE = (DOCS / "predict_from_unity.md").read_text()

CONTRACT = PolicySpec(
    policy="basic",
    version="basic-1",
    behaviors=(
        BehaviorSpec(
            name="Basic",
            onnx="policies/Basic.onnx",
            observations=(ObservationSpec(name="BasicSensor", shape=(20,)),),
            actions=ActionSpec(discrete_branches=(3,)),
        ),
    ),
)


BASIC = read_spec(CONTRACT.model_dump_json().encode())


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def bodies() -> list[dict[str, Any]]:
    """JSON blocks, what curl sends, and what the JavaScript example asks."""
    sent = re.findall(r"-d '(\{.*?\})'", PAGE)
    asked = re.findall(r"^  (\{\"observations\".*\}),$", "".join(blocks(PAGE, "javascript")), re.MULTILINE)
    assert (len(sent), len(asked)) == (2, 1)
    return [json.loads(text) for text in (*blocks(PAGE, "json"), *sent, *asked)]


def contract_of(body: dict[str, Any]) -> type[BaseModel]:
    if "observations" in body:
        return PredictRequest
    return PredictResponse if "version" in body else Problem


@pytest.mark.parametrize("body", bodies(), ids=lambda body: json.dumps(body)[:60])
def test_a_body_fits_its_contract(body: dict[str, Any]) -> None:
    read = contract_of(body).model_validate_json(json.dumps(body))
    if isinstance(read, PredictRequest) and "BasicSensor" in read.observations:
        check_question(BASIC, read_question(body))


def test_what_curl_sends_without_names_fits_too() -> None:
    (by_order,) = [body for body in bodies() if isinstance(body.get("observations"), list)]
    check_question(BASIC, read_question(by_order))


def test_the_example_of_an_error_is_what_the_api_says() -> None:
    (shown,) = [body for body in bodies() if "detail" in body]
    with pytest.raises(Exception, match="shape") as refused:
        check_question(BASIC, read_question({"observations": {"BasicSensor": [1, 2, 3]}}))
    assert shown["detail"] in str(refused.value)
    assert shown["code"] == type(refused.value).__name__.removesuffix("Error")


def test_links_lead_somewhere() -> None:
    for page in (PAGE, GUIDE):
        for target in re.findall(r"\]\(([^)#]+)\)", page):
            assert (DOCS / target).exists(), target


def test_the_packages_name_is_right() -> None:
    (manifest,) = map(json.loads, blocks(GUIDE, "json"))
    package = json.loads((DOCS.parent / "clients/unity/package.json").read_text())
    assert package["name"] in manifest["dependencies"]
