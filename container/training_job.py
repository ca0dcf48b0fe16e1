"""`train`: play the build, learn, leave the artifact in /opt/ml/model."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from container import job
from container.artifacts import unpack, write_manifest
from container.failures import ContainerError
from container.opt_ml import OptMl
from pipeline.contracts.job import TrainingJobConfig, from_hyperparameters
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, ObservationSpec, PolicySpec, TrainingSummary
from pipeline.contracts.validation import InvalidDocumentError
from rl_src.envs.specs import BehaviorSpec as UnityBehaviorSpec
from rl_src.serving.artifact import check_manifest
from rl_src.serving.errors import InvalidArtifactError


def main() -> int:
    """The entry point; returns the exit code."""
    return job.run(_train)


def _train(opt_ml: OptMl, stop: job.StopSignal) -> None:
    config = read_config(opt_ml)
    _, hosts = opt_ml.hosts()
    if len(hosts) > 1:
        raise ContainerError("SeveralHosts", f"The job has {len(hosts)} hosts.", "Use instances.instance_count = 1.")
    run_id, policy = job.identity()
    with job.scratch() as folder:
        program = job.prepare_build(opt_ml.channel_file("build", ".zip"), folder, config.environment.executable)
        user = job.player_user(folder, program)
        # ray and torch take seconds to import: a build that is refused is refused before.
        from rl_src.training.config import TrainingConfig
        from rl_src.training.trainer import train

        document = config.model_dump(exclude_none=True)
        result = train(
            replace(
                TrainingConfig.from_document(program, document, run_as=user),
                instance_type=opt_ml.instance_type(),
                instance_count=len(hosts),
                start_from=_earlier_checkpoint(opt_ml, folder),
            ),
            model_dir=opt_ml.model,
            checkpoint_dir=opt_ml.checkpoints,
            work_dir=folder,
            report=_print_line,
            stop_requested=stop,
        )
    spec = PolicySpec(
        policy=policy,
        version=run_id,
        behaviors=tuple(
            _behavior(behavior, result.onnx_files[behavior.behavior_name]) for behavior in result.behaviors
        ),
    )
    _write(opt_ml.model / "policy_spec.json", spec)
    _write(opt_ml.model / "training_summary.json", TrainingSummary.model_validate(result.summary()))
    write_manifest(opt_ml.model, run_id)


def _earlier_checkpoint(opt_ml: OptMl, folder: Path) -> Path | None:
    """Of the run to begin with, whose model.tar.gz lies in the channel `initial`; None without such a channel.

    Raises:
        ContainerError: it is no artifact of a training, or was changed since.
    """
    if not opt_ml.has_channel("initial"):
        return None
    artifact = folder / "initial"
    unpack(opt_ml.channel_file("initial", ".tar.gz"), artifact)
    remedy = "Start from the model.tar.gz that a training run left, unchanged."
    try:
        check_manifest(artifact)
    except InvalidArtifactError as error:
        raise ContainerError(
            "InvalidArtifact", f"The artifact to begin with cannot be used: {error}.", remedy
        ) from error
    if not (artifact / "checkpoint" / "state.json").is_file():
        raise ContainerError("InvalidArtifact", "The artifact to begin with holds no checkpoint.", remedy)
    return artifact / "checkpoint"


def read_config(opt_ml: OptMl) -> TrainingJobConfig:
    """The job's configuration.

    Raises:
        ContainerError: a hyperparameter that is not known, or out of range.
    """
    try:
        return from_hyperparameters(TrainingJobConfig, opt_ml.hyperparameters())
    except InvalidDocumentError as error:
        raise ContainerError("InvalidHyperparameters", f"{error}.", "Correct the named hyperparameters.") from error


def _behavior(spec: UnityBehaviorSpec, onnx: str) -> BehaviorSpec:
    return BehaviorSpec(
        name=spec.behavior_name,
        onnx=onnx,
        observations=tuple(ObservationSpec(name=sensor.name, shape=sensor.shape) for sensor in spec.observations),
        actions=ActionSpec(
            continuous_size=spec.actions.continuous_size, discrete_branches=spec.actions.discrete_branches
        ),
    )


def _print_line(line: dict[str, Any]) -> None:
    """One JSON object a line: SageMaker's MetricDefinitions read it."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _write(path: Path, document: PolicySpec | TrainingSummary) -> None:
    path.write_text(document.model_dump_json(indent=2), encoding="utf-8")
