"""`evaluate`: play the exported policies, leave report, its page, replays and the parity record in /opt/ml/model."""

import hashlib
import json
import logging
from pathlib import Path

from container import job
from container.artifacts import unpack, write_manifest
from container.failures import ContainerError
from container.opt_ml import OptMl
from pipeline.contracts.evaluation import EvaluationReport, ParityRecord
from pipeline.contracts.job import EvaluationJobConfig, from_hyperparameters
from pipeline.contracts.validation import InvalidDocumentError
from rl_src.cores import usable_cores
from rl_src.envs.sightings import FINDING_CODES, findings, kept
from rl_src.evaluation.comparison import Incumbent
from rl_src.evaluation.evaluate import EvaluationConfig, evaluate
from rl_src.evaluation.recording import Recording
from rl_src.evaluation.replays import write_replays
from rl_src.evaluation.report import render_report
from rl_src.evaluation.training_record import TrainingRecord, read_training_record
from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.errors import InvalidArtifactError
from rl_src.serving.onnx_policy import OnnxPolicy
from rl_src.training.settings.curriculum import final_values
from rl_src.training.settings.curriculum_form import read_parameters

EPISODES_PER_BUILD = 25
"""At least: starting a Unity build takes as long as playing some episodes."""

MAX_BUILDS = 8

