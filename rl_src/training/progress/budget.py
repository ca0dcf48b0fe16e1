"""Stopping on money: what the instances of a training job have cost so far.

SageMaker bills every instance of a training job by the second, from the start of the instance to the end of the upload.
A training sees its own wall time only, so the minutes around it (start, download of image and build, upload) come on
top: `OVERHEAD_SECONDS` stands for them. What an instance costs is told to the training: price lists change, and images
are kept.
"""

from dataclasses import dataclass

from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.config import TrainingConfig

PRICE_FIELD = "stop.usd_per_hour"
"""The field of the configuration that says what an instance costs."""

OVERHEAD_SECONDS = 180.0
"""Billed before and after the training, of each instance: an estimate, not measured."""


@dataclass(frozen=True)
class Budget:
    """What may be spent, and on what.

    Args:
        limit_usd: training ends when so much has been spent.
        usd_per_hour: price of one instance.
        instance_count: instances of the job.

    Raises:
        InvalidTrainingConfigError: a value makes no sense.
    """

    limit_usd: float
    usd_per_hour: float
    instance_count: int = 1

    def __post_init__(self) -> None:
        if not self.limit_usd > 0:
            raise InvalidTrainingConfigError(f"a budget must be above 0 USD, not {self.limit_usd}.")
        if not self.usd_per_hour > 0:
            raise InvalidTrainingConfigError(f"{PRICE_FIELD} must be above 0, not {self.usd_per_hour}.")
        if self.instance_count < 1:
            raise InvalidTrainingConfigError(f"a job has at least one instance, not {self.instance_count}.")

    def spent_usd(self, seconds: float) -> float:
        """What a training of this wall time costs."""
        return self.usd_per_hour * self.instance_count * (seconds + OVERHEAD_SECONDS) / 3600.0

    def is_spent(self, seconds: float) -> bool:
        """Whether a training of this wall time must end."""
        return self.spent_usd(seconds) >= self.limit_usd

    @property
    def seconds(self) -> float:
        """The wall time that it is enough for; 0 where it does not even pay for the start."""
        an_hour = self.usd_per_hour * self.instance_count
        return max(0.0, self.limit_usd / an_hour * 3600.0 - OVERHEAD_SECONDS)


def budget_of(config: TrainingConfig) -> Budget | None:
    """What may be spent; None: as much as it takes.

    Raises:
        InvalidTrainingConfigError: nobody knows what the instances cost.
    """
    stop = config.stop
    if stop is None or stop.budget_usd is None:
        return None
    if stop.usd_per_hour is None:
        raise InvalidTrainingConfigError(
            "stop.budget_usd is given, but not what this machine costs.", f"Give {PRICE_FIELD}."
        )
    return Budget(stop.budget_usd, stop.usd_per_hour, config.instance_count)
