"""The training loop: sample, judge, learn, tell, save, until the stop rule holds or someone asks to stop."""

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_src.envs.group import Answer
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.best import Best, BestPolicy
from rl_src.training.checkpoint import Checkpoint, load_latest, save_checkpoint, write_checkpoint
from rl_src.training.config import ResolvedConfig, TrainingConfig
from rl_src.training.errors import InvalidCheckpointError
from rl_src.training.presets import number_of_builds, resolve
from rl_src.training.progress import ProgressLog, RecentEpisodes, draw_learning_curve
from rl_src.training.scenes import Scenes

Report = Callable[[dict[str, Any]], None]

EPISODES_TO_STOP = 50
"""`stop.mean_return` counts from so many recent episodes on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """How the training ended, and what was trained. Counts cover all parts of a resumed training."""

    behaviors: tuple[BehaviorSpec, ...]
    onnx_files: dict[str, str]  # behavior name to path below model_dir
    stop_reason: str  # env_steps, mean_return, wall_time_seconds or stopped
    iterations: int
    env_steps: int
    episodes: int
    best_mean_return: float | None
    best_iteration: int | None
    wall_time_seconds: float
    env_steps_per_second: float
    config: ResolvedConfig

    def summary(self) -> dict[str, Any]:
        """The fields of `contracts.policy.TrainingSummary`."""
        names = (
            "stop_reason", "iterations", "env_steps", "episodes", "best_mean_return", "best_iteration",
            "wall_time_seconds", "env_steps_per_second",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def train(
    config: TrainingConfig,
    *,
    model_dir: Path,
    checkpoint_dir: Path,
    work_dir: Path,
    report: Report,
    stop_requested: Callable[[], bool],
) -> TrainingResult:
    """Train a policy on a build, and leave the artifact's files in `model_dir`.

    Args:
        config: what to do.
        model_dir: gets policies/<behavior>.onnx, checkpoint/, config.json, progress.jsonl, learning_curve.png.
        checkpoint_dir: gets a checkpoint at an interval and at the end; one found there is continued.
        work_dir: scratch; the players' logs go here.
        report: called once an iteration with a flat JSON object.
        stop_requested: asked in every environment step; once true, the training ends with a checkpoint.

    Raises:
        UnityEnvironmentError: the build failed.
        TrainingError: the training failed.
    """
    started = time.monotonic()
    work_dir.mkdir(parents=True, exist_ok=True)
    with _start_scenes(config, work_dir) as scenes:
        return train_on(
            scenes,
            config,
            model_dir=model_dir,
            checkpoint_dir=checkpoint_dir,
            report=report,
            stop_requested=stop_requested,
            started=started,
        )


def train_on(
    scenes: Scenes,
    config: TrainingConfig,
    *,
    model_dir: Path,
    checkpoint_dir: Path,
    report: Report,
    stop_requested: Callable[[], bool],
    started: float | None = None,
) -> TrainingResult:
    """`train` on scenes that run already; they are closed at the end. `started` (monotonic) begins the wall time."""
    for directory in (model_dir, checkpoint_dir):
        directory.mkdir(parents=True, exist_ok=True)
    with scenes:
        first = scenes.reset()
        behavior = scenes.behavior()
        resolved = resolve(config, behavior, _agents(first))
        _write_json(model_dir / "config.json", resolved.to_document())
        begun = time.monotonic() if started is None else started
        run = _Run(config, resolved, behavior, scenes, begun, model_dir, checkpoint_dir, report, stop_requested)
        return run.play(first)


class _Run:
    """The state of one training."""

    def __init__(
        self,
        config: TrainingConfig,
        resolved: ResolvedConfig,
        behavior: BehaviorSpec,
        scenes: Scenes,
        started: float,
        model_dir: Path,
        checkpoint_dir: Path,
        report: Report,
        stop_requested: Callable[[], bool],
    ) -> None:
        from rl_src.training.algorithm import PPO  # RLlib takes seconds to import: only where it is used

        self._config = config
        self._resolved = resolved
        self._behavior = behavior
        self._started = started
        self._model_dir = model_dir
        self._checkpoint_dir = checkpoint_dir
        self._report = report
        self._stop_requested = stop_requested
        self._recent = RecentEpisodes()
        self._best = BestPolicy()
        self._iteration = 0
        self._env_steps = 0
        self._episodes = 0
        self._earlier_seconds = 0.0
        self._ppo = PPO(resolved, behavior, scenes, self._interrupted)
        self._saved_at = time.monotonic()
        self._progress = ProgressLog(model_dir / "progress.jsonl", self._resume())

    def play(self, first: list[Answer]) -> TrainingResult:
        """Iterate until there is a reason to stop."""
        self._ppo.begin(first)
        try:
            while (reason := self._stop_reason()) is None:
                self._iterate()
            return self._finish(reason)
        finally:
            self._ppo.close()

    def _iterate(self) -> None:
        begun = time.monotonic()
        settings = self._resolved.hyperparameters
        limit = self._resolved.stop.env_steps
        wanted = settings.train_batch_size
        if limit is not None:
            wanted = min(wanted, limit - self._env_steps)
        weights = self._ppo.weights()  # those that play now
        episodes, finished = self._ppo.sample(wanted)
        sampled = time.monotonic()
        steps = sum(len(episode) for episode in episodes)
        self._env_steps += steps
        self._episodes += len(finished)
        self._iteration += 1
        self._recent.add(finished)
        self._best.judge(finished, weights, self._iteration)
        statistics: dict[str, float | None] = dict.fromkeys(_STATISTICS)
        # A handful of decisions, as at a limit or a stop, would make a wild update.
        if steps >= settings.minibatch_size and not self._stop_requested():
            statistics.update(self._ppo.learn(episodes, self._env_steps))
        ended = time.monotonic()
        self._tell(steps, statistics, sampled - begun, ended - sampled)
        if ended - self._saved_at >= self._config.checkpoint_interval_seconds:
            self._save()

    def _tell(
        self, steps: int, statistics: dict[str, float | None], sampling_seconds: float, learning_seconds: float
    ) -> None:
        line = {
            "iteration": self._iteration,
            "env_steps": self._env_steps,
            "env_steps_limit": self._resolved.stop.env_steps,
            "episodes": self._episodes,
            **self._recent.summary(),
            "best_mean_return": self._best.best.mean_return if self._best.best else None,
            "env_steps_per_second": steps / max(1e-9, sampling_seconds + learning_seconds),
            "sampling_seconds": sampling_seconds,
            "learning_seconds": learning_seconds,
            "wall_time_seconds": self._wall_time(),
            **statistics,
        }
        rounded = {name: _rounded(value) for name, value in line.items()}
        self._progress.add(rounded)
        self._report(rounded)

    def _stop_reason(self) -> str | None:
        if self._stop_requested():
            return "stopped"
        stop, mean = self._resolved.stop, self._recent.mean_return()
        judged = mean is not None and len(self._recent) >= EPISODES_TO_STOP
        if judged and stop.mean_return is not None and mean is not None and mean >= stop.mean_return:
            return "mean_return"
        if stop.env_steps is not None and self._env_steps >= stop.env_steps:
            return "env_steps"
        return "wall_time_seconds" if self._out_of_time() else None

    def _interrupted(self) -> bool:
        """Asked in every step: with slow builds, a batch may take minutes to fill."""
        return self._stop_requested() or self._out_of_time()

    def _out_of_time(self) -> bool:
        limit = self._resolved.stop.wall_time_seconds
        return limit is not None and self._wall_time() >= limit

    def _finish(self, reason: str) -> TrainingResult:
        from rl_src.training.algorithm import build_network
        from rl_src.training.onnx_export import export_onnx

        self._save()
        write_checkpoint(self._model_dir / "checkpoint", self._checkpoint())
        best = self._best.best
        weights = best.weights if best else self._ppo.weights()
        path = f"policies/{self._behavior.behavior_name}.onnx"
        export_onnx(build_network(self._resolved, self._behavior, weights), self._model_dir / path)
        draw_learning_curve(
            self._progress.lines,
            self._model_dir / "learning_curve.png",
            title=f"{self._behavior.behavior_name}, {self._resolved.algorithm}, seed {self._resolved.seed}",
            best=best.mean_return if best else None,
        )
        seconds = self._wall_time()
        return TrainingResult(
            behaviors=(self._behavior,),
            onnx_files={self._behavior.behavior_name: path},
            stop_reason=reason,
            iterations=self._iteration,
            env_steps=self._env_steps,
            episodes=self._episodes,
            best_mean_return=best.mean_return if best else None,
            best_iteration=best.iteration if best else None,
            wall_time_seconds=seconds,
            env_steps_per_second=self._env_steps / max(seconds, 1e-9),
            config=self._resolved,
        )

    def _save(self) -> None:
        save_checkpoint(self._checkpoint_dir, self._iteration, self._checkpoint())
        self._saved_at = time.monotonic()

    def _checkpoint(self) -> Checkpoint:
        state, arrays = self._ppo.state()
        best = self._best.best
        document = {
            "behavior": self._behavior.behavior_name,
            "iteration": self._iteration,
            "env_steps": self._env_steps,
            "episodes": self._episodes,
            "wall_time_seconds": self._wall_time(),
            "recent_episodes": self._recent.to_document(),
            "best": {"mean_return": best.mean_return, "iteration": best.iteration} if best else None,
            **state,
        }
        return Checkpoint(
            document, self._ppo.weights(), arrays, best.weights if best else None, list(self._progress.lines)
        )

    def _resume(self) -> list[dict[str, Any]]:
        """Continue the checkpoint that is there, if any; returns its progress lines."""
        checkpoint = load_latest(self._checkpoint_dir)
        if checkpoint is None:
            return []
        state = checkpoint.state
        if state.get("behavior") != self._behavior.behavior_name:
            raise InvalidCheckpointError(
                f"the checkpoint is of behavior {state.get('behavior')}, the build's is {self._behavior.behavior_name}."
            )
        self._ppo.set_weights(checkpoint.weights)
        self._ppo.set_state(state, checkpoint.optimizer)
        self._iteration, self._env_steps = state["iteration"], state["env_steps"]
        self._episodes, self._earlier_seconds = state["episodes"], state["wall_time_seconds"]
        self._recent = RecentEpisodes.from_document(state["recent_episodes"])
        if state["best"] and checkpoint.best is not None:
            self._best = BestPolicy(Best(checkpoint.best, state["best"]["mean_return"], state["best"]["iteration"]))
        log.info("continuing at iteration %d, %d env steps", self._iteration, self._env_steps)
        return checkpoint.progress

    def _wall_time(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._started


_STATISTICS = ("policy_loss", "vf_loss", "entropy", "kl", "grad_norm", "explained_variance")


def _start_scenes(config: TrainingConfig, work_dir: Path) -> Scenes:
    """Start the builds, and import RLlib meanwhile: both take seconds, and a build starts in a process of its own."""
    with ThreadPoolExecutor(1) as thread:
        start = thread.submit(Scenes.start, config, number_of_builds(config), work_dir)
        try:
            import rl_src.training.algorithm  # noqa: F401
        except BaseException:
            if start.exception() is None:
                start.result().close()
            raise
        return start.result()


def _agents(first: list[Answer]) -> int:
    return sum(len(item.decisions.agent_ids) for answer in first for item in answer.steps.values())


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")


def _rounded(value: float | int | None) -> float | int | None:
    return float(f"{value:.6g}") if isinstance(value, float) else value
