"""A limit of concurrent runs: the others wait, the more important ones less, and nobody for ever."""

import json
from typing import Any
from unittest.mock import patch

import pytest

from pipeline.contracts.run import RunStatus
from pipeline.steps import turns as steps
from tests.fakes.control_stack import BUCKET
from tests.fakes.fault_invariants import sweep_up
from tests.fakes.pipeline_stack import PipelineStack
from tests.integration.pipeline.test_pipeline_cancelling import cancel, with_options


@pytest.fixture(autouse=True)
def _one_at_once(stack: PipelineStack) -> Any:
    with patch.dict("os.environ", MAX_CONCURRENT_RUNS="1"):
        yield


def hold(stack: PipelineStack, run_id: str = "busy-0123456789ab") -> None:
    """A run that is going on holds the turn."""
    _, record = stack.run(stack.put("builds/busy.zip", stack.s3.get_object(Bucket=BUCKET, Key="seed")["Body"].read()))
    going_on = record.model_copy(update={"run_id": run_id, "status": RunStatus.RUNNING, "finished_at": None})
    assert stack.runs.admit(going_on.model_copy(update={"notified": False}))
    stack.turns.update(lambda known: known.model_copy(update={"holders": (run_id,)}))


def end(stack: PipelineStack, run_id: str = "busy-0123456789ab") -> None:
    stack.runs.update(run_id, lambda known: known.model_copy(update={"status": RunStatus.SUCCEEDED, "notified": True}))


@pytest.fixture
def busy(stack: PipelineStack, basic: bytes) -> PipelineStack:
    stack.s3.put_object(Bucket=BUCKET, Key="seed", Body=basic)
    hold(stack)
    return stack


def test_a_run_waits_until_the_one_before_it_is_over(busy: PipelineStack, basic: bytes) -> None:
    asked: list[str] = []

    def turn(execution: str, state: str) -> None:
        if state == "TakeTurn":
            asked.append(state)
            if len(asked) == 4:
                assert busy.newest().state == "TakeTurn"
                end(busy)  # FinishRun gave nothing back: the next who asks finds that it is over

    busy.turn = turn
    execution, record = busy.run(busy.put("builds/basic.zip", basic))
    assert execution["states"].count("WaitForTurn") == 3
    assert record.status is RunStatus.SUCCEEDED
    assert [entry.state for entry in record.history][:4] == ["AdmitRun", "InspectBuild", "TakeTurn", "StartTraining"]
    assert busy.turns.get().holders == ()


def test_a_run_that_waits_counts_its_asks_from_state_to_state(busy: PipelineStack, basic: bytes) -> None:
    counted: list[int] = []

    def pause(*arguments: Any) -> int:
        counted.append(arguments[4])
        if len(counted) == 3:
            end(busy)
        return 20

    with patch.object(steps, "pause_seconds", pause):
        _, record = busy.run(busy.put("builds/basic.zip", basic))
    assert counted == [0, 1, 2]
    assert record.status is RunStatus.SUCCEEDED


def test_a_run_that_need_not_wait_says_nothing_of_turns(stack: PipelineStack, basic: bytes) -> None:
    execution, record = stack.run(stack.put("builds/basic.zip", basic))
    assert "TakeTurn" in execution["states"]
    assert "TakeTurn" not in [entry.state for entry in record.history]
    assert stack.turns.get().holders == ()


@pytest.mark.parametrize("ending", ["FAILED", "KEPT"])
def test_however_a_run_ends_it_gives_its_turn_back(stack: PipelineStack, basic: bytes, ending: str) -> None:
    if ending == "FAILED":
        stack.sagemaker.script = lambda step, request: [{"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"}]
    stack.returns = [-10.0]
    build = with_options(basic, json.dumps({"evaluation": {"min_mean_return": 0.5}}))
    _, record = stack.run(stack.put("builds/basic.zip", build))
    assert record.status == ending
    assert stack.turns.get().holders == ()


def test_no_limit_writes_no_turns(stack: PipelineStack, basic: bytes) -> None:
    with patch.dict("os.environ", MAX_CONCURRENT_RUNS="0"):
        _, record = stack.run(stack.put("builds/basic.zip", basic))
    assert record.status is RunStatus.SUCCEEDED
    assert stack.turns.get().model_dump() == {"holders": (), "waiting": ()}


def test_the_more_important_run_goes_first(busy: PipelineStack, basic: bytes) -> None:
    """The second run comes later and has the higher priority; both wait for the same turn."""
    order: list[str] = []
    begun: list[str] = []

    def turn(execution: str, state: str) -> None:
        if state == "StartTraining":
            order.append(next(one.policy for one in busy.runs.list().runs if one.execution_arn == execution))
        waiting = [one.run_id for one in busy.turns.get().waiting]
        if state == "TakeTurn" and len(waiting) == 1 and not begun:
            begun.append("urgent")
            busy.begin(busy.put("builds/urgent.zip", with_options(basic, '{"priority": 5}')))
        if state == "TakeTurn" and len(waiting) == 2:
            end(busy)

    busy.turn = turn
    busy.execute(busy.put("builds/patient.zip", basic))
    assert order == ["urgent", "patient"]
    assert busy.turns.get().holders == ()


def test_a_run_that_waits_too_long_fails_with_a_reason(busy: PipelineStack, basic: bytes) -> None:
    with patch.object(steps, "LONGEST_SECONDS", -1):
        _, record = busy.run(busy.put("builds/basic.zip", basic))
    assert record.failure is not None
    assert record.failure.code == "DeadlineExceeded"
    assert "MaxConcurrentRuns" in record.failure.remedy
    assert busy.turns.get().waiting == ()


def test_a_run_is_cancelled_while_it_waits(busy: PipelineStack, basic: bytes) -> None:
    asked: list[str] = []

    def turn(execution: str, state: str) -> None:
        if state == "TakeTurn":
            asked.append(state)
            if len(asked) == 3:
                cancel(busy)

    busy.turn = turn
    execution = busy.execute(busy.put("builds/basic.zip", basic))
    assert "StartTraining" not in execution["states"]
    end(busy)
    sweep_up(busy)
    assert busy.newest().status is RunStatus.CANCELLED
    assert busy.turns.get().waiting == ()
    assert busy.sagemaker.running_jobs == []


def test_a_turn_whose_write_was_contested_is_taken_by_one(busy: PipelineStack) -> None:
    """Two runs read the same turns; the second one's write is refused, and it reads anew."""
    busy.turns.update(lambda known: known.model_copy(update={"holders": ()}))
    first = {"done": False}

    def change(known: Any) -> Any:
        if not first["done"]:
            first["done"] = True
            busy.turns.update(lambda other: other.model_copy(update={"holders": ("other",)}))
        return known.model_copy(update={"holders": (*known.holders, "mine")})

    assert busy.turns.update(change).holders == ("other", "mine")
    assert busy.turns.get().holders == ("other", "mine")
