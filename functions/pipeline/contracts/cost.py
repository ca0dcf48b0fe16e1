"""What a run may cost at most, told before it begins."""

from pydantic import Field

from pipeline.contracts.base import Contract


class JobCost(Contract):
    """The most that one job can be billed for: its instances, for as long as it may run, at the list's price."""

    instance_type: str
    instance_count: int
    spot: bool
    max_seconds: int = Field(description="of each instance")
    usd_per_hour: float | None = Field(description="of one instance; none: the price list does not have it")
    max_usd: float | None


class CostEstimate(Contract):
    """Training and evaluation. An endpoint is not in it: a serverless one is paid by the request."""

    training: JobCost
    evaluation: JobCost
    max_usd: float | None = Field(description="of both; none: a price is not known")
    prices: str = Field(description="where and when the prices are from")
