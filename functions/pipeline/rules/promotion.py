"""Whether an evaluated policy is deployed."""

from pipeline.contracts.evaluation import EvaluationReport
from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import PromotionDecision


def decide(options: RunOptions, report: EvaluationReport, in_service: EvaluationReport | None) -> PromotionDecision:
    """Deploy unless the request forbids it, the gate is missed, or the policy in service is clearly better.

    Clearly better means that its mean return's 95 % confidence interval lies wholly above ours: a policy as good as the
    one in service replaces it.
    """
    mean = report.mean_return
    if not options.endpoint.deploy:
        return PromotionDecision(promote=False, reasons=("The request says endpoint.deploy = false.",))
    gate = options.evaluation.min_mean_return
    if gate is not None and mean < gate:
        return PromotionDecision(
            promote=False, reasons=(f"The mean return {mean:.4g} is below evaluation.min_mean_return {gate:.4g}.",)
        )
    if in_service is not None and in_service.ci95_low > report.ci95_high:
        return PromotionDecision(
            promote=False,
            reasons=(
                f"The policy in service is better: its mean return {in_service.mean_return:.4g} "
                f"[{in_service.ci95_low:.4g}, {in_service.ci95_high:.4g}] lies above {mean:.4g} "
                f"[{report.ci95_low:.4g}, {report.ci95_high:.4g}].",
            ),
        )
    gate_words = (
        f"The mean return {mean:.4g} reaches the gate {gate:.4g}."
        if gate is not None
        else (f"The mean return is {mean:.4g}; the request sets no gate.")
    )
    compared = (
        "No policy is in service yet."
        if in_service is None
        else f"It is not worse than the policy in service ({in_service.mean_return:.4g})."
    )
    return PromotionDecision(promote=True, reasons=(gate_words, compared))
