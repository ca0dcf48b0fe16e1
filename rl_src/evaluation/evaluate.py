"""The whole evaluation: deterministic and sampled episodes, the report, and the record for the endpoint's check."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rl_src.envs.batches import DecisionBatch
from rl_src.envs.client import PlayerUser, UnityClient
from rl_src.envs.group import BuildGroup
from rl_src.envs.side_channels import Sampler
from rl_src.evaluation.parity import ParityRecorder
from rl_src.evaluation.rollouts import BehaviorEpisodes, play
from rl_src.evaluation.statistics import describe
from rl_src.serving.onnx_policy import OnnxPolicy


@dataclass(frozen=True)
class EvaluationConfig:
    """How the build is started, and how much is played."""

    executable: Path
    episodes: int = 100
    seed: int = 1_000_003
    arguments: Sequence[str] = ()
    parameters: Mapping[str, float | Sampler] = field(default_factory=dict)
    time_scale: float = 20.0
    graphics: bool | None = None
    startup_timeout_seconds: float = 120.0
    step_timeout_seconds: float = 60.0
    log_file: Path | None = None
    run_as: PlayerUser | None = None


def evaluate(
    config: EvaluationConfig, policies: Mapping[str, OnnxPolicy], run_id: str, stop_requested: Callable[[], bool]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Play the policies on the build.

    Returns:
        The evaluation report and the parity record, as `contracts/evaluation.py` describes them.

    Raises:
        EvaluationError, UnityEnvironmentError: see `rollouts.play`.
    """
    started = time.monotonic()
    recorders = {name: ParityRecorder(name, policy) for name, policy in policies.items()}

    def watch(name: str, decisions: DecisionBatch) -> None:
        recorders[name].see(decisions)

    with BuildGroup(partial(_start, config), 1) as builds:
        deterministic = play(
            builds,
            policies,
            config.episodes,
            True,
            watch,
            stop_requested,
        )
        stochastic = play(builds, policies, config.episodes, False, watch, stop_requested)
    behaviors: list[dict[str, Any]] = [
        {"behavior": name, "deterministic": _figures(deterministic[name]), "stochastic": _figures(stochastic[name])}
        for name in policies
    ]

    def mean(field_name: str) -> float:
        return float(sum(behavior["deterministic"][field_name] for behavior in behaviors) / len(behaviors))

    report = {
        "format_version": 1,
        "run_id": run_id,
        "seed": config.seed,
        "behaviors": behaviors,
        "mean_return": mean("mean_return"),
        "ci95_low": mean("ci95_low"),
        "ci95_high": mean("ci95_high"),
        "wall_time_seconds": time.monotonic() - started,
    }
    return report, {"format_version": 1, "pairs": [recorder.document() for recorder in recorders.values()]}


def _figures(episodes: BehaviorEpisodes) -> dict[str, Any]:
    return asdict(describe(episodes.returns, episodes.lengths, episodes.cut_off))


def _start(config: EvaluationConfig, _index: int, generation: int) -> UnityClient:
    return UnityClient(
        config.executable,
        arguments=config.arguments,
        seed=config.seed + generation,
        time_scale=config.time_scale,
        graphics=config.graphics,
        parameters=config.parameters,
        startup_timeout_seconds=config.startup_timeout_seconds,
        step_timeout_seconds=config.step_timeout_seconds,
        log_file=config.log_file,
        run_as=config.run_as,
    )
