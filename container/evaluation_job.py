"""`evaluate`: play the exported policies, leave report and parity record in /opt/ml/model."""

import json
import logging

from container import job
from container.artifacts import unpack, write_manifest
from container.failures import ContainerError
from container.opt_ml import OptMl
from pipeline.contracts.evaluation import EvaluationReport, ParityRecord
from pipeline.contracts.job import EvaluationJobConfig, from_hyperparameters
from pipeline.contracts.validation import InvalidDocumentError
from rl_src.evaluation.evaluate import EvaluationConfig, evaluate
from rl_src.serving.artifact import load_artifact
from rl_src.serving.errors import InvalidArtifactError
from rl_src.training.curriculum import final_values
from rl_src.training.curriculum_form import read_parameters

log = logging.getLogger(__name__)


def main() -> int:
    """The entry point; returns the exit code."""
    return job.run(_evaluate)


def _evaluate(opt_ml: OptMl, stop: job.StopSignal) -> None:
    config = _read_config(opt_ml)
    run_id, _ = job.identity()
    with job.scratch() as folder:
        artifact = folder / "artifact"
        unpack(opt_ml.channel_file("model", ".tar.gz"), artifact)
        try:
            served = load_artifact(artifact)
        except InvalidArtifactError as error:
            raise ContainerError("InvalidArtifact", f"The artifact cannot be used: {error}.", "Train again.") from error
        environment = config.environment
        program = job.prepare_build(opt_ml.channel_file("build", ".zip"), folder, environment.executable)
        report, parity = evaluate(
            EvaluationConfig(
                executable=program,
                episodes=config.episodes,
                seed=config.seed,
                arguments=environment.arguments,
                parameters=final_values(read_parameters(environment.model_dump(exclude_none=True)["parameters"])),
                time_scale=environment.time_scale,
                graphics=environment.graphics,
                startup_timeout_seconds=environment.startup_timeout_seconds,
                step_timeout_seconds=environment.step_timeout_seconds,
                log_file=folder / "player.log",
                run_as=job.player_user(folder, program),
            ),
            served.policies,
            run_id,
            stop,
        )
    opt_ml.model.mkdir(parents=True, exist_ok=True)
    # Through the contracts: what the pipeline would refuse fails here, where the reason is in the log.
    checked = EvaluationReport.model_validate(report, strict=False)
    (opt_ml.model / "evaluation_report.json").write_text(checked.model_dump_json(indent=2), encoding="utf-8")
    (opt_ml.model / "parity.json").write_text(
        ParityRecord.model_validate_json(json.dumps(parity)).model_dump_json(), encoding="utf-8"
    )
    write_manifest(opt_ml.model, run_id)
    log.info("mean return %.4f, 95 %% interval [%.4f, %.4f]", checked.mean_return, checked.ci95_low, checked.ci95_high)


def _read_config(opt_ml: OptMl) -> EvaluationJobConfig:
    try:
        return from_hyperparameters(EvaluationJobConfig, opt_ml.hyperparameters())
    except InvalidDocumentError as error:
        raise ContainerError("InvalidHyperparameters", f"{error}.", "Correct the named hyperparameters.") from error
