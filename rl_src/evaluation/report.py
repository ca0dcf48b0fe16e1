"""`evaluation_report.html`: one file that needs no network, for people.

Everything that came from a build or a request (names of behaviors, arguments, parameters) is escaped by the template
engine; the page's content security policy forbids scripts and loads on top of that.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from rl_src.evaluation import plots
from rl_src.evaluation.training_record import TrainingRecord

MAX_PLOTTED_ACTIONS = 8
"""Branches and continuous actions that get a picture."""

MAX_SETTINGS = 400
"""Lines of the configuration's table; there are some 30 for a behavior."""

_SHOWN = {
    "sketch": "as the build draws itself",
    "camera": "as the agent sees it",
    "chart": "as numbers, for the build has no camera and draws no sketch",
}

_SERIES = {"deterministic": "likeliest actions", "stochastic": "sampled actions"}


def render_report(
    report: Mapping[str, Any],
    training: TrainingRecord,
    facts: Mapping[str, str],
    films: Mapping[str, bytes] = MappingProxyType({}),
) -> str:
    """The page.

    Args:
        report: `contracts.evaluation.EvaluationReport` as a document.
        training: what the artifact tells of its training.
        facts: what else is to be known of build and policy: label to value.
        films: of the report's replays, by name.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": number_text, "share": _share_text}
    return templates.get_template("report_template.html").render(
        report=report,
        headline=_headline(report),
        replays=[_replay(item, films[item["film"]]) for item in report.get("replays", ()) if item["film"] in films],
        comparison=_comparison(report),
        sections=[
            _section(f"behavior{index}", evaluation, training) for index, evaluation in enumerate(report["behaviors"])
        ],
        settings=list(_flat(training.config))[:MAX_SETTINGS],
        training_warnings=[item for item in training.summary.get("warnings", ()) if isinstance(item, Mapping)],
        facts=facts,
        series=_SERIES,
    )


def number_text(value: float) -> str:
    """At least four significant digits and no exponent but for very small numbers; thousands are separated."""
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _share_text(value: float) -> str:
    return f"{100 * value:.1f} %"


def _headline(report: Mapping[str, Any]) -> str:
    """The result in words, with what the interval means."""
    mean, low, high = (number_text(report[name]) for name in ("mean_return", "ci95_low", "ci95_high"))
    several = len(report["behaviors"]) > 1
    what = "The mean of the behaviors' mean returns is" if several else "The mean return is"
    if report["ci95_low"] == report["ci95_high"]:
        return f"{what} {mean}, and every episode gave the same." if not several else f"{what} {mean}."
    episodes = number_text(sum(item["deterministic"]["episodes"] for item in report["behaviors"]))
    return (
        f"{what} {mean} over {episodes} episodes. An interval found in this way holds the true mean in 95 of 100 "
        f"evaluations; here it reaches from {low} to {high}."
    )


def _comparison(report: Mapping[str, Any]) -> str:
    """The policy in service beside this one, in a line; "" if there was none."""
    found = report.get("incumbent")
    if found is None:
        return ""
    whose = "The policy in service" + (f" ({found['run_id']})" if found["run_id"] else "")
    result = found["result"]
    if result is None:
        return f"{whose} was not played beside it: {found['not_comparable']}."
    mean, low, high = (number_text(result["difference"][name]) for name in ("mean", "ci95_low", "ci95_high"))
    word = "more" if result["difference"]["ci95_low"] > 0 else "less" if result["difference"]["ci95_high"] < 0 else ""
    verdict = f"this one earns surely {word}" if word else "neither earns surely more"
    return (
        f"{whose} has a mean return of {number_text(result['mean_return'])} over {number_text(result['episodes'])} "
        f"episodes with the same seeds: {verdict}. The difference is {mean}, its 95 % interval {low} to {high}."
    )


def _replay(replay: Mapping[str, Any], film: bytes) -> dict[str, Any]:
    """A film and its first picture, as addresses that hold them, and what they show in words."""
    episodes = replay["episodes"]
    returns = ", ".join(number_text(episode["episode_return"]) for episode in episodes)
    several = f"{len(episodes)} episodes, with returns" if len(episodes) > 1 else "One episode, with the return"
    every = replay["decisions_per_frame"]
    return {
        "behavior": replay["behavior"],
        "moving": _address("image/gif", film),
        "still": _address("image/png", _first_picture(film)),
        "width": replay["width"],
        "height": replay["height"],
        "told": f"{several} {returns}; {_SHOWN[replay['shows']]}.",
        "pace": "" if every == 1 else f"One picture for {every} decisions.",
        "is_cut": any(episode["ending"] is None for episode in episodes),
        "trajectory": replay["trajectory"],
    }


def _first_picture(film: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(film), formats=["GIF"]) as image:
        image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _address(content_type: str, content: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode('ascii')}"


def _section(name: str, evaluation: Mapping[str, Any], training: TrainingRecord) -> dict[str, Any]:
    """One behavior's part of the page."""
    behavior = evaluation["behavior"]
    played = {label: evaluation[key] for key, label in _SERIES.items() if evaluation.get(key) is not None}
    lines = [line for line in training.progress if line.get("behavior", behavior) == behavior]
    return {
        "behavior": behavior,
        "played": played,
        "pictures": [
            (title, Markup(svg))  # noqa: S704 - drawn by `plots`, which escapes what it writes
            for title, svg in _pictures(name, behavior, played, lines)
            if svg
        ],
    }


def _pictures(
    name: str, behavior: str, played: Mapping[str, Mapping[str, Any]], lines: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Title and SVG (which is empty where there is nothing to show)."""
    yield "Training", plots.learning_curve(f"{name}-curve", f"Learning curve of {behavior}", lines)
    for key, title, quantity in (
        ("return_histogram", "Returns", "episode return"),
        ("length_histogram", "Episode lengths", "agent decisions"),
    ):
        series = {label: found[key] for label, found in played.items() if found.get(key)}
        if series:
            picture = plots.histograms(f"{name}-{key}", f"{title} of {behavior}, a histogram", quantity, series)
            yield title, picture
    used = {label: found["action_use"] for label, found in played.items() if found.get("action_use")}
    for kind, draw, word in (("discrete", plots.choices, "Branch"), ("continuous", plots.spread, "Continuous action")):
        number = min((len(use[kind]) for use in used.values()), default=0)
        for index in range(min(number, MAX_PLOTTED_ACTIONS)):
            title = f"{word} {index}"
            shares = {label: use[kind][index] for label, use in used.items()}
            yield title, draw(f"{name}-{kind}{index}", f"{title} of {behavior}: how often it is taken", shares)


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted names and values; what is not set is left out."""
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            if value:
                yield name, ", ".join(str(item) for item in value)
        elif value is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)
