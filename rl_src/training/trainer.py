"""The training loop: sample, judge, learn, tell, save, until all behaviors have learned enough or someone stops it."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_src.cores import usable_cores
from rl_src.envs.group import Answer
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.learner_process import LearnerProcess
from rl_src.training.artifacts.checkpoint import (
    Checkpoint,
    file_name,
    load_latest,
    read_checkpoint,
    save_checkpoint,
    without_replay,
    write_checkpoint,
)
from rl_src.training.errors import InvalidCheckpointError, InvalidTrainingConfigError
from rl_src.training.progress.budget import budget_of
from rl_src.training.progress.pace import Setup
from rl_src.training.progress.report import draw_learning_curves
from rl_src.training.progress.telling import Report, Teller
from rl_src.training.result import BehaviorResult, TrainingResult
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import ResolvedBehavior, ResolvedConfig, TrainingConfig
from rl_src.training.settings.curriculum import Curriculum
from rl_src.training.settings.machine import most_builds, number_of_builds, why_gpu_is_idle
from rl_src.training.settings.presets import resolve, self_play_of
from rl_src.training.starting import imports_left_alone, start_learning, start_scenes

if TYPE_CHECKING:
    from rl_src.training.behavior_training import BehaviorTraining

log = logging.getLogger(__name__)


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
        model_dir: gets policies/<behavior>.onnx, checkpoint/, config.json, progress.jsonl, tensorboard/ and
            learning_curve.png.
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
    with start_learning(config) as learner_process, start_scenes(config, work_dir) as scenes:
        return train_on(
            scenes,
            config,
            model_dir=model_dir,
            checkpoint_dir=checkpoint_dir,
            report=report,
            stop_requested=stop_requested,
            started=started,
            learner_process=learner_process,
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
    learner_process: LearnerProcess | None = None,
) -> TrainingResult:
    """`train` on scenes that run already; they are closed at the end. `started` (monotonic) begins the wall time."""
    for directory in (model_dir, checkpoint_dir):
        directory.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic() if started is None else started
    with ExitStack() as stack:
        stack.enter_context(scenes)
        if learner_process is None:
            learner_process = stack.enter_context(start_learning(config))
        executor = stack.enter_context(ThreadPoolExecutor(1, "learner"))
        learning = _Learning(executor, learner_process)
        run = _Run(config, scenes, learning, begun, model_dir, checkpoint_dir, report, stop_requested)
        stack.enter_context(imports_left_alone())
        return run.play(scenes.reset())


@dataclass(frozen=True)
class _Learning:
    """Where learning goes on. `process`: None is this one."""

    executor: ThreadPoolExecutor
    process: LearnerProcess | None


class _Run:
    """The state of one training."""

    def __init__(
        self,
        config: TrainingConfig,
        scenes: Scenes,
        learning: _Learning,
        started: float,
        model_dir: Path,
        checkpoint_dir: Path,
        report: Report,
        stop_requested: Callable[[], bool],
    ) -> None:
        # RLlib takes seconds to import: only where it is used.
        from rl_src.training.behavior_training import BehaviorTraining
        from rl_src.training.sampling.env_runner import UnityEnvRunner
        from rl_src.training.self_play.opponents import Opponents

        self._config = config
        self._scenes = scenes
        self._learning = learning
        self._started = started
        self._model_dir = model_dir
        self._checkpoint_dir = checkpoint_dir
        self._stop_requested = stop_requested
        self._behaviors: dict[str, BehaviorTraining] = {}
        self._curriculum = Curriculum(config.environment.parameters)
        self._first_agents: Mapping[str, int] = {}
        self._checkpoint = load_latest(checkpoint_dir)
        self._origin = read_checkpoint(config.start_from) if config.start_from is not None else None
        earlier = self._checkpoint
        self._earlier_seconds = earlier.state["wall_time_seconds"] if earlier else 0.0
        self._checkpoints = earlier.state["number"] if earlier else 0
        self._teller = Teller(
            model_dir,
            earlier.progress if earlier else [],
            report=report,
            setup=Setup(number_of_builds(config), usable_cores(), most_builds(usable_cores())),
            wall_time=self._wall_time,
        )
        self._opponents = Opponents(
            partial(self_play_of, config), config.seed, lambda name: self._behaviors[name].new_player()
        )
        self._has_third_core = usable_cores() > 2
        scenes.look_while(self._has_free_core)
        self._runner = UnityEnvRunner(
            scenes=scenes, make_sampler=self._meet, on_team=self._opponents.meet, interrupt=self._interrupted
        )
        self._build_seconds: dict[str, float] = {}  # that have been told of, by behavior
        self._budget = budget_of(config)
        self._saved_at = time.monotonic()
        if earlier:
            self._curriculum.set_state(earlier.state["curriculum"])
            self._scenes.set_parameters(self._curriculum.values)
            self._opponents.set_state(earlier.state["self_play"], earlier.self_play)

    def play(self, first: list[Answer]) -> TrainingResult:
        """Play and learn until there is a reason to stop."""
        try:
            self._first_agents = _agents(first)
            self._runner.begin(first)
            self._check_resumed()
            self._check_curriculum()
            while (reason := self._stop_reason()) is None:
                self._runner.play_until(self._is_something_due)
                self._learn()
                if self._opponents.is_due() and self._opponents.advance():
                    self._runner.restart()  # another team learns: what was played half counts for none
                if time.monotonic() - self._saved_at >= self._config.checkpoint_interval_seconds:
                    self._save()
            return self._finish(reason)
        finally:
            self._teller.close()
            for behavior in self._behaviors.values():
                behavior.close()

    def _meet(self, behavior: BehaviorSpec) -> Any:
        """A behavior appears, perhaps late: it is trained from now on; its sampler."""
        from rl_src.training.behavior_training import BehaviorTraining
        from rl_src.training.imitation.demonstrations import demonstrations_for, find_recording

        name = behavior.behavior_name
        agents = self._first_agents.get(name, 1)
        resolved = resolve(self._config, behavior, agents)
        demonstrations = None
        if resolved.behavioral_cloning is not None:
            recording = find_recording(resolved.behavioral_cloning.demo, self._config.executable.parent)
            demonstrations = demonstrations_for(behavior, recording, resolved.behavioral_cloning.pairing)
            log.info("%s imitates %d recorded decisions at first", name, len(demonstrations))
        log.info("%s is learned on %s", name, resolved.hyperparameters.device)
        if self._config.hyperparameters.device != "cpu" and (why := why_gpu_is_idle()):
            log.warning("%s is learned on the CPU, although this machine has a GPU: %s", name, why)
        training = BehaviorTraining(resolved, behavior, self._learning.executor, demonstrations, self._learning.process)
        self._behaviors[name] = training
        self._teller.meet(name, behavior.actions, training.config.stop.mean_return, resolved.hyperparameters.device)
        if self._checkpoint is not None and name in self._checkpoint.behaviors:
            training.resume(self._checkpoint.behaviors[name])
            log.info("%s goes on at iteration %d, %d env steps", name, training.iterations, training.env_steps)
        elif self._origin is not None and name in self._origin.behaviors:
            training.begin_with(self._origin.behaviors[name])
            log.info("%s begins with the policy of an earlier training", name)
        resolved_document = json.dumps(self._resolved().to_document(), indent=2)
        (self._model_dir / "config.json").write_text(resolved_document + "\n")
        return training.sampler

    def _check_resumed(self) -> None:
        """A checkpoint that has nothing to do with this build is a mistake."""
        for checkpoint in (self._checkpoint, self._origin):
            known = checkpoint.behaviors if checkpoint else {}
            if known and not known.keys() & self._behaviors.keys():
                raise InvalidCheckpointError(
                    f"the checkpoint is of behavior {', '.join(known)}, the build's is {', '.join(self._behaviors)}."
                )

    def _check_curriculum(self) -> None:
        """A lesson that waits for what never comes would never end."""
        for name in self._curriculum.behaviors_that_need_a_limit & self._behaviors.keys():
            if self._behaviors[name].config.stop.env_steps is None:
                raise InvalidTrainingConfigError(
                    f"a lesson waits for the progress of {name}, which has no limit on env_steps to measure it by.",
                    "Give stop.env_steps, or measure reward.",
                )
        for name in self._curriculum.behaviors - self._behaviors.keys():
            log.warning("a lesson waits for behavior %s, which has not appeared yet", name)

    def _is_something_due(self) -> bool:
        behaviors = self._behaviors.values()
        return any(item.has_batch() or item.has_news() for item in behaviors) or self._opponents.is_due()

    def _has_free_core(self) -> bool:
        """Whether nobody wants the core on which we wait: one is the build's, one the learner's while it learns."""
        return self._has_third_core or not any(behavior.is_learning() for behavior in self._behaviors.values())

    def _learn(self) -> None:
        """Every behavior whose batch is full, or all that play when they were interrupted."""
        interrupted = self._interrupted()
        for behavior in self._behaviors.values():
            if behavior.has_news():
                self._teller.tell(behavior.catch_up())
            if behavior.has_batch() or (interrupted and behavior.sampler.decisions):
                turn = behavior.turn(self._remarks(behavior.name), learns=not self._stop_requested())
                self._teller.tell(turn.lines)
                self._begin_lessons(behavior, turn.returns)

    def _begin_lessons(self, behavior: "BehaviorTraining", returns: Sequence[float]) -> None:
        """Where a curriculum goes on, tell the scenes."""
        change = self._curriculum.observe(behavior.name, behavior.progress, returns)
        if change:
            values = self._curriculum.values
            self._scenes.set_parameters({name: values[name] for name in change.changed})
        if change.require_reset:
            self._runner.restart()

    def _remarks(self, behavior: str) -> dict[str, Any]:
        """For a progress line."""
        waited = self._runner.build_seconds
        remarks: dict[str, Any] = {
            "build_seconds": waited - self._build_seconds.get(behavior, 0.0),
            "restarts": self._scenes.restarts,
        }
        self._build_seconds[behavior] = waited
        if lessons := self._curriculum.lesson_numbers:
            remarks["lessons"] = lessons
        rating = self._opponents.rating(behavior)
        return remarks if rating is None else {**remarks, "elo": rating}

    def _stop_reason(self) -> str | None:
        if self._stop_requested():
            return "stopped"
        reasons = {behavior.stop_reason: behavior.name for behavior in self._behaviors.values()}
        if reasons and None not in reasons:
            # Of several behaviors, what ended the last one: a limit rather than a success.
            order = ("env_steps", "no_improvement", "mean_return")
            return next(reason for reason in order if reason in reasons)
        if self._out_of_money():
            return "budget_usd"
        return "wall_time_seconds" if self._out_of_time() else None

    def _interrupted(self) -> bool:
        """Asked in every step: with slow builds, a batch may take minutes to fill."""
        return self._stop_requested() or self._out_of_time() or self._out_of_money()

    def _out_of_money(self) -> bool:
        return self._budget is not None and self._budget.is_spent(self._wall_time())

    def _out_of_time(self) -> bool:
        limits = [behavior.config.stop.wall_time_seconds for behavior in self._behaviors.values()]
        given = [limit for limit in limits if limit is not None]
        return bool(given) and self._wall_time() >= max(given)

    def _finish(self, reason: str) -> TrainingResult:
        from rl_src.training.algorithms.ppo import build_network
        from rl_src.training.artifacts.onnx_export import export_onnx

        self._save()
        write_checkpoint(self._model_dir / "checkpoint", without_replay(self._as_checkpoint()))
        files: dict[str, str] = {}
        memory_sizes: dict[str, int] = {}
        for name, behavior in self._behaviors.items():
            files[name] = f"policies/{file_name(name)}.onnx"
            network = build_network(behavior.config, behavior.behavior, behavior.final_weights())
            export_onnx(network, self._model_dir / files[name])
            memory_sizes[name] = network.memory_size
        draw_learning_curves(
            self._teller.lines,
            self._model_dir / "learning_curve.png",
            {name: item.best.mean_return if item.best else None for name, item in self._behaviors.items()},
            title=f"{next(iter(self._resolved().behaviors.values())).algorithm}, seed {self._config.seed}",
        )
        return TrainingResult(
            behaviors=tuple(behavior.behavior for behavior in self._behaviors.values()),
            onnx_files=files,
            memory_sizes=memory_sizes,
            stop_reason=reason,
            results={name: BehaviorResult(**item.summary()) for name, item in self._behaviors.items()},
            wall_time_seconds=self._wall_time(),
            warnings=self._teller.warnings(),
            limited_by=self._teller.limited_by(),
            advice=self._teller.advice(),
            config=self._resolved(),
        )

    def _save(self) -> None:
        """At a moment when nothing is being learned; what plays stays as it was, so that saving changes no numbers."""
        for behavior in self._behaviors.values():
            self._teller.tell(behavior.finish_updates())
        self._checkpoints += 1
        save_checkpoint(self._checkpoint_dir, self._checkpoints, self._as_checkpoint())
        self._saved_at = time.monotonic()

    def _as_checkpoint(self) -> Checkpoint:
        waiting = self._checkpoint.behaviors if self._checkpoint else {}  # of behaviors that have not come up again yet
        behaviors = {name: behavior.checkpoint() for name, behavior in self._behaviors.items()}
        state: dict[str, Any] = {"number": self._checkpoints, "wall_time_seconds": self._wall_time()}
        state["curriculum"] = self._curriculum.state()
        state["self_play"], past_selves = self._opponents.state()
        return Checkpoint(state, {**waiting, **behaviors}, past_selves, list(self._teller.lines))

    def _resolved(self) -> ResolvedConfig:
        behaviors: dict[str, ResolvedBehavior] = {name: item.config for name, item in self._behaviors.items()}
        return ResolvedConfig(behaviors, self._config.environment, number_of_builds(self._config), self._config.seed)

    def _wall_time(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._started


def _agents(first: list[Answer]) -> dict[str, int]:
    """Agents that ask for a decision at first, by behavior name."""
    found: dict[str, int] = {}
    for answer in first:
        for name, step in answer.steps.items():
            behavior = name.split("?", 1)[0]
            found[behavior] = found.get(behavior, 0) + len(step.decisions)
    return found
