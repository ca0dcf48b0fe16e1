"""Reading settings in another program's form: what is wrong, what is only worth a note, and where each value is from.

Nothing here raises at the first problem: a file is corrected in one go if all that is wrong with it is said at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pipeline.contracts.notes import SettingNote
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document

_NO_NUMBER = "must be a number"


@dataclass
class Findings:
    """What was found while a document was read."""

    problems: list[FieldProblem] = field(default_factory=list)
    notes: list[SettingNote] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Those of another part of the document."""
        self.problems += other.problems
        self.notes += other.notes

    def without(self, other: "Findings") -> "Findings":
        """Those that the other does not have."""
        return Findings(
            [problem for problem in self.problems if problem not in other.problems],
            [note for note in self.notes if note not in other.notes],
        )

    def moved(self, old: str, new: str) -> "Findings":
        """The same of settings that stand below another path."""
        return Findings(
            [FieldProblem(field=new + item.field.removeprefix(old), message=item.message) for item in self.problems],
            [SettingNote(setting=new + item.setting.removeprefix(old), note=item.note) for item in self.notes],
        )


@dataclass(frozen=True)
class Setting:
    """A value in the request's form, and the dotted path of the foreign setting that it comes from."""

    value: Any
    origin: str


Settings = dict[str, Setting]
"""By the dotted name of the request's field."""


class Section:
    """One mapping of the document. A name that nobody asks for is unknown, and refused by `close`.

    Null is taken as silence: ML-Agents writes it for every optional setting of a configuration that it saves.
    """

    def __init__(self, document: Mapping[Any, Any], path: str, findings: Findings) -> None:
        self._document = {str(name): value for name, value in document.items() if value is not None}
        self._path = path
        self._silent = {str(name) for name, value in document.items() if value is None}
        self._known: set[str] = set()
        self.findings = findings

    def path(self, name: str) -> str:
        """The dotted path of one of its settings, or its own ("")."""
        return ".".join(part for part in (self._path, name) if part)

    def names(self) -> list[str]:
        """All that it says something about, known or not."""
        return list(self._document)

    def has(self, name: str) -> bool:
        """Whether the document says anything about it; makes the name a known one."""
        self._known.add(name)
        return name in self._document

    def value(self, name: str) -> Any:
        """As it stands there; None where it does not."""
        self._known.add(name)
        return self._document.get(name)

    def number(self, name: str, default: float) -> float:
        """A finite number. A text that spells one is one: YAML reads `3e-4`, without a point, as text."""
        found = _number(self.value(name)) if self.has(name) else default
        if found is None:
            self.refuse(name, f"{_NO_NUMBER}, not {self.value(name)!r}")
            return default
        return found

    def whole(self, name: str, default: int) -> int:
        """A whole number; `5.0e5` is one."""
        found = self.number(name, float(default))
        if not found.is_integer():
            self.refuse(name, f"must be a whole number, not {found!r}")
            return default
        return int(found)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        found = self.value(name) if self.has(name) else default
        if not isinstance(found, bool):
            self.refuse(name, f"must be true or false, not {found!r}")
            return default
        return found

    def choice(self, name: str, choices: Mapping[str, str], default: str) -> str:
        """One of the foreign choices, as ours."""
        found = self.value(name) if self.has(name) else default
        if not isinstance(found, str) or found not in choices:
            self.refuse(name, f"{found!r} is unknown; {_nearest(str(found), choices)}")
            return choices[default]
        return choices[found]

    def section(self, name: str) -> "Section | None":
        """A mapping inside; None where there is none."""
        if not self.has(name):
            return None
        found = self.value(name)
        if not isinstance(found, Mapping):
            self.refuse(name, f"must be a mapping, not {found!r}")
            return None
        return Section(found, self.path(name), self.findings)

    def note(self, name: str, note: str, unless: object = None) -> None:
        """Say this of the setting, if the document has it with another value than `unless`."""
        if self.has(name) and self.value(name) != unless:
            self.findings.notes.append(SettingNote(setting=self.path(name), note=note))

    def note_each(self, notes: Mapping[str, tuple[object, str]]) -> None:
        """Notes by setting: the value that needs none, and the words."""
        for name, (unless, note) in notes.items():
            self.note(name, note, unless)

    def refuse(self, name: str, message: str) -> None:
        """The setting, or the section itself ("")."""
        self.findings.problems.append(FieldProblem(field=self.path(name), message=message))

    def close(self) -> None:
        """Refuse the names that nobody asked for."""
        for name in sorted(self._document.keys() - self._known):
            self.refuse(name, f"unknown setting; {_nearest(name, self._known)}")
        for name in sorted(self._silent - self._known):
            self.refuse(name, f"unknown setting; {_nearest(name, self._known)}")


def nest(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """The request's document: `{"network.activation": …}` becomes `{"network": {"activation": …}}`."""
    document: dict[str, Any] = {}
    for name, setting in settings.items():
        *parents, leaf = name.split(".")
        target = document
        for parent in parents:
            target = target.setdefault(parent, {})
        target[leaf] = setting.value
    return document


def checked(model: type[Model], settings: Mapping[str, Setting], findings: Findings) -> dict[str, Any]:
    """The document, once the contract has looked at it; what it finds wrong is said of the foreign setting."""
    document = nest(settings)
    try:
        read_document(model, document)
    except InvalidDocumentError as error:
        findings.problems.extend(
            FieldProblem(field=_origin(problem.field, settings), message=problem.message) for problem in error.problems
        )
    return document


def _origin(target: str, settings: Mapping[str, Setting]) -> str:
    """What lies below a value of several parts keeps its own path there."""
    for name, setting in settings.items():
        if target == name or target.startswith(f"{name}."):
            return setting.origin + target.removeprefix(name)
    return target


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _nearest(name: str, known: "Mapping[str, str] | set[str]") -> str:
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(sorted(known))}"
