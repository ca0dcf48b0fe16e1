"""Stopping on money: what the instances of a training job have cost so far.

SageMaker bills every instance of a training job by the second, from the start of the instance to the end of the upload.
A training sees its own wall time only, so the minutes around it (start, download of image and build, upload) come on
top: `OVERHEAD_SECONDS` stands for them.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rl_src.training.errors import InvalidTrainingConfigError

PRICE_FIELD = "stop.usd_per_hour"
"""The field of the configuration that sets a price by hand."""

OVERHEAD_SECONDS = 180.0
"""Billed before and after the training, of each instance: an estimate, not measured."""

_PRICES = Path(__file__).with_name("instance_prices.json")


@dataclass(frozen=True)
class Budget:
    """What may be spent, and on what.

    Args:
        limit_usd: training ends when so much has been spent.
        instance_type: SageMaker's name, for example ml.c7i.2xlarge.
        instance_count: instances of the job.
        spot: whether they are spot instances.
        usd_per_hour: price of one instance if the list is not to be asked; taken as it is, for spot too.

    Raises:
        InvalidTrainingConfigError: the instance type's price is not known, or a value makes no sense.
    """

    limit_usd: float
    instance_type: str
    instance_count: int = 1
    spot: bool = False
    usd_per_hour: float | None = None

    def __post_init__(self) -> None:
        if not self.limit_usd > 0:
            raise InvalidTrainingConfigError(f"a budget must be above 0 USD, not {self.limit_usd}.")
        self.spent_usd(0.0)  # an unknown price must be found before the training, not in it

    def spent_usd(self, seconds: float) -> float:
        """What a training of this wall time costs."""
        return spent_usd(
            seconds + OVERHEAD_SECONDS,
            self.instance_type,
            self.instance_count,
            spot=self.spot,
            usd_per_hour=self.usd_per_hour,
        )

    def is_spent(self, seconds: float) -> bool:
        """Whether a training of this wall time must end."""
        return self.spent_usd(seconds) >= self.limit_usd

    @property
    def seconds(self) -> float:
        """The wall time that it is enough for; 0 where it does not even pay for the start."""
        an_hour = self.spent_usd(3600.0 - OVERHEAD_SECONDS)
        return max(0.0, self.limit_usd / an_hour * 3600.0 - OVERHEAD_SECONDS)


def spent_usd(
    seconds: float, instance_type: str, count: int = 1, *, spot: bool = False, usd_per_hour: float | None = None
) -> float:
    """What `count` instances cost for so many billed seconds, in USD.

    Raises:
        InvalidTrainingConfigError: the instance type's price is not known, or a value makes no sense.
    """
    if count < 1:
        raise InvalidTrainingConfigError(f"a job has at least one instance, not {count}.")
    price = _price(instance_type, spot=spot) if usd_per_hour is None else usd_per_hour
    if not price > 0:
        raise InvalidTrainingConfigError(f"{PRICE_FIELD} must be above 0, not {price}.")
    return price * count * seconds / 3600.0


def _price(instance_type: str, *, spot: bool) -> float:
    """Of one instance, in USD an hour."""
    document = _document()
    prices: dict[str, float] = document["usd_per_hour"]
    if instance_type not in prices:
        raise InvalidTrainingConfigError(
            f"the price of {instance_type} is not known, so the budget cannot be kept.",
            f"Set {PRICE_FIELD}, or choose one of {', '.join(_nearest(instance_type, list(prices)))}.",
        )
    factor: float = document["spot_factor"] if spot else 1.0
    return prices[instance_type] * factor


def _nearest(instance_type: str, known: list[str]) -> list[str]:
    """The sizes of the same family; all types where the family is unknown."""
    family = instance_type.rpartition(".")[0] + "."
    return [name for name in known if name.startswith(family)] or known


@cache
def _document() -> Any:
    return json.loads(_PRICES.read_text())
