"""Environment parameters over a training: constants, samplers that draw in the game, and curricula of lessons.

The form and the meaning are ML-Agents' (`environment_parameters` of its trainer file): a curriculum is a list of
lessons, and a lesson is over when the behavior that it names has come far enough, by the share of its `env_steps`
limit or by its mean return. Read off `mlagents/trainers/{settings,environment_parameter_manager}.py` of release 1.1.0.

One thing differs: ML-Agents asks after every step of the scene, ours after every episode that ended, so that a seed
gives the same lessons whatever the timing.
"""

import logging
import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rl_src.envs.side_channels import Sampler
from rl_src.training.errors import InvalidCheckpointError, InvalidTrainingConfigError

Value = float | Sampler

SMOOTHING = 0.25
"""Weight of the value before in a smoothed mean return (ML-Agents: `CompletionCriteriaSettings.need_increment`)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompletionCriteria:
    """When a lesson is over: `measure` of `behavior` exceeds `threshold`.

    Args:
        behavior: whose progress or return is measured; a name without team.
        measure: `reward`, the mean return of the last episodes, or `progress`, env steps over their limit.
        min_lesson_length: episodes that must have ended in the lesson; also how many count in the mean.
        signal_smoothing: whether the mean return is smoothed over the times that it was asked for.
        threshold: to be exceeded; for `progress` between 0 and 1.
        require_reset: whether the scenes are reset, so that the next lesson begins at once.
    """

    behavior: str
    measure: Literal["progress", "reward"] = "reward"
    min_lesson_length: int = 0
    signal_smoothing: bool = True
    threshold: float = 0.0
    require_reset: bool = False


@dataclass(frozen=True)
class Lesson:
    """A stretch of the training with one value. The last lesson has no end."""

    name: str
    value: Value
    completion_criteria: CompletionCriteria | None = None


Parameter = Value | tuple[Lesson, ...]
"""A constant, a sampler or a curriculum."""


@dataclass(frozen=True)
class LessonChange:
    """What `Curriculum.observe` found. `changed`: parameters whose next lesson began; send their new values."""

    changed: tuple[str, ...] = ()
    require_reset: bool = False

    def __bool__(self) -> bool:
        return bool(self.changed)


class Curriculum:
    """The lessons that the environment parameters are in.

    Args:
        parameters: by name; see `curriculum_form.read_parameters`.

    Raises:
        InvalidTrainingConfigError: a lesson that is not the last one has no end.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._lessons = {name: as_lessons(name, item) for name, item in parameters.items()}
        self._current = dict.fromkeys(self._lessons, 0)
        self._smoothed = dict.fromkeys(self._lessons, 0.0)
        self._returns = {name: deque[float](maxlen=length) for name, length in self._lengths().items()}

    @property
    def values(self) -> dict[str, Value]:
        """What the scenes are to be told, now; the same until `observe` reports a change."""
        return {name: self._lesson(name).value for name in self._lessons}

    @property
    def lesson_numbers(self) -> dict[str, int]:
        """From 0, of the parameters that have more than one lesson; for the progress line."""
        return {name: self._current[name] for name, lessons in self._lessons.items() if len(lessons) > 1}

    @property
    def lesson_names(self) -> dict[str, str]:
        """As `lesson_numbers`, by the names that the user gave."""
        return {name: self._lesson(name).name for name in self.lesson_numbers}

    @property
    def behaviors(self) -> frozenset[str]:
        """Behaviors that some lesson waits for: check that the build has them, or the lesson never ends."""
        return frozenset(self._returns)

    @property
    def behaviors_that_need_a_limit(self) -> frozenset[str]:
        """Behaviors whose `progress` is measured: without a limit on `env_steps` there is none."""
        return frozenset(item.behavior for item in self._criteria() if item.measure == "progress")

    def observe(self, behavior: str, progress: float | None, returns: Iterable[float]) -> LessonChange:
        """Take in what a behavior has done since the last call, and begin the next lessons that are due.

        As in ML-Agents, a new lesson forgets the returns of all behaviors. The rest of `returns` is left out with
        them: it was played before the scenes could be told.

        Args:
            behavior: its name, without team.
            progress: its env steps over their limit; None without a limit.
            returns: of its episodes that ended since the last call, in order.
        """
        if behavior not in self._returns:
            return LessonChange()
        begun = self._begin_due(behavior, progress, ("progress",))
        for value in returns:
            if begun:
                break
            self._returns[behavior].append(value)
            begun = self._begin_due(behavior, progress, ("progress", "reward"))
        return LessonChange(tuple(begun), any(begun.values()))

    def state(self) -> dict[str, Any]:
        """As JSON takes it, for the checkpoint."""
        return {
            "lessons": {name: self._lesson(name).name for name in self._lessons},
            "numbers": dict(self._current),
            "smoothed": dict(self._smoothed),
            "returns": {name: list(values) for name, values in self._returns.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`. A parameter that is new in the configuration starts with its first lesson.

        Raises:
            InvalidCheckpointError: the lesson that was reached is not in this configuration.
        """
        for name, number in state["numbers"].items():
            lessons = self._lessons.get(name)
            if lessons is None:
                continue
            if number >= len(lessons) or lessons[number].name != state["lessons"][name]:
                raise InvalidCheckpointError(
                    f"environment parameter {name} was in lesson {number} ({state['lessons'][name]!r}), "
                    f"which its curriculum does not have at that place."
                )
            self._current[name], self._smoothed[name] = number, state["smoothed"][name]
        for name, values in state["returns"].items():
            if name in self._returns:
                self._returns[name].extend(values)

    def _begin_due(self, behavior: str, progress: float | None, measures: tuple[str, ...]) -> dict[str, bool]:
        """Begin the lessons whose time has come; by parameter, whether the scenes must be reset."""
        begun: dict[str, bool] = {}
        for name, lessons in self._lessons.items():
            criteria = self._lesson(name).completion_criteria
            is_last = self._current[name] + 1 == len(lessons)
            if is_last or criteria is None or criteria.behavior != behavior or criteria.measure not in measures:
                continue
            if self._is_over(name, criteria, progress):
                self._current[name] += 1
                begun[name] = criteria.require_reset
                log.info("environment parameter %s: lesson %s begins", name, self._lesson(name).name)
        if begun:
            for values in self._returns.values():
                values.clear()
        return begun

    def _is_over(self, name: str, criteria: CompletionCriteria, progress: float | None) -> bool:
        returns = self._returns[criteria.behavior]
        if len(returns) < criteria.min_lesson_length:
            return False
        if criteria.measure == "progress":
            return progress is not None and progress > criteria.threshold
        if not returns:
            return False
        mean = statistics.fmean(returns)
        if criteria.signal_smoothing:
            mean = self._smoothed[name] = SMOOTHING * self._smoothed[name] + (1 - SMOOTHING) * mean
        return mean > criteria.threshold

    def _lesson(self, name: str) -> Lesson:
        return self._lessons[name][self._current[name]]

    def _criteria(self) -> list[CompletionCriteria]:
        lessons = [item for items in self._lessons.values() for item in items[:-1]]
        return [item.completion_criteria for item in lessons if item.completion_criteria is not None]

    def _lengths(self) -> dict[str, int]:
        """How many returns of each behavior are kept: as many as its longest lesson asks for."""
        lengths: dict[str, int] = {}
        for item in self._criteria():
            lengths[item.behavior] = max(1, item.min_lesson_length, lengths.get(item.behavior, 1))
        return lengths


def final_values(parameters: Mapping[str, Parameter]) -> dict[str, Value]:
    """Of every parameter the constant, the sampler, or the last lesson's: what a trained policy is judged on."""
    return {name: as_lessons(name, item)[-1].value for name, item in parameters.items()}


def as_lessons(name: str, parameter: Parameter) -> tuple[Lesson, ...]:
    """A constant or a sampler is a curriculum of one lesson."""
    if not isinstance(parameter, tuple):
        return (Lesson(name, parameter),)
    for index, lesson in enumerate(parameter[:-1]):
        if lesson.completion_criteria is None:
            raise InvalidTrainingConfigError(
                f"{name}: lesson {index} ({lesson.name!r}) has no completion_criteria, so the next one never begins."
            )
    return parameter
