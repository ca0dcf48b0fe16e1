from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedojo.errors import UnexpectedAnswerError
from gamedojo.models import Run, RunPage
from gamedojo.reading import read
from tests.fakes.run_documents import run_document, succeeded

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Part:
    size: float
    at: datetime | None = None


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...] = ()
    count: int = 3
    labels: dict[str, str] = field(default_factory=dict)
    good: bool = False


@given(st.dictionaries(st.text().map(lambda name: "added_" + name), json_values))
def test_added_fields_change_nothing(added: dict[str, object]) -> None:
    document = {"name": "x", "parts": [{"size": 1}]}
    extended = {**document, **added, "parts": [{"size": 1, **added}]}
    assert read(Whole, extended) == read(Whole, document) == Whole("x", (Part(1.0),))


@given(json_values)
def test_any_document_is_read_or_refused_as_an_unexpected_answer(document: object) -> None:
    try:
        run = read(Run, document)
    except UnexpectedAnswerError:
        return
    assert isinstance(run, Run)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "name is missing"),
        ({"name": None}, "name is NoneType, not str"),
        ({"name": "x", "parts": [{"size": 1}, {"size": "2"}]}, r"parts\[1\].size is str, not float"),
        ({"name": "x", "parts": [{"size": 1, "at": "noon"}]}, r"parts\[0\].at is no time: 'noon'"),
        ({"name": "x", "count": 2.5}, "count is float, not int"),
        ({"name": "x", "count": True}, "count is bool, not int"),
        ({"name": "x", "good": 1}, "good is int, not bool"),
        ({"name": "x", "labels": {"a": 1}}, "labels.a is int, not str"),
        ([], "the document is list, not dict"),
    ],
)
def test_what_does_not_fit_is_named(document: object, message: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match=message):
        read(Whole, document)


def test_whole_numbers_are_taken_either_way() -> None:
    assert read(Whole, {"name": "x", "count": 4.0}).count == 4
    assert isinstance(read(Part, {"size": 4}).size, float)


def test_times_may_end_in_z() -> None:
    assert read(Part, {"size": 1, "at": "2025-01-02T03:04:05Z"}).at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_page_of_runs() -> None:
    page = read(RunPage, {"runs": [succeeded(), run_document()], "next_token": None})
    assert [run.status for run in page.runs] == ["SUCCEEDED", "RUNNING"]
    assert page.runs[0].evaluation is not None
    assert page.runs[0].evaluation.mean_return == 0.93


@pytest.mark.parametrize(
    ("status", "finished", "final"),
    [
        ("RUNNING", None, False),
        ("SUCCEEDED", None, True),
        ("KEPT", None, True),
        ("FAILED", None, True),
        ("QUEUED", None, False),
        ("CANCELLED", None, True),
        ("PARKED", "2025-01-02T03:04:05+00:00", True),
    ],
)
def test_a_status_of_a_newer_stack_is_final_once_it_has_an_end(status: str, finished: str | None, final: bool) -> None:
    assert read(Run, {**run_document(), "status": status, "finished_at": finished}).is_final is final
