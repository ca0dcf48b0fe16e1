"""Typed environment variables: each handler has a class with exactly the variables that it needs."""

import os
from collections.abc import Mapping
from contextlib import suppress
from sys import maxsize
from typing import Annotated, Any, Self, dataclass_transform

Count = Annotated[int, range(maxsize)]
Positive = Annotated[int, range(1, maxsize)]


class MissingSettingError(Exception):
    """An environment variable that the template must set is missing or empty."""


class InvalidSettingError(Exception):
    """An environment variable is set to something else than it should be."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Settings:
    """Reads itself from the environment; a field `bucket_name` is the variable `BUCKET_NAME`.

    A field is a text, or a whole number with the `range` of what it may be.
    """

    def __init__(self, **values: str | int) -> None:
        # No pydantic: Predict's cold start would wait for it.
        if wrong := sorted(values.keys() ^ self.fields().keys()):
            raise TypeError(f"{type(self).__name__} takes each of its fields and no others: {', '.join(wrong)}")
        vars(self).update(values)

    @classmethod
    def fields(cls) -> dict[str, Any]:
        """Name and type of each, those of the bases first."""
        own = (getattr(base, "__annotations__", {}) for base in cls.__mro__[::-1])
        return {name: kind for annotations in own for name, kind in annotations.items()}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the process's environment, or the given one.

        Raises:
            MissingSettingError: names the variables that are not set.
            InvalidSettingError: a variable is no whole number, or out of its range.
        """
        source = os.environ if environment is None else environment
        missing = sorted(name.upper() for name in cls.fields() if not source.get(name.upper()))
        if missing:
            raise MissingSettingError(f"{cls.__name__} needs the environment variables {', '.join(missing)}")
        return cls(**{name: _read(name.upper(), kind, source[name.upper()]) for name, kind in cls.fields().items()})


def _read(name: str, kind: Any, text: str) -> str | int:
    if kind is str:
        return text
    (allowed,) = kind.__metadata__
    with suppress(ValueError):
        if (number := int(text)) in allowed:
            return number
    raise InvalidSettingError(f"{name} is {text!r}; a whole number from {allowed[0]} to {allowed[-1]} is right")


class RunSettings(Settings):
    """What every state needs: where objects and records are."""

    bucket_name: str
    runs_table: str


class AdmitRunSettings(RunSettings):
    """AdmitRun."""


class PriceSettings(Settings):
    """Those that say what a run may cost: the instance types of requests that name none."""

    training_instance_type: str
    evaluation_instance_type: str


class ApiSettings(Settings):
    """What both APIs answer with: where they are deployed, and which page of a browser may ask."""

    stage: str
    allowed_origin: str


class InspectBuildSettings(RunSettings, PriceSettings):
    """InspectBuild."""


class PollSettings(Settings):
    """Those that say when to look next."""

    poll_min_seconds: Positive


class TurnSettings(Settings):
    """Those that take or give back a turn."""

    turns_table: str


class TakeTurnSettings(RunSettings, PollSettings, TurnSettings):
    """TakeTurn."""

    max_concurrent_runs: Count


class ExtractCheckpointSettings(RunSettings):
    """ExtractCheckpoint."""


class KeySettings(Settings):
    """Those that make something with a volume: the KMS key to encrypt it by, or "none"."""

    kms_key_arn: str

    @property
    def kms_key(self) -> str | None:
        """The key's ARN; None: each service uses its own."""
        return None if self.kms_key_arn == "none" else self.kms_key_arn


class JobSettings(RunSettings, PollSettings, KeySettings):
    """Those that create jobs."""

    resource_prefix: str
    training_image_uri: str
    job_role_arn: str


class StartTrainingSettings(JobSettings):
    """StartTraining."""

    training_instance_type: str


class StartEvaluationSettings(JobSettings):
    """StartEvaluation."""

    evaluation_instance_type: str
    policies_table: str


class CheckTrainingSettings(RunSettings, PollSettings):
    """CheckTraining."""


class CheckEvaluationSettings(RunSettings, PollSettings):
    """CheckEvaluation."""


class DecidePromotionSettings(RunSettings):
    """DecidePromotion."""

    policies_table: str


class DeployEndpointSettings(RunSettings, PollSettings, KeySettings):
    """DeployEndpoint."""

    policies_table: str
    resource_prefix: str
    inference_image_uri: str
    endpoint_role_arn: str
    operators_topic_arn: str
    bake_seconds: Annotated[int, range(901)]


class CheckEndpointSettings(PollSettings):
    """CheckEndpoint."""

    runs_table: str


class VerifyEndpointSettings(RunSettings):
    """VerifyEndpoint."""

    policies_table: str


class FinishRunSettings(RunSettings, TurnSettings):
    """FinishRun."""

    policies_table: str
    topic_arn: str


class SweepRunsSettings(FinishRunSettings):
    """SweepRuns."""

    resource_prefix: str
    state_machine_arn: str


class SweepEndpointsSettings(RunSettings):
    """SweepEndpoints."""

    policies_table: str
    topic_arn: str
    resource_prefix: str


class ControlReadSettings(RunSettings, ApiSettings):
    """The control API's reading routes."""

    policies_table: str
    state_machine_arn: str


class ControlWriteSettings(RunSettings, PriceSettings, ApiSettings):
    """The control API's writing routes."""

    policies_table: str
    state_machine_arn: str


class PredictSettings(ApiSettings):
    """The predict API."""

    bucket_name: str


class DashboardSettings(Settings):
    """The dashboard's files."""

    predict_api_id: str
    connect_origins: str
