"""ML-Agents environment parameters: constants, samplers that draw in the game, and curricula of lessons.

The form is that of `environment_parameters` in ML-Agents' trainer file (`mlagents/trainers/settings.py`, 1.1.0).
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.contracts.base import Contract


class UniformParameters(Contract):
    """Each value between both as probable as any other."""

    min_value: float = 0.0
    max_value: float = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> "UniformParameters":
        if self.min_value > self.max_value:
            raise ValueError(f"min_value ({self.min_value:g}) is above max_value ({self.max_value:g})")
        return self


class UniformSampler(Contract):
    """Draws uniformly."""

    sampler_type: Literal["uniform"]
    sampler_parameters: UniformParameters


class GaussianParameters(Contract):
    """A normal distribution."""

    mean: float = 1.0
    st_dev: float = Field(default=1.0, ge=0)


class GaussianSampler(Contract):
    """Draws from a normal distribution."""

    sampler_type: Literal["gaussian"]
    sampler_parameters: GaussianParameters


class MultiRangeParameters(Contract):
    """Several ranges, as [low, high]."""

    intervals: tuple[tuple[float, float], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> "MultiRangeParameters":
        for low, high in self.intervals:
            if low > high:
                raise ValueError(f"in the interval [{low:g}, {high:g}] the first is above the second")
        return self


class MultiRangeSampler(Contract):
    """Draws uniformly from several ranges together."""

    sampler_type: Literal["multirangeuniform"]
    sampler_parameters: MultiRangeParameters


def _sampler(value: object) -> str:
    return f"form:{value.get('sampler_type') if isinstance(value, dict) else getattr(value, 'sampler_type', None)}"


Sampler = Annotated[
    Annotated[UniformSampler, Tag("form:uniform")]
    | Annotated[GaussianSampler, Tag("form:gaussian")]
    | Annotated[MultiRangeSampler, Tag("form:multirangeuniform")],
    Discriminator(
        _sampler,
        custom_error_type="unknown_sampler",
        custom_error_message="sampler_type should be 'uniform', 'gaussian' or 'multirangeuniform'",
    ),
]


class CompletionCriteria(Contract):
    """When a lesson is over."""

    behavior: str = Field(min_length=1, description="whose progress or return is measured; without team")
    measure: Literal["progress", "reward"] = "reward"
    min_lesson_length: int = Field(default=0, ge=0, description="episodes")
    signal_smoothing: bool = True
    threshold: float = Field(default=0.0, description="to be exceeded; of progress between 0 and 1")
    require_reset: bool = False

    @model_validator(mode="after")
    def _progress_is_a_share(self) -> "CompletionCriteria":
        if self.measure == "progress" and not 0 <= self.threshold <= 1:
            raise ValueError(f"the threshold of progress must be between 0 and 1, not {self.threshold:g}")
        return self


def _form(value: object) -> str:
    if isinstance(value, Curriculum) or (isinstance(value, dict) and "sampler_type" not in value):
        return "form:curriculum"
    return "form:sampler" if isinstance(value, dict | Contract) else "form:number"


NumberOrSampler = Annotated[
    Annotated[float, Tag("form:number")] | Annotated[Sampler, Tag("form:sampler")],
    Discriminator(lambda value: "form:sampler" if isinstance(value, dict | Contract) else "form:number"),
]


class Lesson(Contract):
    """A stretch of the training with one value."""

    name: str
    value: NumberOrSampler
    completion_criteria: CompletionCriteria | None = None


class Curriculum(Contract):
    """Lessons, one after the other."""

    curriculum: tuple[Lesson, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_but_the_last_end(self) -> "Curriculum":
        for lesson in self.curriculum[:-1]:
            if lesson.completion_criteria is None:
                raise ValueError(f"lesson {lesson.name!r} has no completion_criteria, so the next one never begins")
        return self


EnvironmentParameter = Annotated[
    Annotated[float, Tag("form:number")]
    | Annotated[Sampler, Tag("form:sampler")]
    | Annotated[Curriculum, Tag("form:curriculum")],
    Discriminator(_form),
]
