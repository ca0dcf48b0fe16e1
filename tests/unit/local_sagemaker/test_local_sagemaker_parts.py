"""Pure parts: where objects land, pages of a list, metrics in a log, batches for the emulator, what is remembered."""

import dataclasses
import json
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from local.sagemaker import logs, metrics
from local.sagemaker.errors import JobFailedError, NotImplementedLocallyError, ValidationError
from local.sagemaker.listing import page
from local.sagemaker.metrics import LogMetrics, Measurement
from local.sagemaker.objects import inside, pack, relative_name, unpack
from local.sagemaker.publishing import Publisher
from local.sagemaker.resources import Endpoint, EndpointConfig, Model, Served, TrainingJob
from local.sagemaker.store import Store


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("runs/1/build.zip", "runs/1/build.zip", "build.zip"),
        ("runs/1", "runs/1/build.zip", "build.zip"),
        ("runs/1/", "runs/1/a/b.txt", "a/b.txt"),
        ("runs/1", "runs/1/a/b.txt", "a/b.txt"),
        ("runs/1", "runs/10/a.txt", "10/a.txt"),
        ("data/tr", "data/train.csv", "train.csv"),
        ("", "a/b.txt", "a/b.txt"),
        ("a", "a", "a"),
    ],
)
def test_where_an_object_of_a_prefix_lands(prefix: str, key: str, name: str):
    assert relative_name(prefix, key) == name


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a/../.."])
def test_an_object_cannot_land_elsewhere(name: str, tmp_path: Path):
    with pytest.raises(JobFailedError, match="leaves the folder"):
        inside(tmp_path, name)


def test_an_archive_holds_the_folders_content(tmp_path: Path):
    (tmp_path / "model" / "policies").mkdir(parents=True)
    (tmp_path / "model" / "policies" / "a.onnx").write_bytes(b"\0\1")
    pack([tmp_path / "model"], tmp_path / "model.tar.gz")
    unpack(tmp_path / "model.tar.gz", tmp_path / "again")
    assert (tmp_path / "again" / "policies" / "a.onnx").read_bytes() == b"\0\1"


def test_what_is_no_archive_is_said(tmp_path: Path):
    (tmp_path / "model.tar.gz").write_bytes(b"no")
    with pytest.raises(JobFailedError, match="cannot be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model")


def summaries(count: int) -> list[dict]:
    return [
        {"EndpointName": f"e{number % 7}-{number}", "CreationTime": float(number // 3), "EndpointStatus": "InService"}
        for number in range(count)
    ]


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 9),
    sort_by=st.sampled_from(["Name", "CreationTime", "Status"]),
    order=st.sampled_from(["Ascending", "Descending"]),
)
def test_pages_add_up_to_everything_in_order(count: int, size: int, sort_by: str, order: str):
    request = {"MaxResults": size, "SortBy": sort_by, "SortOrder": order}
    found, token = page(request, summaries(count), resource="Endpoint", default_order="Ascending")
    while token is not None:
        assert len(found) % size == 0
        more, token = page({**request, "NextToken": token}, summaries(count), resource="Endpoint", default_order="A")
        assert more
        found += more
    everything = {"MaxResults": 100, "SortBy": sort_by, "SortOrder": order}
    assert found == page(everything, summaries(count), resource="Endpoint", default_order="Ascending")[0]
    assert len(found) == count
    member = {"Name": "EndpointName", "CreationTime": "CreationTime", "Status": "EndpointStatus"}[sort_by]
    values = [each[member] for each in found]
    assert values == sorted(values, reverse=order == "Descending")


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"NameContains": "E1"}, {"e1-1", "e1-8"}),
        ({"StatusEquals": "Failed"}, set()),
        ({"CreationTimeAfter": 1.0, "CreationTimeBefore": 3.0}, {"e6-6", "e0-7", "e1-8"}),
    ],
)
def test_a_list_is_filtered(request_: dict, names: set[str]):
    found, _ = page({**request_, "MaxResults": 100}, summaries(10), resource="Endpoint", default_order="Ascending")
    assert {each["EndpointName"] for each in found} == names


def test_a_token_of_somebody_else_is_refused():
    with pytest.raises(ValidationError, match="NextToken"):
        page({"NextToken": "aGVsbG8="}, [], resource="Endpoint", default_order="Ascending")


def test_a_filter_that_is_not_here_is_refused():
    with pytest.raises(NotImplementedLocallyError, match="WarmPoolStatusEquals"):
        page({"WarmPoolStatusEquals": "InUse"}, [], resource="TrainingJob", default_order="Ascending")


NUMBER = r"(-?[0-9.]+(?:[eE][-+]?[0-9]+)?)"


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**9))
def test_a_metric_in_a_json_line_is_read_exactly(mean_return: float, env_steps: int):
    found = LogMetrics(
        [{"Name": "r", "Regex": f'"mean_return": {NUMBER}'}, {"Name": "s", "Regex": f'"env_steps": {NUMBER}'}]
    ).find(json.dumps({"env_steps": env_steps, "mean_return": mean_return}))
    assert dict(found) == {"r": mean_return, "s": float(env_steps)}


