"""What all handlers of states have in common: log lines, errors by their names, and how little they do on import."""

import ast
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline import observability
from pipeline.contracts.states import JobHandle, JobPoll, RunReference
from pipeline.errors import CapacityError
from pipeline.observability import Task, state_handler

FUNCTIONS = Path(__file__).parents[3] / "functions"
FOLDERS = sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py"))
RUN = {"run_id": "basic-1", "policy": "basic", "bucket": "b", "build_key": "k"}


class Context:
    function_name = "f"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    aws_request_id = "1"


class Answer(BaseModel):
    count: int


@contextmanager
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log's lines, as Lambda would see them on stdout."""
    handler, buffer = observability.logger.registered_handler, io.StringIO()
    kept = handler.setStream(buffer)  # type: ignore[attr-defined]
    try:
        yield lambda: [json.loads(line) for line in buffer.getvalue().splitlines()]
    finally:
        handler.setStream(kept)  # type: ignore[attr-defined]


def event(document: dict[str, Any], state: str = "StartTraining") -> dict[str, Any]:
    return {"execution_arn": "arn:x", "state": state, "document": document}


def test_the_answer_is_json_and_every_line_names_run_and_state() -> None:
    with log() as lines:
        assert state_handler(lambda task: Answer(count=2))(event({"run": RUN}), Context()) == {"count": 2}
    assert lines()
    for line in lines():
        assert (line["run_id"], line["policy"], line["state"]) == ("basic-1", "basic", "StartTraining")


def test_the_run_of_an_api_event_is_named_before_it_is_admitted() -> None:
    def fail(task: Task) -> Answer:
        raise CapacityError("full")

    with log() as lines, pytest.raises(CapacityError):
        state_handler(fail)(event({"run_id": "mine-1", "request_key": "k"}, "AdmitRun"), Context())
    assert [line["run_id"] for line in lines()] == ["mine-1"]


def test_the_run_of_a_dropped_build_is_named_as_soon_as_it_is_known() -> None:
    with log() as lines:
        state_handler(lambda task: RunReference(**RUN))(event({"detail": {}}, "AdmitRun"), Context())
    assert lines()[-1]["run_id"] == "basic-1"


def test_one_runs_name_does_not_stay_for_the_next() -> None:
    with log() as lines:
        state_handler(lambda task: Answer(count=1))(event({"run": RUN}), Context())
        state_handler(lambda task: Answer(count=1))(event({}), Context())
    assert ["run_id" in line for line in lines()] == [True, False]


def test_an_error_of_ours_leaves_under_its_own_name_and_its_cause_is_logged() -> None:
    def fail(task: Task) -> Answer:
        raise CapacityError("no machine", "wait")

    with log() as lines, pytest.raises(CapacityError):
        state_handler(fail)(event({"run": RUN}), Context())
    (line,) = lines()
    assert (line["level"], line["code"], line["cause"], line["remedy"]) == ("WARNING", "Capacity", "no machine", "wait")


def test_a_fault_of_ours_is_logged_with_its_traceback_and_the_run() -> None:
    def fail(task: Task) -> Answer:
        raise KeyError("oops")

    with log() as lines, pytest.raises(KeyError):
        state_handler(fail)(event({"run": RUN}), Context())
    (line,) = lines()
    assert (line["level"], line["run_id"], line["exception_name"]) == ("ERROR", "basic-1", "KeyError")
    assert "oops" in line["exception"]


def test_outcomes_are_counted_by_state(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(task: Task) -> Answer:
        raise CapacityError("no machine")

    with log():
        state_handler(lambda task: Answer(count=2))(event({"run": RUN}), Context())
        with pytest.raises(CapacityError):
            state_handler(fail)(event({"run": RUN}), Context())
    done, failed = (json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    assert (done["state"], done["Completed"]) == ("StartTraining", [1.0])
    assert (failed["state"], failed["Capacity"]) == ("StartTraining", [1.0])


def test_a_part_of_the_document_is_read_without_what_later_states_added() -> None:
    poll = JobPoll(job_name="j", wait_seconds=1, started_at_epoch=1, deadline_epoch=2, status="InProgress")
    task = Task(execution_arn="a", state="s", document={"training": poll.model_dump()})
    assert task.part("training", JobHandle) == JobHandle.model_validate(
        poll.model_dump(exclude={"status", "secondary_status", "model_artifact_key"})
    )
    with pytest.raises(KeyError):
        task.part("evaluation", JobHandle)


WATCH = """
import importlib, socket, sys
def refuse(*_, **__):
    raise AssertionError("a connection on import")
socket.socket.connect = refuse
for name in sys.argv[1:]:
    assert callable(importlib.import_module(f"{name}.app").handler)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_handlers_import_without_settings_connections_or_anything_heavy() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", WATCH, *FOLDERS],
        env={"PYTHONPATH": str(FUNCTIONS), "PATH": "", "POWERTOOLS_METRICS_NAMESPACE": "gamedojo"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(finished.stdout.split())
    assert not loaded & {"numpy", "torch", "ray", "onnxruntime", "yaml", "rl_src", "container", "local", "gamedojo"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_handlers_are_thin(folder: str) -> None:
    tree = ast.parse((FUNCTIONS / folder / "app.py").read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert functions
    for function in functions:
        lines = (function.end_lineno or 0) - function.lineno
        assert len(function.body) <= 5, f"{function.name} does the package's work"
        assert lines < 25, f"{function.name} does the package's work"
        loops = [node for node in ast.walk(function) if isinstance(node, ast.For | ast.While)]
        assert not loops, f"{function.name} does the package's work"
