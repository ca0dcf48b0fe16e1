"""Figures over rounds, tables, and what becomes of older results."""

from pathlib import Path

from benchmarks.envs.runs import Contestant, median_of, take_turns
from benchmarks.report import Goal, publish, table


def test_contestants_take_turns_in_every_round() -> None:
    who = [Contestant(title, title, Path("python")) for title in "abc"]
    order: list[str] = []

    def measure(one: Contestant) -> float:
        order.append(one.title)
        return len(order)

    assert take_turns(who, 2, measure) == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    assert order == list("abcabc")


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    # 2, 4 and 10: not 12 / 3, the ratio of the medians, nor their mean
    assert median_of(lambda one, other: other / one, [1, 3, 5], [2, 12, 50]) == 4


def test_a_table_is_markdown() -> None:
    assert table(["", "b"], [["one", "2"], ["three", "10"]]).splitlines() == [
        "|       |  b |",
        "| ----: | -: |",
        "|   one |  2 |",
        "| three | 10 |",
    ]


def test_a_missed_goal_is_an_error_and_said_so(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    goals = [Goal("small", "1 µs", True), Goal("fast", "2 x", False)]
    assert publish("Title", "make it", "the table", goals, results) == 1
    assert "- reached: small: 1 µs\n- MISSED: fast: 2 x" in results.read_text()
    assert publish("Title", "make it", "the table", goals[:1], results) == 0


def test_a_section_takes_the_place_of_its_older_self_and_of_no_other(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    for title, body in (("One", "older body"), ("Two", "second"), ("One", "third")):
        publish(title, "make it", body, [], results)
    text = results.read_text()
    assert "older body" not in text
    assert text.index("third") < text.index("second")
    assert text.count("## One\n") == text.count("# Results\n") == 1
