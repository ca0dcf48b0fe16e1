"""Environment parameters of an ML-Agents trainer file: constants, samplers and curricula of lessons.

Their form is the request's own; what differs is how they may be written, and that ML-Agents saves every parameter as a
curriculum of one lesson.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.rules.foreign_settings import Section, Setting, Settings

_SAMPLERS = {name: name for name in ("uniform", "gaussian", "multirangeuniform", "constant")}
_NUMBERS = {
    "uniform": {"min_value": 0.0, "max_value": 1.0},
    "gaussian": {"mean": 1.0, "st_dev": 1.0},
    "constant": {"value": 0.0},
    "multirangeuniform": {},
}
_MEASURES = {"progress": "progress", "reward": "reward"}


def read_parameters(section: Section | None) -> Settings:
    """`environment.parameters`, as one setting."""
    if section is None:
        return {}
    found = {name: _parameter(section, name) for name in section.names()}
    return {"parameters": Setting(found, section.path(""))}


def _parameter(parent: Section, name: str) -> Any:
    value = parent.value(name)
    if isinstance(value, Mapping) and "curriculum" in value:
        section = parent.section(name)
        return _curriculum(section) if section else 0.0
    return _value(parent, name)


def _value(parent: Section, name: str) -> Any:
    """A number or a sampler."""
    if not isinstance(parent.value(name), Mapping):
        return parent.number(name, 0.0)
    section = parent.section(name)
    if section is None:
        return 0.0
    if not section.has("sampler_type"):
        section.refuse("sampler_type", f"is missing; one of {', '.join(_SAMPLERS)}")
        section.close()
        return 0.0
    kind = section.choice("sampler_type", _SAMPLERS, "constant")
    own = section.section("sampler_parameters")
    if own is None:
        section.refuse("sampler_parameters", "is missing")
    section.close()
    return _sampler(kind, own) if own else 0.0


def _sampler(kind: str, section: Section) -> Any:
    section.has("seed")
    if kind != "constant":
        section.note("seed", "each sampled parameter draws with a seed of its own, made from the run's", unless=-1)
    numbers: dict[str, Any] = {name: section.number(name, value) for name, value in _NUMBERS[kind].items()}
    if kind == "multirangeuniform":
        numbers["intervals"] = _intervals(section)
    section.close()
    return numbers["value"] if kind == "constant" else {"sampler_type": kind, "sampler_parameters": numbers}


def _intervals(section: Section) -> list[list[float]]:
    found = section.value("intervals") if section.has("intervals") else [[0.0, 1.0]]
    try:
        return [[float(low), float(high)] for low, high in found]
    except (TypeError, ValueError):
        section.refuse("intervals", f"must be a list of pairs [low, high], not {found!r}")
        return [[0.0, 1.0]]


def _curriculum(section: Section) -> Any:
    lessons = section.value("curriculum")
    section.close()
    if not isinstance(lessons, list) or not lessons or not all(isinstance(lesson, Mapping) for lesson in lessons):
        section.refuse("curriculum", "must be a list of lessons, each with name and value")
        return 0.0
    parts = [
        Section(lesson, f"{section.path('curriculum')}.{at}", section.findings) for at, lesson in enumerate(lessons)
    ]
    read = [_lesson(part, at) for at, part in enumerate(parts)]
    if parts[-1].has("completion_criteria"):
        parts[-1].note("completion_criteria", "the last lesson has no end")
        del read[-1]["completion_criteria"]
    return read[0]["value"] if len(read) == 1 else {"curriculum": read}


def _lesson(section: Section, at: int) -> dict[str, Any]:
    for name in ("name", "value"):
        if not section.has(name):
            section.refuse(name, "is missing")
    lesson = {"name": str(section.value("name") or f"lesson {at + 1}"), "value": _value(section, "value")}
    criteria = section.section("completion_criteria")
    section.close()
    return lesson | ({"completion_criteria": _criteria(criteria)} if criteria else {})


def _criteria(section: Section) -> dict[str, Any]:
    if not section.has("behavior"):
        section.refuse("behavior", "is missing; whose progress or reward is measured")
    found = {
        "behavior": str(section.value("behavior") or "missing"),
        "measure": section.choice("measure", _MEASURES, "reward"),
        "min_lesson_length": section.whole("min_lesson_length", 0),
        "signal_smoothing": section.flag("signal_smoothing", True),
        "threshold": section.number("threshold", 0.0),
        "require_reset": section.flag("require_reset", False),
    }
    section.close()
    return found
