"""Commands about what was measured: metrics of a training, report of an evaluation."""

from typing import TYPE_CHECKING, Annotated

import typer

from gamedojo.cli.arguments import AsJson, RunId, open_client
from gamedojo.cli.output import err, out, print_json, say
from gamedojo.texts import number_text, return_text, sparkline

if TYPE_CHECKING:
    from rich.table import Table

    from gamedojo.models import BehaviorSeries, EvaluationReport, PlayedEpisodes

CURVE_WIDTH = 40


def metrics(
    run_id: RunId,
    behavior: Annotated[str, typer.Option(help="Only this behavior.")] = "",
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric, as mean_return; may be repeated.")] = None,
    points: Annotated[int, typer.Option(min=2, max=2000, help="At most so many, evenly chosen.")] = 500,
    as_json: AsJson = False,
) -> None:
    """Show how a training went, or goes: a curve of every metric, for each behavior."""
    with open_client() as client:
        series = client.metrics(run_id, behavior=behavior, metrics=metric or (), points=points)
    if as_json:
        print_json(series)
    elif not series.behaviors:
        err().print("The training has told nothing yet.")
    for one in () if as_json else series.behaviors:
        say(f"{one.behavior}, {one.iterations:,} iterations")
        out().print(_series_table(one))


def report(run_id: RunId, as_json: AsJson = False) -> None:
    """Show what the evaluation found: episode returns of each behavior, with the mean's 95 % interval."""
    with open_client() as client:
        found = client.report(run_id)
    if as_json:
        print_json(found)
        return
    interval = f"{return_text(found.ci95_low)} to {return_text(found.ci95_high)}"
    say(f"Mean return {return_text(found.mean_return)} (95 % interval {interval})")
    out().print(_report_table(found))
    for warning in found.warnings:
        say(f"{warning.behavior}: {warning.cause} {warning.remedy}".rstrip(), err())


def _series_table(series: "BehaviorSeries") -> "Table":
    from rich.table import Table

    console = out()
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("curve", no_wrap=True)
    for name in ("first", "last", "least", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    for metric in sorted(series.columns):
        told = series.told(metric)
        if told:
            curve = sparkline(told, min(CURVE_WIDTH, max(8, console.width - 64)), ascii_only=console.options.ascii_only)
            table.add_row(metric, curve, *map(number_text, (told[0], told[-1], min(told), max(told))))
    return table


def _report_table(report: "EvaluationReport") -> "Table":
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("behavior")
    table.add_column("actions")
    for name in ("episodes", "mean return", "95 % interval", "least", "most", "length", "success"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.behaviors:
        table.add_row(one.behavior, "likeliest", *_episodes(one.deterministic))
        if one.stochastic is not None:
            table.add_row("", "sampled", *_episodes(one.stochastic))
    return table


def _episodes(played: "PlayedEpisodes") -> tuple[str, ...]:
    return (
        f"{played.episodes:,}",
        return_text(played.mean_return),
        f"{return_text(played.ci95_low)} to {return_text(played.ci95_high)}",
        return_text(played.min_return),
        return_text(played.max_return),
        f"{played.mean_length:,.1f}",
        "-" if played.success is None else f"{played.success.rate:.1%}",
    )
