"""DecidePromotion: hold the gate, compare with what is in service, take the lease."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from pipeline.aws.objects import ObjectStore
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.evaluation import EvaluationReport, EvaluationWarning, ParityRecord
from pipeline.contracts.run import EvaluationSummary
from pipeline.contracts.states import JobPoll, Promotion, RunReference
from pipeline.errors import ArtifactInvalidError, BuildNotFoundError
from pipeline.rules import names
from pipeline.rules.promotion import InService, decide
from pipeline.steps import archives
from pipeline.steps.records import entered, now

_MAX_RESULTS_BYTES = 256 * 1024**2
"""DecidePromotion has the 512 MB of disk that every function has."""

_MOST_WARNINGS = 20

_REPORT, _PARITY, _PAGE = "evaluation_report.json", "parity.json", "evaluation_report.html"


def decide_promotion(
    run: RunReference, evaluation: JobPoll, state: str, objects: ObjectStore, runs: RunsTable, policies: PoliciesTable
) -> Promotion:
    """Keep report and parity record, decide, and record why.

    Raises:
        LeaseHeldError: another run is deploying this policy; try again later.
        ArtifactInvalidError: the evaluation left no readable report.
    """
    record = runs.update(run.run_id, lambda known: entered(known, state))
    report_key = names.run_key(run.run_id, f"evaluation/{_REPORT}")
    parity_key = names.run_key(run.run_id, f"evaluation/{_PARITY}")
    report, beside = _keep_results(run, evaluation, objects)
    artifacts = {_REPORT: report_key} | beside
    # The lease comes before the comparison: what is in service must not change between the two.
    policies.acquire_lease(run.policy, run.run_id, int(now().timestamp()))
    decision = decide(record.options, report, _in_service(run, objects, policies))
    if not decision.promote:
        policies.release_lease(run.policy, run.run_id)
    summary = EvaluationSummary(
        mean_return=report.mean_return,
        ci95_low=report.ci95_low,
        ci95_high=report.ci95_high,
        episodes=sum(behavior.deterministic.episodes for behavior in report.behaviors),
        warnings=_warnings(report),
    )
    runs.update(
        run.run_id,
        lambda known: entered(
            known, state, evaluation=summary, promotion=decision, artifacts=known.artifacts | artifacts
        ),
    )
    return Promotion(promote=decision.promote, report_key=report_key, parity_key=parity_key)


def _warnings(report: EvaluationReport) -> tuple[EvaluationWarning, ...]:
    """As many as a record may hold; those about the build itself first."""
    return tuple(sorted(report.warnings, key=lambda item: bool(item.behavior))[:_MOST_WARNINGS])


def _keep_results(
    run: RunReference, evaluation: JobPoll, objects: ObjectStore
) -> tuple[EvaluationReport, dict[str, str]]:
    """The report, and the keys of what there is beside it for people: its page and replays, by name."""
    if evaluation.model_artifact_key is None:
        raise ArtifactInvalidError(f"The job {evaluation.job_name} ended without results.", "Start the run again.")
    kept: dict[str, str] = {}
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        archives.unpack(objects, evaluation.model_artifact_key, folder, _MAX_RESULTS_BYTES)
        archives.check_manifest(folder, evaluation.model_artifact_key)
        try:
            report = EvaluationReport.model_validate_json((folder / _REPORT).read_bytes())
            parity = ParityRecord.model_validate_json((folder / _PARITY).read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactInvalidError(f"The evaluation's results cannot be read: {error}") from error
        for name, content_type in _files_for_people(report).items():
            if (folder / name).is_file():
                kept[name] = names.run_key(run.run_id, f"evaluation/{name}")
                objects.upload(folder / name, kept[name], content_type)
    objects.write_document(names.run_key(run.run_id, f"evaluation/{_REPORT}"), report)
    objects.write_document(names.run_key(run.run_id, f"evaluation/{_PARITY}"), parity)
    return report, kept


def _files_for_people(report: EvaluationReport) -> dict[str, str]:
    """Content types by the names of files that may lie beside the report."""
    films = {replay.film: "image/gif" for replay in report.replays}
    trajectories = {replay.trajectory: "application/octet-stream" for replay in report.replays}
    return {_PAGE: "text/html; charset=utf-8", **films, **trajectories}


def _in_service(run: RunReference, objects: ObjectStore, policies: PoliciesTable) -> InService | None:
    version = policies.version_in_service(run.policy)
    if version is None or version == run.run_id:
        return None
    try:
        stored = EvaluationReport.model_validate_json(objects.read(names.run_key(version, f"evaluation/{_REPORT}")))
    except (BuildNotFoundError, ValidationError):
        stored = None  # it was removed, or is of an older format
    return InService(version, stored)
