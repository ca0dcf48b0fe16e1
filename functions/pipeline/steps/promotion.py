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
    page_key = names.run_key(run.run_id, f"evaluation/{_PAGE}")
    report, has_page = _keep_results(evaluation, objects, report_key, parity_key, page_key)
    artifacts = {_REPORT: report_key} | ({_PAGE: page_key} if has_page else {})
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
    evaluation: JobPoll, objects: ObjectStore, report_key: str, parity_key: str, page_key: str
) -> tuple[EvaluationReport, bool]:
    """The report, and whether there is a page of it for people."""
    if evaluation.model_artifact_key is None:
        raise ArtifactInvalidError(f"The job {evaluation.job_name} ended without results.", "Start the run again.")
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        archives.unpack(objects, evaluation.model_artifact_key, folder, _MAX_RESULTS_BYTES)
        archives.check_manifest(folder, evaluation.model_artifact_key)
        try:
            report = EvaluationReport.model_validate_json((folder / _REPORT).read_bytes())
            parity = ParityRecord.model_validate_json((folder / _PARITY).read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactInvalidError(f"The evaluation's results cannot be read: {error}") from error
        has_page = (folder / _PAGE).is_file()
        if has_page:
            objects.upload(folder / _PAGE, page_key, "text/html; charset=utf-8")
    objects.write_document(report_key, report)
    objects.write_document(parity_key, parity)
    return report, has_page


def _in_service(run: RunReference, objects: ObjectStore, policies: PoliciesTable) -> InService | None:
    version = policies.version_in_service(run.policy)
    if version is None or version == run.run_id:
        return None
    try:
        stored = EvaluationReport.model_validate_json(objects.read(names.run_key(version, f"evaluation/{_REPORT}")))
    except (BuildNotFoundError, ValidationError):
        stored = None  # it was removed, or is of an older format
    return InService(version, stored)