_INCUMBENT = "incumbent"
"""The channel of the policy in service."""

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
        training = read_training_record(artifact)
        spec = _load(artifact)
        plan = _plan(config, opt_ml, folder, training, spec)
        incumbent = _incumbent(opt_ml, folder / "incumbent")
        recording = Recording(min(config.replay_episodes, plan.episodes // plan.num_builds), spec.policies)
        report, parity = evaluate(plan, lambda: _load(artifact).policies, run_id, stop, incumbent, recording)
        report["warnings"] += _of_the_build(training, folder)
        facts = _facts(plan, artifact, spec)
    opt_ml.model.mkdir(parents=True, exist_ok=True)
    replays = write_replays(recording, opt_ml.model, {"run_id": run_id, "seed": config.seed})
    report["replays"], report["warnings"] = replays.documents, [*report["warnings"], *replays.warnings]
    # Through the contracts: what the pipeline would refuse fails here, where the reason is in the log.
    checked = EvaluationReport.model_validate(report, strict=False)
    (opt_ml.model / "evaluation_report.json").write_text(checked.model_dump_json(indent=2), encoding="utf-8")
    (opt_ml.model / "parity.json").write_text(
        ParityRecord.model_validate_json(json.dumps(parity)).model_dump_json(), encoding="utf-8"
    )
    _write_page(opt_ml.model / "evaluation_report.html", checked, training, facts)
    write_manifest(opt_ml.model, run_id)
    log.info("mean return %.4f, 95 %% interval [%.4f, %.4f]", checked.mean_return, checked.ci95_low, checked.ci95_high)


def _plan(
    config: EvaluationJobConfig, opt_ml: OptMl, folder: Path, training: TrainingRecord, spec: ServedPolicy
) -> EvaluationConfig:
    """How the build is started, which takes unpacking it, and how much is played."""
    environment = config.environment
    program = job.prepare_build(opt_ml.channel_file("build", ".zip"), folder, environment.executable)
    asked = {} if config.success_return is None else dict.fromkeys(spec.policies, config.success_return)
    return EvaluationConfig(
        executable=program,
        episodes=config.episodes,
        seed=config.seed,
        num_builds=environment.num_builds or _number_of_builds(config.episodes),
        success_returns=training.solved_returns() | asked,
        arguments=environment.arguments,
        parameters=final_values(read_parameters(environment.model_dump(exclude_none=True)["parameters"])),
        time_scale=environment.time_scale,
        graphics=environment.graphics,
        startup_timeout_seconds=environment.startup_timeout_seconds,
        step_timeout_seconds=environment.step_timeout_seconds,
        log_file=folder / "player.log",
        run_as=job.player_user(folder, program),
    )


def _of_the_build(training: TrainingRecord, folder: Path) -> list[dict[str, str]]:
    """What it was seen to reach for, in training or now; each finding once."""
    trained = training.summary.get("warnings", ())
    before = [item for item in trained if isinstance(item, dict) and item.get("code") in FINDING_CODES]
    return list({item["code"]: item for item in (*before, *findings(kept(folder)))}.values())


def _number_of_builds(episodes: int) -> int:
    """A build for each core but one, which the policies have; and none that would play only a few episodes."""
    return max(1, min(usable_cores() - 1, episodes // EPISODES_PER_BUILD, MAX_BUILDS))


def _load(artifact: Path) -> ServedPolicy:
    try:
        return load_artifact(artifact)
    except InvalidArtifactError as error:
        raise ContainerError("InvalidArtifact", f"The artifact cannot be used: {error}.", "Train again.") from error


def _incumbent(opt_ml: OptMl, artifact: Path) -> Incumbent | None:
    """The policy in service, if the job was given it. What is wrong with it must not cost the new policy its report."""
    if not opt_ml.has_channel(_INCUMBENT):
        return None
    try:
        unpack(opt_ml.channel_file(_INCUMBENT, ".tar.gz"), artifact)
        served = load_artifact(artifact)
    except (ContainerError, InvalidArtifactError) as error:
        log.warning("the policy in service cannot be played: %s", error)
        return Incumbent(None, None, f"its artifact cannot be used: {error}")
    return Incumbent(served.version, lambda: load_artifact(artifact).policies)


def _facts(plan: EvaluationConfig, artifact: Path, spec: ServedPolicy) -> dict[str, str]:
    """What the page tells of build and policies, beside the report."""
    return {
        "program": plan.executable.name,
        "arguments": " ".join(plan.arguments) or "none",
        "environment parameters": ", ".join(f"{name} = {value}" for name, value in plan.parameters.items()) or "none",
        "time scale": f"{plan.time_scale:g}",
        "episodes asked for": f"{plan.episodes} of each behavior, once with the likeliest actions and once sampled",
        "behaviors": ", ".join(f"{name}: {_describe(policy)}" for name, policy in spec.policies.items()),
        **{f"model {path.name}": _describe_file(path) for path in sorted((artifact / "policies").glob("*.onnx"))},
    }


def _describe(policy: OnnxPolicy) -> str:
    """What goes in and out of a policy."""
    sensors = zip(policy.sensor_names, policy.observation_shapes, strict=True)
    observed = " and ".join(f"{name} {list(shape)}" for name, shape in sensors)
    parts = [f"{policy.continuous_size} continuous actions"] if policy.continuous_size else []
    parts += [f"discrete branches {list(policy.discrete_branches)}"] if policy.discrete_branches else []
    parts += [f"a memory of {policy.memory_size} numbers"] if policy.memory_size else []
    return f"sees {observed}; {', '.join(parts)}"


def _describe_file(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}…"


def _write_page(path: Path, report: EvaluationReport, training: TrainingRecord, facts: dict[str, str]) -> None:
    """The page for people. What goes wrong with it must not cost the run its policy."""
    try:
        films = {replay.film: (path.parent / replay.film).read_bytes() for replay in report.replays}
        path.write_text(render_report(report.model_dump(mode="json"), training, facts, films), encoding="utf-8")
    except Exception:  # drawing and templates may raise anything
        log.exception("there will be no %s", path.name)
        path.unlink(missing_ok=True)


def _read_config(opt_ml: OptMl) -> EvaluationJobConfig:
    try:
        return from_hyperparameters(EvaluationJobConfig, opt_ml.hyperparameters())
    except InvalidDocumentError as error:
        raise ContainerError("InvalidHyperparameters", f"{error}.", "Correct the named hyperparameters.") from error
