"""What only an API Gateway and an S3 show: keys and no keys, preflights, IAM, parts that are PUT to their URLs."""

from typing import Any

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

MEBIBYTE = 1024**2


def operator(cloud: Any, method: str, path: str, signed: bool = True) -> Any:
    """The control API by IAM, signed as any AWS tool signs."""
    apis = cloud.client("apigateway").get_rest_apis()["items"]
    ids = {one["name"].rsplit("-", 1)[-1]: one["id"] for one in apis}
    url = cloud.connection["control_url"].replace(ids["control"], ids["operator"]) + path
    request = AWSRequest(method, url)
    if signed:
        SigV4Auth(Credentials("test", "test"), "execute-api", "us-east-1").add_auth(request)
    return cloud.http.request(method, url, headers=dict(request.headers))


def test_what_an_api_says_of_itself_needs_no_key(cloud):
    for name in ("control", "predict"):
        url = cloud.connection[f"{name}_url"]
        health = cloud.http.get(url + "/health")
        assert health.status_code == 200, health.text
        assert health.json()["api"] == name
        described = cloud.http.get(url + "/openapi.json").json()
        assert described["openapi"] == "3.1.0"
        assert "/health" in described["paths"]


def test_all_else_needs_a_key_and_says_so(cloud):
    for path in ("/training-runs", "/nope", "/builds/" + "0" * 32):
        answer = cloud.http.get(cloud.connection["control_url"] + path)
        assert answer.status_code == 403
        # The emulator passes over the gateway responses of an imported document (ministack 1.5.33), so that only the
        # status is told here; the template's test looks at their words.
        assert "message" in answer.json()


def test_a_preflight_needs_no_key_and_lets_nobody_in_by_default(cloud):
    asked = {"Origin": "https://play.example.com", "Access-Control-Request-Method": "POST"}
    url = cloud.connection["predict_url"] + "/policies/basic/predict"
    answer = cloud.http.options(url, headers=asked)
    assert answer.status_code == 204, answer.text
    assert answer.headers["allow"] == "POST,OPTIONS"
    assert "access-control-allow-origin" not in answer.headers


def test_operators_ask_by_iam_and_without_a_key(cloud):
    assert operator(cloud, "GET", "/training-runs", signed=False).status_code == 403
    answer = operator(cloud, "GET", "/policies")
    assert answer.status_code == 200, answer.text
    assert "policies" in answer.json()
    wrong = operator(cloud, "DELETE", "/builds/" + "0" * 32)
    assert (wrong.status_code, wrong.json()["code"]) == (404, "BuildNotFound")


def test_a_build_is_sent_in_parts_put_together_listed_and_removed(cloud):
    size = 65 * MEBIBYTE
    ticket = cloud.control("POST", "/builds", json={"file_name": "Large.zip", "size_bytes": size}).json()
    build = f"/builds/{ticket['build_id']}"
    assert [part["number"] for part in ticket["parts"]] == [1, 2]
    last = ticket["parts"][1]["upload_url"]
    assert cloud.http.put(last, content=bytes(MEBIBYTE)).status_code == 200
    waiting = cloud.control("GET", build).json()
    assert (waiting["status"], waiting["parts"], waiting["size_bytes"]) == ("UPLOADING", [2], MEBIBYTE)
    early = cloud.control("POST", f"{build}/complete", json={"size_bytes": size})
    assert (early.status_code, early.json()["code"]) == (409, "Conflict")
    assert "1 of 2 parts have not come: 1." in early.json()["detail"]
    again = cloud.control("POST", f"{build}/parts", json={"first": 1, "count": 1}).json()["parts"]
    assert cloud.http.put(again[0]["upload_url"], content=bytes(64 * MEBIBYTE)).status_code == 200
    done = cloud.control("POST", f"{build}/complete", json={"size_bytes": size})
    assert done.status_code == 200, done.text
    assert done.json()["status"] == "READY"
    assert cloud.control("POST", f"{build}/complete", json={"size_bytes": size}).json() == done.json()
    listed = cloud.control("GET", "/builds").json()["builds"]
    assert ticket["key"] in [one["key"] for one in listed]
    assert cloud.control("DELETE", build).status_code == 200
    assert cloud.control("GET", build).status_code == 404
    assert cloud.control("DELETE", build).status_code == 404


def test_a_build_in_parts_is_given_up(cloud):
    ticket = cloud.control("POST", "/builds", json={"file_name": "Never.zip", "size_bytes": 9}).json()
    assert cloud.control("DELETE", f"/builds/{ticket['build_id']}").status_code == 200
    assert cloud.http.put(ticket["parts"][0]["upload_url"], content=b"too late.").status_code == 404


def test_a_run_started_twice_by_one_key_tells_its_metrics_while_it_trains_and_its_report_after(cloud, basic_zip):
    request = {
        "policy": "told",
        "build": {"key": cloud.upload("Told.zip", basic_zip)},
        "stop": {"env_steps": 30_000},
        "evaluation": {"episodes": 2},
        "endpoint": {"deploy": False},
    }
    headers = {"x-api-key": cloud.connection["control_key"], "Idempotency-Key": "one-of-mine"}
    url = cloud.connection["control_url"] + "/training-runs"
    first, second = (cloud.http.post(url, headers=headers, json=request) for _ in range(2))
    assert first.status_code == 202, first.text
    assert first.json()["run_id"] == second.json()["run_id"]
    other = cloud.http.post(url, headers=headers, json=request | {"seed": 1})
    assert (other.status_code, other.json()["code"]) == (422, "IdempotencyKeyReused")
    path = f"/training-runs/{first.json()['run_id']}"

    def told() -> dict[str, Any] | None:
        series = cloud.control("GET", f"{path}/metrics", params={"points": 50}).json()
        return series if series["behaviors"] else None

    during = cloud.eventually(told, "metrics of the run", seconds=120)
    assert cloud.control("GET", f"{path}/report").json()["code"] == "ReportNotFound"
    assert cloud.finished(first.json()["run_id"])["status"] == "KEPT"
    (after,) = cloud.control("GET", f"{path}/metrics").json()["behaviors"]
    assert after["behavior"] == during["behaviors"][0]["behavior"] == "Basic"
    assert after["iterations"] > during["behaviors"][0]["iterations"] > 0
    assert after["columns"]["env_steps"][-1] >= 30_000
    assert len(set(map(len, after["columns"].values()))) == 1
    report = cloud.control("GET", f"{path}/report").json()
    assert report["run_id"] == first.json()["run_id"]


def test_bytes_reach_predict_as_they_are(cloud):
    """Read whole, the policy is looked for; a byte that was made another would be no MessagePack."""
    sensor = {"dtype": "uint8", "shape": [256], "data": bytes(range(256))}
    body = msgspec.msgpack.encode({"observations": [sensor]})
    url = cloud.connection["predict_url"] + "/policies/no-such-policy/predict"
    for content, status, code in ((body, 404, "PolicyNotFound"), (body[:-1], 400, "InvalidRequest")):
        headers = {"x-api-key": cloud.connection["predict_key"], "content-type": "application/msgpack"}
        answer = cloud.http.post(url, headers=headers | {"accept": "application/msgpack"}, content=content)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
