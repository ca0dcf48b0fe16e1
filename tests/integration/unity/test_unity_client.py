"""The C# client against a real server on real sockets, under Mono."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.predict import PredictRequest
from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.unity_client import PACKAGE, REPOSITORY, UnityClient, compile_assembly, needs_mono

pytestmark = needs_mono

ROUTE = "/policies/basic/predict"
KEY = "predict-key"


def actions(*choices: int, continuous: tuple[float, ...] | None = None) -> dict[str, Any]:
    """The API's answer: one discrete choice for each agent."""
    values = continuous or (0.0,) * len(choices)
    rows = [{"continuous": [value], "discrete": [choice]} for choice, value in zip(choices, values, strict=True)]
    return {"policy": "basic", "version": "v1", "behavior": "Basic", "actions": rows}


def moves(*choices: int) -> Answer:
    """As `actions`, without continuous ones."""
    document = actions(*choices)
    return Answer(document=document | {"actions": [row | {"continuous": []} for row in document["actions"]]})


OK = moves(1)


def test_everything_that_needs_no_server(client: UnityClient) -> None:
    assert ", 0 failed" in client.run("unit")


def test_a_batch_is_asked_as_the_contract_has_it(client: UnityClient, api: FakeApi) -> None:
    api.script("POST", ROUTE, Answer(document=actions(1, 0, continuous=(0.25, -0.5))))
    client.scenario("Batch", api.url)
    (received,) = api.received
    assert received.json() == {
        "observations": {"BasicSensor": [[0.5, 1], [-1e-7, 3]]},
        "action_masks": [[1, 1], [1, 0]],
        "deterministic": True,
    }
    PredictRequest.model_validate_json(received.body)
    assert received.headers["x-api-key"] == KEY
    assert received.headers["content-type"] == "application/json"
    assert "expect" not in received.headers, "a 100-continue costs a round trip"


@pytest.mark.parametrize(
    "bad", [Answer(drop=True), Answer(document=actions(1), cut_after_bytes=20), problem(503, "S", "s")]
)
def test_a_broken_exchange_is_tried_again(client: UnityClient, api: FakeApi, bad: Answer) -> None:
    api.script("POST", ROUTE, bad, bad, OK)
    client.scenario("OneAgent", api.url)
    assert len({one.body for one in api.received}) == 1


def test_what_the_policy_remembers_goes_along(client: UnityClient, api: FakeApi) -> None:
    first, second = (Answer(document=actions(1) | {"state": [f"token-{n}"]}) for n in (1, 2))
    api.script("POST", ROUTE, first, second)
    client.scenario("Remembers", api.url)
    assert [one.json()["state"] for one in api.received] == [[None], ["token-1"]]
    for received in api.received:
        PredictRequest.model_validate_json(received.body)


def test_a_pause_that_the_service_asks_for_is_sat_out(client: UnityClient, api: FakeApi) -> None:
    throttled = Answer(429, {"message": "Too Many Requests"}, headers={"Retry-After": "1"})
    api.script("POST", ROUTE, throttled, OK)
    client.scenario("OneAgent", api.url)
    assert len(api.received) == 2


def test_nothing_is_sent_during_a_long_pause(client: UnityClient, api: FakeApi) -> None:
    unavailable = problem(503, "ModelNotReady", "The endpoint is starting up.")
    api.script("POST", ROUTE, Answer(503, unavailable.document, headers={"Retry-After": "300"}))
    client.scenario("PauseIsKept", api.url)
    assert len(api.received) == 1


