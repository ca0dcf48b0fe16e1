"""The report's pictures, as SVG elements that stand in an HTML page.

matplotlib draws them; afterwards its colours become the page's CSS variables, so that they follow a dark or a light
screen, and every id gets the picture's name before it, because ids are one space in a page.
"""

import io
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, GRID, FIRST, SECOND, THIRD = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "--ink", GRID: "--line", FIRST: "--first", SECOND: "--second", THIRD: "--third"}

MAX_POINTS = 500
"""Of a learning curve; a longer one is thinned."""

MAX_CHOICES = 24
"""Of a branch that are drawn; the table beside it has more."""

_WIDTH_INCHES = 5.0  # 360 points: a phone's width, so that letters keep their size there

_STYLE: dict[Any, Any] = {  # by matplotlib's names of settings
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "figure.facecolor": "none",
}

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"


def learning_curve(name: str, title: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """Mean return with its range, over agent decisions; empty where no episode has ended.

    Args:
        name: of the picture; unique in the page.
        title: what a screen reader says.
        lines: of progress.jsonl, of one behavior.
    """
    shown = [line for line in lines if _is_number(line.get("mean_return")) and _is_number(line.get("env_steps"))]
    if not shown:
        return ""
    every = math.ceil(len(shown) / MAX_POINTS)
    shown = [line for index, line in enumerate(shown) if index % every == 0 or index == len(shown) - 1]

    def draw(axes: Axes) -> None:
        steps = [line["env_steps"] for line in shown]
        ranged = [line for line in shown if _is_number(line.get("min_return")) and _is_number(line.get("max_return"))]
        axes.fill_between(
            [line["env_steps"] for line in ranged],
            [line["min_return"] for line in ranged],
            [line["max_return"] for line in ranged],
            color=FIRST,
            alpha=0.15,
            linewidth=0,
            label="range of recent episodes",
        )
        marker = "o" if len(shown) < 3 else ""
        axes.plot(steps, [line["mean_return"] for line in shown], color=FIRST, marker=marker, label="mean return")
        axes.set(xlabel="agent decisions", ylabel="episode return")
        axes.xaxis.set_major_formatter(lambda value, _: _short(value))
        axes.grid(alpha=0.6)

    return _picture(name, title, draw)


def histograms(name: str, title: str, quantity: str, series: Mapping[str, Mapping[str, Any]]) -> str:
    """Shares of episodes, one outline a series.

    Args:
        name: of the picture; unique in the page.
        title: what a screen reader says.
        quantity: what is counted, for the axis.
        series: label to `contracts.evaluation.Histogram`.
    """
    narrowest = min(found["edges"][1] - found["edges"][0] for found in series.values())

    def draw(axes: Axes) -> None:
        for (label, found), color in zip(series.items(), (FIRST, SECOND), strict=False):
            whole = max(1, sum(found["counts"]))
            shares = [count / whole for count in found["counts"]]
            edges = found["edges"]
            if len(shares) == 1:  # one value, whose bin is as wide as it likes
                middle = (edges[0] + edges[1]) / 2
                edges = [middle - narrowest / 2, middle + narrowest / 2]
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.25)
            axes.stairs(shares, edges, color=color, linewidth=1.5, label=label)
        axes.set(xlabel=quantity, ylabel="share of episodes", ylim=(0, None))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", alpha=0.6)

    return _picture(name, title, draw)


def choices(name: str, title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Bars: the share of each choice of one branch, side by side for each series."""

    def draw(axes: Axes) -> None:
        width = 0.8 / len(series)
        for index, ((label, shares), color) in enumerate(zip(series.items(), (FIRST, SECOND), strict=False)):
            places = [choice + (index - (len(series) - 1) / 2) * width for choice in range(len(shares[:MAX_CHOICES]))]
            axes.bar(places, shares[:MAX_CHOICES], width, color=color, label=label)
        axes.set(xlabel="choice", ylabel="share of decisions", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", alpha=0.6)

    return _picture(name, title, draw)


def spread(name: str, title: str, series: Mapping[str, Sequence[float]]) -> str:
    """How one continuous action is spread over [-1, 1]."""

    def draw(axes: Axes) -> None:
        for (label, shares), color in zip(series.items(), (FIRST, SECOND), strict=False):
            edges = [-1 + 2 * index / len(shares) for index in range(len(shares) + 1)]
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.25)
            axes.stairs(shares, edges, color=color, linewidth=1.5, label=label)
        axes.set(xlabel="action", ylabel="share of decisions", xlim=(-1, 1), ylim=(0, None))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", alpha=0.6)

    return _picture(name, title, draw)


def _picture(name: str, title: str, draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH_INCHES, 2.7), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.set_axisbelow(True)
        draw(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _for_a_page(buffer.getvalue(), name, title)


def _for_a_page(text: str, name: str, title: str) -> str:
    """Matplotlib's SVG file as an element of an HTML page: no header, no namespaces, own ids, the page's colours."""
    root = ElementTree.fromstring(text)  # noqa: S314 - matplotlib wrote it just now
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            element.set("href" if key == _XLINK_HREF else key, _own(key, value, name))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", title)
    root.set("class", "plot")
    written = ElementTree.tostring(root, encoding="unicode")
    for color, variable in _VARIABLES.items():
        written = written.replace(color, f"var({variable})")
    return written


def _own(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == _XLINK_HREF:
        return value.replace("#", f"#{name}-", 1)
    return re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
