"""The page that `make test-faults` writes: faults by call and kind, those on the local cloud, and what users are told.

Each part of the tests has a section of its own and writes that alone, so that one part can be run without the others.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.fakes.faulty_clients import KINDS

_TITLE = "# Faults\n\nWritten by `make test-faults`."

_NEVER = "\N{EN DASH}"

_CALLS_INTRODUCTION = f"""\
The whole state machine with the real handlers, where each call to AWS goes wrong once in each way. After every fault,
and after the sweeper, every run has an outcome and a reason, no job runs, no run has two jobs of a kind, no lease is
held, each outcome was told once, and an endpoint stands only in front of the version that was verified. ✓: the run
succeeded nonetheless. ✗: it failed, with one of the messages below. Only what AWS denies for good, what is gone for
good, or what fails without the fault too, is to fail. {_NEVER}: AWS has no such answer; the reasons are below. A row
stands for all of a state's calls of this kind, as it writes its record several times."""

_CLOUD_INTRODUCTION = """\
The real local cloud: emulator, SageMaker service, Lambdas, training processes. Processes are killed, machines taken
away, events lost and doubled."""

CALLS = "Calls to AWS"
ON_THE_CLOUD = "On the local cloud"
_ORDER = (CALLS, ON_THE_CLOUD)

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_RUN = re.compile(r"\b[a-z0-9-]+-[0-9a-f]{12}\b")
_ANY_RUN = "&lt;run>"


class Injected(NamedTuple):
    """One fault in a call, and what became of the run."""

    scenario: str
    state: str
    call: str
    kind: str
    outcome: str
    message: str


class LeftOut(NamedTuple):
    """One fault that AWS has no answer for, and why."""

    scenario: str
    state: str
    call: str
    kind: str
    reason: str


class Survived(NamedTuple):
    """One fault on the local cloud: what was as before it, and what the run's user sees."""

    fault: str
    survived: str
    seen: str


def write_section(path: Path, heading: str, text: str) -> None:
    """Replace one section of the page, and leave the others as they are."""
    sections = _sections(path.read_text()) if path.exists() else {}
    sections[heading] = text.strip()
    ordered = [f"## {name}\n\n{sections[name]}" for name in _ORDER if name in sections]
    path.write_text("\n\n".join([_TITLE, *ordered]) + "\n")


def _sections(page: str) -> dict[str, str]:
    _, *parts = _HEADING.split(page)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def calls_section(injected: list[Injected], left_out: list[LeftOut], summary: str) -> str:
    """Of the calls, the same whatever order the tests ran in."""
    table, reasons, messages = _table(injected, left_out), _reasons(left_out), _messages(injected)
    text = f"{_CALLS_INTRODUCTION}\n\n{summary}.\n\n{table}"
    return f"{text}\n### What AWS does not answer\n\n{reasons}\n### Messages\n\n{messages}"


def cloud_section(survived: list[Survived]) -> str:
    """Of the local cloud, in the order of the tests."""
    rows = [f"| {' | '.join(_RUN.sub(_ANY_RUN, cell) for cell in row)} |" for row in survived]
    return "\n".join(
        [_CLOUD_INTRODUCTION, "", "| fault | what survives | what the user sees |", "|---|---|---|", *rows]
    )


def _table(injected: list[Injected], left_out: list[LeftOut]) -> str:
    cells: dict[tuple[str, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in injected:
        cells[one.scenario, one.state, one.call][one.kind].add(_mark(one.outcome))
    for other in left_out:
        cells[other.scenario, other.state, other.call][other.kind].add(_NEVER)
    kinds = list(KINDS)
    text = f"| scenario | state | call | {' | '.join(kinds)} |\n|{'---|' * (len(kinds) + 3)}\n"
    for where, marks in sorted(cells.items()):
        text += f"| {' | '.join(where)} | {' | '.join(' '.join(sorted(marks[kind])) for kind in kinds)} |\n"
    return text


def _reasons(left_out: list[LeftOut]) -> str:
    calls: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in left_out:
        calls[one.kind, one.reason].add(f"`{one.call}`")
    return "".join(f"- {kind}: {why} ({', '.join(sorted(found))})\n" for (kind, why), found in sorted(calls.items()))


def _mark(outcome: str) -> str:
    return {"SUCCEEDED": "✓", "FAILED": "✗"}.get(outcome, outcome)


def _messages(injected: list[Injected]) -> str:
    kinds: dict[str, set[str]] = defaultdict(set)
    for one in injected:
        if one.message:
            kinds[_RUN.sub(_ANY_RUN, one.message)].add(one.kind)
    return "".join(f"- {message} ({', '.join(sorted(found))})\n" for message, found in sorted(kinds.items()))
