"""Numbers and outcomes in words, the same in every view."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from gamedojo.models import Progress, Run


def return_text(value: float | None) -> str:
    """An episode return with three decimals; a dash while there is none."""
    return "-" if value is None else f"{value:,.3f}"


def number_text(value: float) -> str:
    """Any metric: whole numbers whole, others with four digits that count."""
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:,.4g}"


def usd_text(value: float) -> str:
    """An amount of money; less than ten cents with four decimals."""
    return f"{value:,.2f} USD" if value == 0 or value >= 0.1 else f"{value:.4f} USD"


def duration_text(seconds: float) -> str:
    """42.1 s, 3:07 or 1:02:33."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size_text(size_bytes: float) -> str:
    """A size in the largest unit that leaves at least one."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def steps_text(progress: Progress) -> str:
    """10,240 of 50,000, or without the limit if there is none."""
    if progress.env_steps is None:
        return "-"
    limit = f" of {progress.env_steps_limit:,}" if progress.env_steps_limit else ""
    return f"{progress.env_steps:,}{limit}"


def seconds_left(progress: Progress, env_steps_per_second: float | None = None) -> float | None:
    """How long training takes at this speed, or at its latest; it may end sooner, by another stop rule."""
    speed = env_steps_per_second or progress.env_steps_per_second
    if not (progress.env_steps and progress.env_steps_limit and speed):
        return None
    return max(0.0, progress.env_steps_limit - progress.env_steps) / speed


_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-~=+*#"


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """A curve in one line of at most `width` characters, from the smallest value to the largest.

    More values than characters are averaged, neighbours together.
    """
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)]
    heights = [fmean(values[begin:end]) for begin, end in pairwise(edges)]
    low, high = min(heights), max(heights)
    bars = _ASCII_BARS if ascii_only else _BARS
    if low == high:
        return bars[len(bars) // 2] * count
    return "".join(bars[round((height - low) / (high - low) * (len(bars) - 1))] for height in heights)


def outcome_text(run: Run) -> str:
    """What came of a final run, in a few lines."""
    if run.failure is not None:
        where = f" in {run.failure.state}" if run.failure.state else ""
        lines = [f"Failed{where} ({run.failure.code}): {run.failure.cause}"]
        if run.failure.remedy:
            lines.append(f"Remedy: {run.failure.remedy}")
        return "\n".join(lines)
    if run.has_failed:
        return "Failed; the record does not say why. Look at the run's log."
    if run.was_cancelled:
        return "Cancelled. What the run had started is stopped; what it had written stays."
    return "\n".join([*_evaluation_lines(run), *_service_lines(run)]) or f"Ended as {run.status}."


def _evaluation_lines(run: Run) -> list[str]:
    evaluation = run.evaluation
    if evaluation is None:
        return []
    interval = ""
    if evaluation.ci95_low is not None and evaluation.ci95_high is not None:
        interval = f" (95 % interval {return_text(evaluation.ci95_low)} to {return_text(evaluation.ci95_high)})"
    episodes = f" over {evaluation.episodes:,} episodes" if evaluation.episodes else ""
    return [f"Evaluated mean return {return_text(evaluation.mean_return)}{interval}{episodes}."]


def _service_lines(run: Run) -> list[str]:
    if run.status == "KEPT" or (run.promotion is not None and not run.promotion.promote):
        reasons = " ".join(run.promotion.reasons) if run.promotion else ""
        return [f"Not deployed. {reasons}".strip()]
    if run.endpoint is not None:
        promoted = [f"Promoted. {' '.join(run.promotion.reasons)}"] if run.promotion else []
        return [*promoted, f"The policy {run.policy} is in service at the endpoint {run.endpoint.name}."]
    return []
