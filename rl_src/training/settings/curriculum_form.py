"""Reads environment parameters in the form of ML-Agents' trainer file, from JSON or YAML, into `curriculum`'s types."""

import difflib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rl_src.envs.side_channels import Gaussian, MultiRangeUniform, Uniform
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.curriculum import CompletionCriteria, Lesson, Parameter, Value, as_lessons

log = logging.getLogger(__name__)


def read_parameters(document: Mapping[str, Any], *, note: Callable[[str], None] = log.warning) -> dict[str, Parameter]:
    """Read `environment_parameters` in ML-Agents' form, from JSON or YAML.

    Args:
        document: by parameter a number, {sampler_type, sampler_parameters} or {curriculum: [lesson, ...]}.
        note: told of what is passed over.

    Raises:
        InvalidTrainingConfigError: a field that is not known, or a value that cannot be.
    """
    return {name: _read_parameter(f"environment_parameters.{name}", item, note) for name, item in document.items()}


def _read_parameter(path: str, document: Any, note: Callable[[str], None]) -> Parameter:
    if not isinstance(document, Mapping) or "curriculum" not in document:
        return _read_value(path, document, note)
    _check_names(path, document, ["curriculum"])
    items = document["curriculum"]
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        raise InvalidTrainingConfigError(f"{path}.curriculum must be a list of at least one lesson.")
    lessons = tuple(_read_lesson(f"{path}.curriculum[{index}]", item, note) for index, item in enumerate(items))
    if lessons[-1].completion_criteria is not None:
        note(f"{path}: the last lesson never ends; its completion_criteria are passed over.")
    return as_lessons(path, lessons)


def _read_lesson(path: str, document: Any, note: Callable[[str], None]) -> Lesson:
    if not isinstance(document, Mapping):
        raise InvalidTrainingConfigError(f"{path} must be an object with name, value and completion_criteria.")
    _check_names(path, document, [item.name for item in fields(Lesson)])
    for needed in ("name", "value"):
        if needed not in document:
            raise InvalidTrainingConfigError(f"{path} has no {needed}.")
    criteria = document.get("completion_criteria")
    return Lesson(
        name=str(document["name"]),
        value=_read_value(f"{path}.value", document["value"], note),
        completion_criteria=None if criteria is None else _read_criteria(f"{path}.completion_criteria", criteria),
    )


def _read_criteria(path: str, document: Any) -> CompletionCriteria:
    if not isinstance(document, Mapping) or not isinstance(document.get("behavior"), str):
        raise InvalidTrainingConfigError(f"{path} must be an object that names a behavior.")
    _check_names(path, document, [item.name for item in fields(CompletionCriteria)])
    values = dict(document)
    if values.get("measure", "reward") not in ("progress", "reward"):
        raise InvalidTrainingConfigError(f"{path}.measure is {values['measure']!r}; known: progress, reward.")
    if "threshold" in values:
        values["threshold"] = _number(f"{path}.threshold", values["threshold"])
    length = values.get("min_lesson_length", 0)
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise InvalidTrainingConfigError(f"{path}.min_lesson_length must be a count of episodes, not {length!r}.")
    for name in ("signal_smoothing", "require_reset"):
        if not isinstance(values.get(name, False), bool):
            raise InvalidTrainingConfigError(f"{path}.{name} must be true or false, not {values[name]!r}.")
    criteria = CompletionCriteria(**values)
    if criteria.measure == "progress" and not 0 <= criteria.threshold <= 1:
        raise InvalidTrainingConfigError(f"{path}.threshold is of progress: between 0 and 1, not {criteria.threshold}.")
    return criteria


@dataclass(frozen=True)
class _UniformForm:
    min_value: float = 0.0
    max_value: float = 1.0


@dataclass(frozen=True)
class _GaussianForm:
    mean: float = 1.0
    st_dev: float = 1.0


@dataclass(frozen=True)
class _ConstantForm:
    value: float = 0.0


@dataclass(frozen=True)
class _MultiRangeForm:
    intervals: tuple[tuple[float, float], ...] = ((0.0, 1.0),)


_FORMS: dict[str, type[_UniformForm | _GaussianForm | _ConstantForm | _MultiRangeForm]] = {
    "uniform": _UniformForm,
    "gaussian": _GaussianForm,
    "multirangeuniform": _MultiRangeForm,
    "constant": _ConstantForm,
}


def _read_value(path: str, document: Any, note: Callable[[str], None]) -> Value:
    if not isinstance(document, Mapping):
        return _number(path, document)
    _check_names(path, document, ["sampler_type", "sampler_parameters"])
    kind, given = document.get("sampler_type"), document.get("sampler_parameters")
    if kind not in _FORMS:
        raise InvalidTrainingConfigError(f"{path}.sampler_type is {kind!r}; known: {', '.join(_FORMS)}.")
    if not isinstance(given, Mapping):
        raise InvalidTrainingConfigError(f"{path}.sampler_parameters must be an object.")
    form, place = _FORMS[kind], f"{path}.sampler_parameters"
    if "seed" in given:
        note(f"{place}.seed is passed over: samplers are seeded by the training's seed.")
    numbers = {name: value for name, value in given.items() if name != "seed"}
    _check_names(place, numbers, [item.name for item in fields(form)])
    if form is _MultiRangeForm:
        return MultiRangeUniform(_intervals(place, numbers.get("intervals", fields(form)[0].default)))
    read = {name: _number(f"{place}.{name}", value) for name, value in numbers.items()}
    return _sampler(place, form(**read))  # type: ignore[arg-type]


def _sampler(path: str, form: Any) -> Value:
    match form:
        case _UniformForm(low, high):
            if low > high:
                raise InvalidTrainingConfigError(f"{path}: min_value ({low}) is above max_value ({high}).")
            return Uniform(low, high)
        case _GaussianForm(mean, deviation):
            if deviation < 0:
                raise InvalidTrainingConfigError(f"{path}: st_dev ({deviation}) is negative.")
            return Gaussian(mean, deviation)
    value: float = form.value
    return value


def _intervals(path: str, document: Any) -> tuple[tuple[float, float], ...]:
    if not isinstance(document, Sequence) or not document:
        raise InvalidTrainingConfigError(f"{path}.intervals must be a list of [low, high].")
    found: list[tuple[float, float]] = []
    for item in document:
        if not isinstance(item, Sequence) or len(item) != 2:
            raise InvalidTrainingConfigError(f"{path}.intervals: {item!r} is not [low, high].")
        low, high = (_number(f"{path}.intervals", value) for value in item)
        if low > high:
            raise InvalidTrainingConfigError(f"{path}.intervals: {low} is above {high}.")
        found.append((low, high))
    return tuple(found)


def _number(path: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidTrainingConfigError(f"{path} must be a finite number, not {value!r}.")
    return float(value)


def _check_names(path: str, document: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in document:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InvalidTrainingConfigError(f"unknown setting {path}.{name}; known: {', '.join(known)}.{hint}")