@pytest.mark.parametrize("line", ['{"mean_return": null}', '{"mean_return": NaN}', "", '"mean_return": 1e999', "x"])
def test_what_is_no_number_is_no_metric(line: str):
    assert list(LogMetrics([{"Name": "r", "Regex": f'"mean_return": {NUMBER}'}]).find(line)) == []


def test_a_regex_that_is_none_is_refused_by_its_metrics_name():
    with pytest.raises(ValidationError, match="'broken'"):
        LogMetrics([{"Name": "broken", "Regex": "("}])


class Recorder:
    """A CloudWatch or Logs client that remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[dict] = []

    def __getattr__(self, name: str):
        return lambda **arguments: self.calls.append({"call": name, **arguments})


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300)), max_size=400))
def test_no_measurement_is_lost_in_a_batch(values: list[tuple[int, int]]):
    measured = [Measurement("N", "m", (("D", str(which)),), float(value), "None", 7.5) for which, value in values]
    recorder = Recorder()
    publisher = metrics.Metrics(recorder, interval_seconds=60)
    publisher._send(measured)
    publisher.close()
    counted: dict[tuple[str, float], float] = {}
    for call in recorder.calls:
        for datum in call["MetricData"]:
            assert len(datum["Values"]) == len(datum["Counts"]) <= 150
            for value, count in zip(datum["Values"], datum["Counts"], strict=True):
                key = (datum["Dimensions"][0]["Value"], value)
                counted[key] = counted.get(key, 0) + count
    expected: dict[tuple[str, float], float] = {}
    for which, value in values:
        expected[str(which), float(value)] = expected.get((str(which), float(value)), 0) + 1
    assert counted == expected


@given(st.lists(st.integers(1, 400_000), max_size=20))
def test_log_batches_keep_order_and_limits(sizes: list[int]):
    lines = [logs._Line("g", "s", 0, "x" * size) for size in sizes]
    batches = logs._batches(lines)
    assert [line for batch in batches for line in batch] == lines
    assert all(sum(line.size_bytes for line in batch) <= 1_048_576 or len(batch) == 1 for batch in batches)


def test_a_batch_is_tried_again_when_the_emulator_is_away():
    tries: list[list[int]] = []

    def send(batch: list[int]) -> None:
        tries.append(batch)
        if len(tries) < 3:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    publisher: Publisher[int] = Publisher("test", send, interval_seconds=0.01)
    for number in range(5):
        publisher.add(number)
    while not publisher.flush(30):
        assert len(tries) < 10
    publisher.close()
    accepted = tries[2:]
    assert [number for batch in accepted for number in batch] == list(range(5))


def test_a_batch_that_is_refused_does_not_hold_up_the_next():
    sent: list[int] = []

    def send(batch: list[int]) -> None:
        if 0 in batch:
            raise ClientError({"Error": {"Code": "InvalidParameterValue", "Message": "no"}}, "PutMetricData")
        sent.extend(batch)

    publisher: Publisher[int] = Publisher("test", send, interval_seconds=0.01)
    publisher.add(0)
    assert publisher.flush(30)
    publisher.add(1)
    assert publisher.flush(30)
    publisher.close()
    assert sent == [1]


def test_whoever_adds_never_waits_for_the_emulator():
    release = threading.Event()
    publisher: Publisher[int] = Publisher("test", lambda _batch: release.wait(), interval_seconds=0.001)
    for number in range(1000):
        publisher.add(number)
    assert not publisher.flush(0.01), "nothing can have been sent"
    release.set()
    assert publisher.flush(30)
    publisher.close()


def test_what_is_remembered_comes_back(tmp_path: Path):
    path = tmp_path / "state.json"
    store = Store(path)
    served = Served("c", {"VariantName": "v"}, {"Image": "i"}, False)
    with store.change():
        store.training_jobs["j"] = TrainingJob("j", "arn:j", {"a": [1]}, 1.0, 2.0, metrics={"m": {"Value": 1.0}})
        store.models["m"] = Model("m", "arn:m", {}, 1.0)
        store.endpoint_configs["c"] = EndpointConfig("c", "arn:c", {}, 1.0)
        store.endpoints["e"] = Endpoint("e", "arn:e", 1.0, 2.0, "c", served=served)
        store.tags["arn:e"] = {"k": "v"}
    again = Store(path)
    for name in ("training_jobs", "models", "endpoint_configs", "endpoints", "tags"):
        assert getattr(again, name) == getattr(store, name)
    assert dataclasses.is_dataclass(again.endpoints["e"].served)


def test_a_change_that_fails_is_not_written(tmp_path: Path):
    store = Store(tmp_path / "state.json")

    def fail() -> None:
        with store.change():
            store.tags["arn"] = {}
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not (tmp_path / "state.json").exists()


def test_a_state_file_of_another_version_is_refused(tmp_path: Path):
    (tmp_path / "state.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="another version"):
        Store(tmp_path / "state.json")
