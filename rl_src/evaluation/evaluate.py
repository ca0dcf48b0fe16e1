"""The whole evaluation: deterministic and sampled episodes, the report, and the record for the endpoint's check."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rl_src.envs.batches import DecisionBatch
from rl_src.envs.client import PlayerUser, UnityClient
from rl_src.envs.group import BuildGroup
from rl_src.envs.side_channels import Sampler
from rl_src.evaluation.action_use import together
from rl_src.evaluation.caveats import find_warnings
from rl_src.evaluation.comparison import Compared, Incumbent, compared, headline, misfit, not_comparable
from rl_src.evaluation.episodes import Ending, PlayedEpisode
from rl_src.evaluation.parity import ParityRecorder
from rl_src.evaluation.recording import Recording
from rl_src.evaluation.rollouts import Share, play
from rl_src.evaluation.statistics import ReturnStatistics, describe, histogram, success_rate
from rl_src.serving.onnx_policy import OnnxPolicy

log = logging.getLogger(__name__)

GENERATION_SEEDS = 1_000
"""The n-th build's seeds begin n times this after the first's, so that no restart takes another build's seed."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How the build is started, and how much is played.

    `success_returns`: for each behavior of which it is known, the return that makes an episode a success.
    """

    executable: Path
    episodes: int = 100
    seed: int = 1_000_003
    num_builds: int = 1
    success_returns: Mapping[str, float] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    parameters: Mapping[str, float | Sampler] = field(default_factory=dict)
    time_scale: float = 20.0
    graphics: bool | None = None
    startup_timeout_seconds: float = 120.0
    step_timeout_seconds: float = 60.0
    log_file: Path | None = None
    run_as: PlayerUser | None = None


def evaluate(
    config: EvaluationConfig,
    load_policies: Callable[[], Mapping[str, OnnxPolicy]],
    run_id: str,
    stop_requested: Callable[[], bool],
    incumbent: Incumbent | None = None,
    recording: Recording | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Play the policies on the build, and then the policy in service with the same seeds.

    Args:
        config: see there.
        load_policies: reads the model files, by behavior name; called once for each build.
        run_id: of the training whose policies these are.
        stop_requested: asked again and again.
        incumbent: what is in service; None: nothing is, or nobody asks.
        recording: keeps a few of the first build's deterministic episodes.

    Returns:
        The evaluation report, but for its replays, and the parity record, as `contracts/evaluation.py` has them.

    Raises:
        EvaluationError, UnityEnvironmentError: see `rollouts.play`.
    """
    started = time.monotonic()
    number = max(1, min(config.num_builds, config.episodes))
    policies = [_load(load_policies, _build_seed(config, index)) for index in range(number)]
    recorders = {name: ParityRecorder(name, policy) for name, policy in policies[0].items()}

    def watch(name: str, decisions: DecisionBatch, before: list[int], memory: NDArray[np.float32]) -> None:
        recorders[name].see(decisions, before, memory)

    recording = recording or Recording(0, ())
    with BuildGroup(partial(_start, config, recording=recording), number) as builds:
        deterministic = play(builds, policies, config.episodes, True, watch, stop_requested, recording=recording)
        recording.finish()
        stochastic = play(builds, policies, config.episodes, False, watch, stop_requested)
        restarts = builds.restarts
    comparison = None if incumbent is None else _compare(config, incumbent, policies, deterministic, stop_requested)
    behaviors = [
        {
            "behavior": name,
            "deterministic": _figures(name, deterministic, config),
            "stochastic": _figures(name, stochastic, config),
        }
        for name in policies[0]
    ]
    report = {
        "format_version": 1,
        "run_id": run_id,
        "seed": config.seed,
        "num_builds": number,
        "builds_restarted": restarts,
        "behaviors": behaviors,
        **headline([_describe(_episodes(name, deterministic)) for name in policies[0]]),
        "incumbent": comparison,
        "warnings": find_warnings(behaviors, restarts),
        "replays": [],
        "wall_time_seconds": time.monotonic() - started,
    }
    return report, {"format_version": 1, "pairs": [recorder.document() for recorder in recorders.values()]}


def _compare(
    config: EvaluationConfig,
    incumbent: Incumbent,
    own: Sequence[Mapping[str, OnnxPolicy]],
    played: Sequence[Share],
    stop_requested: Callable[[], bool],
) -> dict[str, Any]:
    """Play the incumbent as the candidate's deterministic episodes were played: as many fresh builds, their seeds.

    Of a behavior with several teams the two are opponents instead.
    """
    if incumbent.load_policies is None:
        return not_comparable(incumbent, incumbent.unusable)
    candidate = own[0]
    policies = [_load(incumbent.load_policies, _build_seed(config, index)) for index in range(len(played))]
    if why := misfit(candidate, policies[0]):
        return not_comparable(incumbent, why)
    known = [{name: one[name] for name in candidate} for one in policies]
    log.info("now the policy in service plays (run %s)", incumbent.run_id)
    teams = {name: sorted({episode.team for episode in _episodes(name, played)}) for name in candidate}
    opponents = {name: found for name, found in teams.items() if len(found) > 1}
    results = _contest(config, opponents, own, known, stop_requested) if opponents else {}
    if len(results) < len(candidate):
        with BuildGroup(partial(_start, config), len(played)) as builds:
            others = play(builds, known, config.episodes, True, None, stop_requested)
        alone = [name for name in candidate if name not in opponents]
        results |= {
            name: Compared(name, _describe(_episodes(name, played)), _describe(_episodes(name, others)), opposed=False)
            for name in alone
        }
    return compared(incumbent, [results[name] for name in candidate])


