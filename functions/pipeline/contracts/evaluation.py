"""The evaluation job's results: `evaluation_report.json` and `parity.json` in its `model.tar.gz`."""

from typing import Literal

from pydantic import Field

from pipeline.contracts.base import Contract, RunId


class ReturnStatistics(Contract):
    """Undiscounted episode returns. The interval is the mean's 95 % confidence interval (Student's t)."""

    episodes: int = Field(ge=1)
    mean_return: float
    std_return: float = Field(ge=0)
    min_return: float
    max_return: float
    ci95_low: float
    ci95_high: float
    mean_length: float = Field(ge=0, description="agent decisions an episode")
    cut_off_episodes: int = Field(default=0, ge=0, description="episodes that did not end by themselves")


class BehaviorEvaluation(Contract):
    """One behavior, played with the deterministic outputs and with the sampled ones."""

    behavior: str
    deterministic: ReturnStatistics
    stochastic: ReturnStatistics | None = None


class EvaluationReport(Contract):
    """How good the policy is, on episodes of its own seed, played by the very ONNX files that will be served."""

    format_version: Literal[1] = 1
    run_id: RunId
    seed: int
    behaviors: tuple[BehaviorEvaluation, ...] = Field(min_length=1)
    mean_return: float = Field(description="mean of the behaviors' deterministic mean returns")
    ci95_low: float
    ci95_high: float
    wall_time_seconds: float = Field(ge=0)


class ParityPair(Contract):
    """Observations met during evaluation and the deterministic actions taken; batch first."""

    behavior: str
    observations: tuple[list[object], ...] = Field(description="one nested list for each sensor: [N, *shape]")
    action_masks: list[list[float]] | None = Field(default=None, description="[N, sum of branches], 1 = allowed")
    continuous: list[list[float]] = Field(description="[N, continuous_size]")
    discrete: list[list[int]] = Field(description="[N, number of branches]")


class ParityRecord(Contract):
    """What VerifyEndpoint replays against the endpoint before success is declared."""

    format_version: Literal[1] = 1
    pairs: tuple[ParityPair, ...] = Field(min_length=1)
