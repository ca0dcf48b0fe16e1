"""The page that `make test-faults` writes: faults by call and kind, and what users are told."""

import re
from collections import defaultdict
from typing import NamedTuple

from tests.fakes.faulty_clients import KINDS

_INTRODUCTION = """\
Written by `make test-faults`: the whole state machine with the real handlers, where each call to AWS goes wrong once in
each way. After every fault, and after the sweeper, every run has an outcome and a reason, no job runs, no run has two
jobs of a kind, no lease is held, each outcome was told once, and an endpoint stands only in front of the version that
was verified. ✓: the run succeeded nonetheless. ✗: it failed, with one of the messages below. Only what AWS denies for
good, or what fails without the fault too, is to fail."""

_RUN = re.compile(r"\b[a-z0-9-]+-[0-9a-f]{12}\b")


class Injected(NamedTuple):
    """One fault, and what became of the run."""

    scenario: str
    state: str
    call: str
    kind: str
    outcome: str
    message: str


def page(injected: list[Injected], summary: str) -> str:
    """The page, the same whatever order the tests ran in."""
    return f"# Faults\n\n{_INTRODUCTION}\n\n{summary}.\n\n{_table(injected)}\n## Messages\n\n{_messages(injected)}"


def _table(injected: list[Injected]) -> str:
    cells: dict[tuple[str, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in injected:
        cells[one.scenario, one.state, one.call][one.kind].add(one.outcome)
    kinds = list(KINDS)
    text = f"| scenario | state | call | {' | '.join(kinds)} |\n|{'---|' * (len(kinds) + 3)}\n"
    for where, outcomes in sorted(cells.items()):
        marks = [" ".join(sorted(_mark(one) for one in outcomes[kind])) for kind in kinds]
        text += f"| {' | '.join(where)} | {' | '.join(marks)} |\n"
    return text


def _mark(outcome: str) -> str:
    return {"SUCCEEDED": "✓", "FAILED": "✗"}.get(outcome, outcome)


def _messages(injected: list[Injected]) -> str:
    kinds: dict[str, set[str]] = defaultdict(set)
    for one in injected:
        if one.message:
            kinds[_RUN.sub("<run>", one.message)].add(one.kind)
    return "".join(f"- {message} ({', '.join(sorted(found))})\n" for message, found in sorted(kinds.items()))
