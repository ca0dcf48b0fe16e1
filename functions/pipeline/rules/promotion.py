"""Whether an evaluated policy is deployed."""

from dataclasses import dataclass

from pipeline.contracts.evaluation import EvaluationReport, IncumbentComparison, ReturnDifference
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import PromotionDecision


@dataclass(frozen=True)
class InService:
    """What is in service now. `report`: of its own evaluation, in its own run; None where there is none any more."""

    run_id: str
    report: EvaluationReport | None


@dataclass(frozen=True)
class _Verdict:
    promote: bool
    reason: str
    difference: ReturnDifference | None = None


def decide(options: RunOptions, report: EvaluationReport, in_service: InService | None) -> PromotionDecision:
    """Deploy unless the request forbids it, the gate is missed, or what is in service stands its ground.

    Whether it does is decided by `evaluation.promote_if` and the difference that the evaluation job found between the
    two on the same build and seeds. If another policy has come into service since that job began, the two evaluations'
    own intervals are compared; their episodes are of different seeds and, it may be, of different builds.

    Args:
        options: the run's.
        report: of the new policy's evaluation.
        in_service: what is in service at this moment; None: nothing but, perhaps, this very run's policy.
    """
    if not options.endpoint.deploy:
        return PromotionDecision(promote=False, reasons=("The request says endpoint.deploy = false.",))
    gate, mean = options.evaluation.min_mean_return, report.mean_return
    if gate is not None and mean < gate:
        return PromotionDecision(
            promote=False, reasons=(f"The mean return {mean:.4g} is below evaluation.min_mean_return {gate:.4g}.",)
        )
    gate_words = (
        f"The mean return {mean:.4g} reaches the gate {gate:.4g}."
        if gate is not None
        else f"The mean return is {mean:.4g}; the request sets no gate."
    )
    if in_service is None:
        return PromotionDecision(promote=True, reasons=(gate_words, "No policy is in service yet."))
    verdict = _against(in_service, options.evaluation.promote_if, report)
    return PromotionDecision(
        promote=verdict.promote,
        reasons=(gate_words, verdict.reason) if verdict.promote else (verdict.reason,),
        compared_with=in_service.run_id,
        difference=verdict.difference,
    )


def _against(in_service: InService, promote_if: str, report: EvaluationReport) -> _Verdict:
    """What the comparison says."""
    if promote_if == "always":
        return _Verdict(True, "The request says evaluation.promote_if = always: it was not compared.")
    comparison = report.incumbent
    if comparison is not None and comparison.run_id == in_service.run_id:
        return _by_difference(comparison, promote_if)
    return _by_stored_report(in_service.report, promote_if, report)


def _by_difference(comparison: IncumbentComparison, promote_if: str) -> _Verdict:
    """Both have played the same build with the same seeds, or could not."""
    if comparison.result is None:
        return _Verdict(True, f"It cannot be compared with the policy in service: {comparison.not_comparable}.")
    found = comparison.result.difference
    figures = f"{found.mean:.4g} [{found.ci95_low:.4g}, {found.ci95_high:.4g}]"
    if found.ci95_low > 0:
        return _Verdict(True, f"It is better than the policy in service by {figures} on the same seeds.", found)
    if found.ci95_high < 0:
        return _Verdict(False, f"The policy in service is better: difference {figures} on the same seeds.", found)
    if promote_if == "not_worse":
        return _Verdict(
            True, f"It is not clearly worse than the policy in service: difference {figures} on the same seeds.", found
        )
    # Where every episode of both gives the same, more of them would tell nothing new.
    remedy = "" if found.ci95_low == found.ci95_high else "raise evaluation.episodes, or "
    return _Verdict(
        False,
        f"It is not clearly better than the policy in service: difference {figures} on the same seeds; "
        f"{remedy}say evaluation.promote_if = not_worse.",
        found,
    )


def _by_stored_report(stored: EvaluationReport | None, promote_if: str, report: EvaluationReport) -> _Verdict:
    """Only their own evaluations are known, on episodes of different seeds."""
    if stored is None:
        return _Verdict(True, "The policy in service has left no evaluation to compare with.")
    figures = (
        f"{report.mean_return:.4g} [{report.ci95_low:.4g}, {report.ci95_high:.4g}] against "
        f"{stored.mean_return:.4g} [{stored.ci95_low:.4g}, {stored.ci95_high:.4g}] in its own evaluation"
    )
    if report.ci95_low > stored.ci95_high:
        return _Verdict(True, f"It is better than the policy in service: {figures}.")
    if stored.ci95_low > report.ci95_high:
        return _Verdict(False, f"The policy in service is better: {figures}.")
    if promote_if == "not_worse":
        return _Verdict(True, f"It is not clearly worse than the policy in service: {figures}.")
    return _Verdict(
        False,
        f"It is not clearly better than the policy in service: {figures}; "
        "start the run again, which plays the two on the same seeds, or say evaluation.promote_if = not_worse.",
    )