def test_a_date_until_which_to_wait_is_one_by_the_services_clock(client: UnityClient, api: FakeApi) -> None:
    headers = {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After": "Sun, 06 Nov 1994 08:54:37 GMT"}
    api.script("POST", ROUTE, Answer(503, {"code": "ModelNotReady"}, headers=headers))
    client.scenario("PauseIsKept", api.url)
    assert len(api.received) == 1


def test_a_problem_is_a_typed_exception_with_all_that_it_says(client: UnityClient, api: FakeApi) -> None:
    api.script(
        "POST",
        ROUTE,
        problem(
            400,
            "InvalidObservation",
            "Sensor 'ray': shape [3] expected, [2] given.",
            "Send observations of the shapes in the policy's spec.",
            [{"field": "observations.ray", "message": "too short"}],
        ),
    )
    client.scenario("ProblemIsTold", api.url)
    assert len(api.received) == 1


@pytest.mark.parametrize(
    ("answer", "exception", "message"),
    [
        (Answer(403, {"message": "Forbidden"}), "ApiKeyException", "keys of their own"),
        (problem(404, "PolicyNotFound", "No policy."), "PolicyNotFoundException", "PolicyNotFound"),
        (problem(404, "RouteNotFound", "No route."), "ApiException", "RouteNotFound"),
        (problem(400, "StaleState", "Another version."), "StaleStateException", "Another version."),
        (problem(409, "PolicyAsleep", "Taken down.", "Wake it."), "PolicyAsleepException", "Wake it."),
        (problem(413, "RequestTooLarge", "Large."), "RequestRefusedException", "HTTP 413"),
        (problem(429, "Throttled", "Slower."), "ThrottledException", "Slower."),
        (problem(500, "Internal", "Ours."), "ApiException", "HTTP 500"),
        (problem(502, "ModelError", "Failed."), "ModelFailedException", "Failed."),
        (problem(504, "DeadlineExceeded", "Late."), "ServiceUnavailableException", "Late."),
        (Answer(502, body=b"<html>Bad Gateway</html>", content_type="text/html"), "ModelFailedException", "Http502"),
        (Answer(body=b"<html>Log in</html>", content_type="text/html"), "UnexpectedAnswerException", "<html>Log in"),
        (Answer(body=b'{"actions": [}'), "UnexpectedAnswerException", "Not JSON"),
        (Answer(body=b'"\xff"'), "UnexpectedAnswerException", "UTF-8"),
        (moves(1, 2), "UnexpectedAnswerException", "'actions' has 2 entries for 1 agents"),
        (Answer(302, headers={"Location": "http://127.0.0.1:9/"}), "ApiException", "HTTP 302"),
        (Answer(drop=True), "UnreachableException", "gave no answer"),
    ],
)
def test_every_trouble_has_a_type_and_words(
    client: UnityClient, api: FakeApi, answer: Answer, exception: str, message: str
) -> None:
    api.script("POST", ROUTE, answer)
    client.scenario("Fails", api.url, exception, message)


def test_nobody_there(client: UnityClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client.scenario("Fails", url, "UnreachableException", "127.0.0.1")


def test_a_slow_answer_is_the_fallback_and_the_next_request_works(client: UnityClient, api: FakeApi) -> None:
    api.script("POST", ROUTE, Answer(document=OK.document, delay_seconds=8), OK)
    client.scenario("TimeoutFallsBack", api.url)


def test_a_huge_batch(client: UnityClient, api: FakeApi) -> None:
    agents = 5000
    api.script("POST", ROUTE, moves(*(agent % 3 for agent in range(agents))))
    client.scenario("ManyAgents", api.url, str(agents))
    rows = api.received[0].json()["observations"]["BasicSensor"]
    assert [row.index(1) for row in rows] == [agent % 20 for agent in range(agents)]


@pytest.mark.parametrize(("when_full", "answered"), [("NewestWins", "aa-----a"), ("Refuse", "aa------")])
def test_back_pressure_is_bounded(client: UnityClient, api: FakeApi, when_full: str, answered: str) -> None:
    api.script("POST", ROUTE, Answer(document=OK.document, delay_seconds=2))
    client.scenario("Burst", api.url, when_full, answered)
    assert len(api.received) == answered.count("a")
    assert api.most_at_once == 2
    assert api.connections <= 2


def test_connections_are_kept(client: UnityClient, api: FakeApi) -> None:
    api.script("POST", ROUTE, OK)
    client.scenario("Sequence", api.url, "40")
    assert (len(api.received), api.connections) == (40, 1)


def test_requests_are_given_up(client: UnityClient, api: FakeApi) -> None:
    api.script("POST", ROUTE, Answer(document=OK.document, delay_seconds=2))
    client.scenario("GivenUp", api.url)


def test_an_older_answer_that_comes_late_is_not_acted_on(client: UnityClient, api: FakeApi) -> None:
    api.script("POST", ROUTE, OK, Answer(document=OK.document, delay_seconds=4), moves(2))
    client.scenario("LateAnswer", api.url)


@pytest.mark.parametrize("transport", ["HttpClient", "UnityWebRequest"])
def test_the_sample_scene_walks_to_the_goal(client: UnityClient, api: FakeApi, transport: str) -> None:
    api.script("POST", ROUTE, moves(2, 2, 2, 2))
    client.scenario("WalkersReachTheGoal", api.url, KEY, transport)
    for received in api.received:
        document = received.json()
        assert {len(row) for row in document["observations"]["BasicSensor"]} == {20}
        assert len(document["observations"]["BasicSensor"]) == 4, "one request asks for all"
        assert received.headers["x-api-key"] == KEY
    assert api.most_at_once <= 2


@pytest.mark.parametrize("transport", ["HttpClient", "UnityWebRequest"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (problem(409, "PolicyAsleep", "Taken down.", "Wake it."), "PolicyAsleepException: Taken down."),
        (Answer(429, {"message": "Too Many Requests"}), "ThrottledException: Too Many Requests"),
        (Answer(document=OK.document, delay_seconds=2), "PredictTimeoutException: No answer within 0.5 s"),
    ],
)
def test_the_sample_scene_stays_while_no_answer_comes(
    client: UnityClient, api: FakeApi, transport: str, answer: Answer, message: str
) -> None:
    api.script("POST", ROUTE, answer)
    timeout_seconds = "0.5" if answer.delay_seconds else "20"
    told = client.scenario("WalkersStayWithoutAnswers", api.url, KEY, transport, timeout_seconds)
    assert told.count("told    ") == 1, "once, not at every step"
    assert f"warning: Gamedojo: {message}" in told
    assert KEY not in told


@pytest.mark.parametrize(
    "bad", [Answer(drop=True), Answer(document=actions(1), cut_after_bytes=20), problem(503, "S", "s")]
)
def test_unity_web_request_survives_a_broken_exchange(client: UnityClient, api: FakeApi, bad: Answer) -> None:
    api.script("POST", ROUTE, bad, bad, moves(2, 2, 2, 2))
    client.scenario("WalkersReachTheGoal", api.url, KEY, "UnityWebRequest")


def test_agents_with_sensors_are_read_and_acted_on(client: UnityClient, api: FakeApi) -> None:
    answer = actions(1, continuous=(0.25,))
    answer["actions"][0]["discrete"] = [1, 2]
    api.script("POST", ROUTE, Answer(document=answer))
    client.scenario("SensorsAreRead", api.url)
    asked = [one.json()["observations"] for one in api.received]
    assert asked[0] == {"VectorSensor_size2": [[0.5, 2]]}
    assert asked[-1] == {"GridSensor": [[[[1, 2], [3, 4]]]], "VectorSensor_size2": [[0.5, 2]]}


def test_an_action_that_is_forbidden_by_now_is_not_taken(client: UnityClient, api: FakeApi) -> None:
    forbidding = [[1, 1, 1, 1, 0]]

    def answered(body: Any) -> Answer:
        answer = actions(1, continuous=(0.25,))
        answer["actions"][0]["discrete"] = [1, 1 if body.get("action_masks") == forbidding else 2]
        return Answer(document=answer)

    api.script_by_body("POST", ROUTE, answered)
    client.scenario("MaskedActionIsNotTaken", api.url)
    masks = [one.json().get("action_masks") for one in api.received]
    assert None in masks, "no mask while everything is allowed"
    assert forbidding in masks


def test_ml_agents_before_3_compiles_as_well(client: UnityClient) -> None:
    engine = ("Gamedojo.Core", "Gamedojo.Unity", "UnityEngine", "Unity.ML-Agents")
    compile_assembly(client.folder, "Gamedojo.MLAgents.Old", PACKAGE / "Runtime" / "MLAgents", uses=engine)


def test_the_agent_of_the_guide_compiles(client: UnityClient, tmp_path: Path) -> None:
    guide = (REPOSITORY / "docs" / "predict_from_unity.md").read_text()
    (agent,) = [code for code in re.findall(r"```csharp\n(.*?)```", guide, re.DOTALL) if "class " in code]
    source = tmp_path / "Driver.cs"
    source.write_text(agent)
    engine = ("Gamedojo.Core", "Gamedojo.Unity", "Gamedojo.MLAgents", "UnityEngine", "Unity.ML-Agents")
    compile_assembly(client.folder, "Guide", source, uses=engine)