def _contest(
    config: EvaluationConfig,
    teams: Mapping[str, Sequence[int]],
    candidate: Sequence[Mapping[str, OnnxPolicy]],
    incumbent: Sequence[Mapping[str, OnnxPolicy]],
    stop_requested: Callable[[], bool],
) -> dict[str, Compared]:
    """Both in one scene: first the candidate has the first team and the incumbent the others, then the other way.

    A policy that plays all teams earns what its opponents lose: only against each other can two of them be told apart.

    Args:
        config: as for the candidate's own episodes; each round has as many, of all teams together.
        teams: the numbers of the teams, of each behavior that has several.
        candidate: one mapping a build.
        incumbent: one mapping a build.
        stop_requested: asked again and again.
    """
    returns: dict[tuple[str, bool], list[PlayedEpisode]] = {}
    for first in (True, False):
        away = {name: [team for team in found if (team == found[0]) != first] for name, found in teams.items()}
        guests = [{(name, team): own[name] for name, found in away.items() for team in found} for own in incumbent]
        with BuildGroup(partial(_start, config), len(candidate)) as builds:
            shares = play(builds, candidate, config.episodes, True, None, stop_requested, guests)
        for name, found in away.items():
            for episode in _episodes(name, shares):
                returns.setdefault((name, episode.team not in found), []).append(episode)
    return {
        name: Compared(name, _describe(returns[name, True]), _describe(returns[name, False]), opposed=True)
        for name in teams
    }


def _episodes(name: str, shares: Sequence[Share]) -> list[PlayedEpisode]:
    return [episode for share in shares for episode in share.episodes[name].played]


def _describe(episodes: Sequence[PlayedEpisode]) -> ReturnStatistics:
    """The returns of one behavior's episodes."""
    returns, lengths = [item.episode_return for item in episodes], [item.length for item in episodes]
    return describe(returns, lengths, sum(episode.ending is Ending.CUT_OFF for episode in episodes))


def _figures(name: str, shares: Sequence[Share], config: EvaluationConfig) -> dict[str, Any]:
    """One behavior's episodes of all builds, as `contracts.evaluation.PlayedEpisodes`."""
    episodes = _episodes(name, shares)
    returns, lengths = [item.episode_return for item in episodes], [item.length for item in episodes]
    threshold = config.success_returns.get(name)
    return {
        **asdict(_describe(episodes)),
        "truncated_episodes": sum(episode.ending is Ending.TRUNCATED for episode in episodes),
        "max_length": max(lengths),
        "success": None if threshold is None else asdict(success_rate(returns, threshold)),
        "return_histogram": asdict(histogram(returns)),
        "length_histogram": asdict(histogram(lengths, whole_numbers=True)),
        "action_use": together(share.action_use[name] for share in shares if name in share.action_use).document(),
        "teams": _teams(episodes),
    }


def _teams(episodes: Sequence[PlayedEpisode]) -> list[dict[str, Any]]:
    """Each team of a behavior that plays on several."""
    teams = sorted({episode.team for episode in episodes})
    return [_team(team, [item for item in episodes if item.team == team]) for team in teams] if len(teams) > 1 else []


def _team(team: int, episodes: Sequence[PlayedEpisode]) -> dict[str, Any]:
    finals = [episode.final_reward for episode in episodes]
    return {
        "team": team,
        "episodes": len(episodes),
        "mean_return": float(np.mean([episode.episode_return for episode in episodes])),
        "won": sum(reward > 0 for reward in finals),
        "drawn": sum(reward == 0 for reward in finals),
        "lost": sum(reward < 0 for reward in finals),
    }


def _load(load_policies: Callable[[], Mapping[str, OnnxPolicy]], seed: int) -> Mapping[str, OnnxPolicy]:
    # A session's random operators take their seed from here when it is made (onnxruntime: set_seed).
    onnxruntime.set_seed(seed)
    return load_policies()


def _build_seed(config: EvaluationConfig, index: int, generation: int = 0) -> int:
    return (config.seed + index * GENERATION_SEEDS + generation) % 2**31


def _start(config: EvaluationConfig, index: int, generation: int, recording: Recording | None = None) -> UnityClient:
    channel = recording.channel() if recording is not None and index == 0 else None
    return UnityClient(
        config.executable,
        arguments=config.arguments,
        seed=_build_seed(config, index, generation),
        time_scale=config.time_scale,
        graphics=config.graphics,
        parameters=config.parameters,
        startup_timeout_seconds=config.startup_timeout_seconds,
        step_timeout_seconds=config.step_timeout_seconds,
        log_file=_log_file(config.log_file, index),
        run_as=config.run_as,
        side_channels=() if channel is None else (channel,),
    )


def _log_file(path: Path | None, index: int) -> Path | None:
    return path if path is None or index == 0 else path.with_stem(f"{path.stem}-{index}")
