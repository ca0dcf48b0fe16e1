"""The evaluation job's results: `evaluation_report.json` and `parity.json` in its `model.tar.gz`."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.contracts.base import Contract, RunId

_FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$"


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


class SuccessRate(Contract):
    """Share of the episodes whose return is at least `threshold`. The interval is Wilson's 95 % score interval."""

    threshold: float
    rate: float = Field(ge=0, le=1)
    ci95_low: float = Field(ge=0, le=1)
    ci95_high: float = Field(ge=0, le=1)


class Histogram(Contract):
    """`counts[i]` episodes lie from `edges[i]` to `edges[i + 1]`; the last bin holds its upper edge, too."""

    edges: tuple[float, ...] = Field(min_length=2, max_length=21)
    counts: tuple[int, ...] = Field(min_length=1, max_length=20)


class ActionUse(Contract):
    """What was done, as shares of all decisions; at most 32 branches of 128 choices, and 32 continuous actions."""

    decisions: int = Field(ge=0)
    discrete: tuple[tuple[float, ...], ...] = Field(default=(), description="for each branch the share of each choice")
    continuous: tuple[tuple[float, ...], ...] = Field(
        default=(), description="for each action the shares of 20 bins of equal width over [-1, 1]"
    )


class TeamResult(Contract):
    """One team of a behavior. Won, drawn or lost by the sign of an episode's last reward, group reward included."""

    team: int
    episodes: int = Field(ge=1)
    mean_return: float
    won: int = Field(ge=0)
    drawn: int = Field(ge=0)
    lost: int = Field(ge=0)


class PlayedEpisodes(ReturnStatistics):
    """Everything that is told of one behavior's episodes, deterministic or sampled."""

    truncated_episodes: int = Field(default=0, ge=0, description="ended by the game's Max Step or an interruption")
    max_length: int = Field(default=0, ge=0)
    success: SuccessRate | None = Field(default=None, description="None: no return is known that counts as success")
    return_histogram: Histogram | None = None
    length_histogram: Histogram | None = None
    action_use: ActionUse | None = None
    teams: tuple[TeamResult, ...] = Field(default=(), description="empty unless the behavior plays on several teams")


class BehaviorEvaluation(Contract):
    """One behavior, played with the deterministic outputs and with the sampled ones."""

    behavior: str
    deterministic: PlayedEpisodes
    stochastic: PlayedEpisodes | None = None


class EvaluationWarning(Contract):
    """What makes the figures doubtful, or the policy."""

    behavior: str
    code: str
    cause: str
    remedy: str


class ReplayedEpisode(Contract):
    """One episode of one agent. `ending`: None: not recorded to its end."""

    length: int = Field(ge=1, description="agent decisions that were recorded")
    episode_return: float
    team: int = 0
    ending: Literal["terminated", "truncated"] | None = None


class Replay(Contract):
    """Some of a behavior's deterministic episodes, to be watched. The files are artifacts of the run."""

    behavior: str
    shows: Literal["sketch", "camera", "chart"] = Field(
        description="sketch: what the build says of itself; camera: what the agent sees; chart: its numbers"
    )
    film: str = Field(pattern=_FILE_NAME, description="GIF")
    trajectory: str = Field(pattern=_FILE_NAME, description="NumPy's npz")
    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1)
    decisions_per_frame: int = Field(ge=1)
    episodes: tuple[ReplayedEpisode, ...] = Field(min_length=1)


class ReturnDifference(Contract):
    """Mean return of the candidate minus that of the policy in service, with its 95 % confidence interval (Welch's)."""

    mean: float
    ci95_low: float
    ci95_high: float


class BehaviorComparison(Contract):
    """One behavior of the policy in service, deterministic, and how far the candidate lies above it."""

    behavior: str
    opposed: bool = Field(default=False, description="the two were opponents, each in turn in every team")
    incumbent: ReturnStatistics
    difference: ReturnDifference


class ComparisonResult(Contract):
    """How the policy in service played; the figures are made as the report's own."""

    episodes: int = Field(ge=1, description="of all behaviors together")
    mean_return: float
    ci95_low: float
    ci95_high: float
    difference: ReturnDifference = Field(description="of the means of the behaviors' mean returns")
    behaviors: tuple[BehaviorComparison, ...] = Field(min_length=1)


class IncumbentComparison(Contract):
    """The policy that was in service when the job began, on the candidate's build, seeds and number of episodes."""

    run_id: RunId | None = Field(description="whose policy it is; None: its artifact could not be read")
    result: ComparisonResult | None = None
    not_comparable: str | None = Field(default=None, description="why it was not played")

    @model_validator(mode="after")
    def _played_or_explained(self) -> "IncumbentComparison":
        if (self.result is None) == (self.not_comparable is None):
            raise ValueError("either result or not_comparable must be there")
        return self


class EvaluationReport(Contract):
    """How good the policy is, on episodes of its own seed, played by the very ONNX files that will be served."""

    format_version: Literal[1] = 1
    run_id: RunId
    seed: int
    num_builds: int = Field(default=1, ge=1, description="played side by side; the figures repeat for the same number")
    builds_restarted: int = Field(default=0, ge=0)
    behaviors: tuple[BehaviorEvaluation, ...] = Field(min_length=1)
    mean_return: float = Field(description="mean of the behaviors' deterministic mean returns")
    ci95_low: float
    ci95_high: float
    incumbent: IncumbentComparison | None = Field(default=None, description="None: there was nothing to compare with")
    warnings: tuple[EvaluationWarning, ...] = ()
    replays: tuple[Replay, ...] = ()
    wall_time_seconds: float = Field(ge=0)


class ParityPair(Contract):
    """Observations met during evaluation and the deterministic actions taken; batch first."""

    behavior: str
    observations: tuple[list[object], ...] = Field(description="one nested list for each sensor: [N, *shape]")
    action_masks: list[list[float]] | None = Field(default=None, description="[N, sum of branches], 1 = allowed")
    memory: list[list[float]] | None = Field(default=None, description="[N, memory_size] before; None without memory")
    continuous: list[list[float]] = Field(description="[N, continuous_size]")
    discrete: list[list[int]] = Field(description="[N, number of branches]")
    memory_out: list[list[float]] | None = Field(default=None, description="[N, memory_size] after")


class ParityRecord(Contract):
    """What VerifyEndpoint replays against the endpoint before success is declared."""

    format_version: Literal[1] = 1
    pairs: tuple[ParityPair, ...] = Field(min_length=1)
