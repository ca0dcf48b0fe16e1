"""Both APIs of the local cloud under schemathesis: by their own documents, over sockets, through its API Gateway.

`tests/integration/api/test_api_schemathesis.py` asks the handlers more, and more often. Here nothing may change what
other tests of this cloud stand on: what starts, rolls back or deletes something is asked with ids that nobody has.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipeline.api.routes import CONTROL, PREDICT, Route

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ASKS = [route for route in (*CONTROL, *PREDICT) if route.method == "GET" or route.name == "predict"]
FEW = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


@pytest.fixture(scope="module")
def known(cloud, dropped) -> dict[str, str]:
    """Ids that the cloud has."""
    run = cloud.first_run("basic")
    assert cloud.finished(run)["status"] == "SUCCEEDED"
    return {"policy": "basic", "run_id": run}


@pytest.fixture(scope="module")
def documents(cloud) -> dict[str, Any]:
    """Operations by their names, as each API describes itself."""
    found = {}
    for api in ("control", "predict"):
        url = cloud.connection[f"{api}_url"]
        schema = schemathesis.openapi.from_dict(cloud.http.get(f"{url}/openapi.json").json())
        for one in schema.get_all_operations():
            found[one.ok().definition.raw["operationId"]] = (api, one.ok())
    return found


@pytest.mark.parametrize("route", [*CONTROL, *PREDICT], ids=lambda route: route.name)
def test_it_answers_as_its_document_says(cloud, known, documents, route: Route) -> None:
    api, operation = documents[route.name]
    spoiled = [GenerationMode.NEGATIVE] if route.query or route.body else []

    @FEW
    @given(data=st.data(), known_id=st.booleans(), mode=st.sampled_from([GenerationMode.POSITIVE, *spoiled]))
    def answers(data: Any, known_id: bool, mode: GenerationMode) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if known_id and route in ASKS and case.path_parameters:
            case.path_parameters = {name: known.get(name, text) for name, text in case.path_parameters.items()}
        url, key = cloud.connection[f"{api}_url"], cloud.connection[f"{api}_key"]
        response = case.call(base_url=url, headers={"x-api-key": key})
        if "x-api-key" in response.request.headers:
            case.validate_response(response, checks=CHECKS)
        else:  # spoiled by leaving it out; the emulator answers that in words of its own (ministack 1.5.33)
            assert response.status_code == 403

    answers()
