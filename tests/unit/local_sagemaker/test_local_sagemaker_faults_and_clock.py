"""The fault plan, rates and the double's clock, without any service."""

import contextlib
import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sagemaker.clock import Clock
from local.sagemaker.errors import ConfigError, RateExceededError, ValidationError
from local.sagemaker.faults import Faults
from local.sagemaker.rates import Rates


def plan(folder: Path, *faults: dict) -> Faults:
    made = Faults(folder / "faults.json")
    made.set({"faults": list(faults)})
    return made


@given(skip=st.integers(0, 5), times=st.one_of(st.none(), st.integers(1, 5)), calls=st.integers(0, 15))
def test_so_many_calls_are_skipped_then_so_many_are_hit(
    tmp_path_factory: pytest.TempPathFactory, skip: int, times: int | None, calls: int
):
    faults = plan(tmp_path_factory.mktemp("plan"), {"kind": "throttling", "skip": skip, "times": times})
    hit = [number for number in range(calls) if faults.call("ListModels", "") is not None]
    last = calls if times is None else min(calls, skip + times)
    assert hit == list(range(skip, last))
    assert faults.document()["faults"][0]["happened"] == len(hit)


@pytest.mark.parametrize(
    ("fault", "fits"),
    [
        ({"action": "Create*"}, True),
        ({"action": "Describe*"}, False),
        ({"resource": "job-?"}, True),
        ({"resource": "job"}, False),
        ({"action": "CreateTrainingJob", "resource": "job-1"}, True),
    ],
)
def test_a_call_is_matched_by_action_and_resource(tmp_path: Path, fault: dict, fits: bool):
    found = plan(tmp_path, {"kind": "throttling", **fault}).call("CreateTrainingJob", "job-1")
    assert (found is not None) is fits


def test_a_moment_is_waited_for(tmp_path: Path):
    faults = plan(tmp_path, {"kind": "spot_interruption", "after_seconds": 10})
    assert faults.event("spot_interruption", "job", 9.9) is None
    assert faults.event("host_loss", "job", 99) is None
    assert faults.event("spot_interruption", "job", 10) is not None
    assert faults.event("spot_interruption", "job", 11) is None, "it happens once"


def test_a_file_that_changes_is_read_anew(tmp_path: Path):
    path = tmp_path / "faults.json"
    faults = Faults(path)
    assert faults.call("ListModels", "") is None
    path.write_text(json.dumps({"faults": [{"kind": "throttling"}]}))
    assert faults.call("ListModels", "") is not None
    path.unlink()
    assert faults.call("ListModels", "") is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "earthquake"}, "kind"),
        ({"kind": "throttling", "acton": "x"}, "acton"),
        ({"kind": "throttling", "times": 0}, "times"),
        ({"kind": "throttling", "after_seconds": 1}, "count by skip"),
        ({"kind": "spot_interruption", "skip": 1}, "name the moment by after_seconds"),
        ({"kind": "failing_ping", "action": "CreateEndpoint"}, "takes no action"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, fault: dict, said: str):
    with pytest.raises(ValidationError, match=said):
        plan(tmp_path, fault)
    (tmp_path / "faults.json").write_text(json.dumps({"faults": [fault]}))
    with pytest.raises(ConfigError, match=said):
        Faults(tmp_path / "faults.json")


def admitted(rates: Rates, operation: str, calls: int) -> int:
    count = 0
    for _ in range(calls):
        with contextlib.suppress(RateExceededError):
            rates.take(operation)
            count += 1
    return count


def test_beyond_its_rate_an_operation_is_throttled():
    rates = Rates({"ListTrainingJobs": 2})
    assert admitted(rates, "ListTrainingJobs", 2) == 2
    assert admitted(rates, "ListTrainingJobs", 1000) < 1000
    rates.take("ListModels")


def test_a_day_of_the_double_is_over_in_no_time():
    clock = Clock(scale=1e-6)
    began = clock.now()
    assert clock.wait(threading.Event(), 86_400) is False
    assert clock.now() - began >= 86_400


def test_time_that_is_let_pass_wakes_who_waits():
    clock = Clock()
    woken = threading.Event()
    waiting = threading.Thread(target=lambda: (clock.wait(threading.Event(), 3600), woken.set()))
    waiting.start()
    clock.advance(3600)
    assert woken.wait(30)
    waiting.join()


def test_an_event_ends_the_wait():
    event = threading.Event()
    event.set()
    assert Clock().wait(event, 3600) is True


def test_the_clock_goes_on_where_an_earlier_one_was():
    ahead = time.time() + 1e6
    assert Clock(not_before=ahead).now() >= ahead
    assert Clock(not_before=5.0).now() >= time.time() - 1
