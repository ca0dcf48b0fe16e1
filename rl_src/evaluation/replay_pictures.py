"""What an episode looks like, decision by decision: the build's sketches, else its camera, else a chart of numbers."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rl_src.envs.specs import BehaviorSpec, ObservationSpec
from rl_src.evaluation.sketches import InvalidSketchError, Sketch
from rl_src.evaluation.trajectories import Kept, Trajectory, unpacked

LONGER_SIDE = 360
"""Pixels of a picture, about: a small camera's are enlarged a whole number of times."""

PAPER, INK, QUIET = "#ffffff", "#1d2129", "#8a94a6"
_COLORS = ("#1b62c4", "#b8500d", "#2b7a3d", "#8b3fc7", "#c22f5e", "#0f7f86", "#7a6a00", "#555f6e")
_DARK, _BRIGHT = np.array([27, 58, 107]), np.array([242, 193, 78])
_CAPTION_HEIGHT = 24
_CAPTION_LETTERS = 13
_CHART_WIDTH, _PANEL_HEIGHT, _MARGIN = 360, 72, 16
_MAX_ROWS = 64
_MAX_LINES = 8


class Shot(NamedTuple):
    """A picture of an episode. `decisions`: how many had been made."""

    decisions: int
    draw: Callable[[], Image.Image]


class Source(NamedTuple):
    """Where all pictures come from: "sketch", "camera" or "chart"; `problem`: why from no better one."""

    name: str
    shots: list[list[Shot]]
    problem: str | None = None


def source_of(spec: BehaviorSpec, episodes: Sequence[Trajectory]) -> Source:
    """The best that there is for all of the episodes."""
    problem = None
    if all(episode.sketches for episode in episodes):
        try:
            return Source("sketch", _sketched(episodes))
        except InvalidSketchError as error:
            problem = f"The build's sketch cannot be drawn: {error}."
    index = _camera(spec.observations)
    if index is not None:
        return Source("camera", [list(_filmed(episode, index)) for episode in episodes], problem)
    return Source("chart", [list(_charted(spec, episode)) for episode in episodes], problem)


def captioned(picture: Image.Image, text: str) -> Image.Image:
    """With a line below it."""
    whole = Image.new("RGB", (max(picture.width, 240), picture.height + _CAPTION_HEIGHT), PAPER)
    whole.paste(picture, ((whole.width - picture.width) // 2, 0))
    place = (whole.width / 2, picture.height + _CAPTION_HEIGHT / 2)
    ImageDraw.Draw(whole).text(place, text, INK, ImageFont.load_default(_CAPTION_LETTERS), anchor="mm")
    return whole


def _sketched(episodes: Sequence[Trajectory]) -> list[list[Shot]]:
    shots, sizes = [], set()
    for episode in episodes:
        read = [(decisions, Sketch.read(text)) for decisions, text in episode.sketches]
        sizes |= {(sketch.width, sketch.height) for _, sketch in read}
        shots.append([Shot(decisions, partial(sketch.draw, LONGER_SIDE)) for decisions, sketch in read])
    if len(sizes) > 1:
        raise InvalidSketchError("its size changes")
    return shots


def _camera(sensors: Sequence[ObservationSpec]) -> int | None:
    """A camera before a grid sensor, the larger before the smaller."""
    pictures = [index for index, sensor in enumerate(sensors) if sensor.is_image]
    size = {index: (sensors[index].may_be_camera, np.prod(sensors[index].shape[1:])) for index in pictures}
    return max(pictures, key=lambda index: size[index], default=None)


def _filmed(episode: Trajectory, index: int) -> Iterator[Shot]:
    for decisions, seen in enumerate(episode.observations):
        yield Shot(decisions, partial(picture, seen[index]))


def picture(values: Kept) -> Image.Image:
    """Of a camera or grid sensor [C, H, W]: grey, in colour, or a colour for each channel that is brightest."""
    shades = unpacked(values)
    channels, height, width = shades.shape
    if channels == 1:
        pixels = np.repeat(shades, 3, axis=0)
    elif channels == 3:
        pixels = shades
    else:
        colors = np.array([_rgb(_COLORS[channel % len(_COLORS)]) for channel in range(channels)]) / 255
        chosen = colors[shades.argmax(axis=0)]  # [H, W, 3]
        pixels = np.where(shades.max(axis=0)[..., None] > 0, chosen, 1.0).transpose(2, 0, 1)
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0), "RGB")
    longer = max(width, height)
    if longer > LONGER_SIDE:
        return image.resize((max(1, width * LONGER_SIDE // longer), max(1, height * LONGER_SIDE // longer)))
    times = LONGER_SIDE // longer
    return image.resize((width * times, height * times), Image.Resampling.NEAREST)


def _charted(spec: BehaviorSpec, episode: Trajectory) -> Iterator[Shot]:
    """The whole episode as three panels, and where it is now."""
    base = _chart(spec, episode)
    for decisions in range(len(episode.observations)):
        yield Shot(decisions, partial(_with_cursor, base, decisions / episode.length))


def _chart(spec: BehaviorSpec, episode: Trajectory) -> Image.Image:
    panels = (
        ("what it sees: a row a number, bright = high", _heat(episode)),
        ("what it does", _lines(_actions(spec, episode))),
        ("return so far", _lines(np.concatenate([[0.0], np.cumsum(episode.rewards)])[None, :])),
    )
    chart = Image.new("RGB", (_CHART_WIDTH, len(panels) * (_PANEL_HEIGHT + _MARGIN)), PAPER)
    pencil, font = ImageDraw.Draw(chart), ImageFont.load_default(_CAPTION_LETTERS - 2)
    for number, (title, panel) in enumerate(panels):
        top = number * (_PANEL_HEIGHT + _MARGIN)
        pencil.text((2, top + _MARGIN / 2), title, QUIET, font, anchor="lm")
        chart.paste(panel, (0, top + _MARGIN))
    return chart


def _with_cursor(chart: Image.Image, share: float) -> Image.Image:
    shown = chart.copy()
    at = round(share * (chart.width - 1))
    ImageDraw.Draw(shown).line((at, _MARGIN, at, chart.height), INK, 2)
    return shown


def _heat(episode: Trajectory) -> Image.Image:
    """A column for each observation, a row for each number that is not a picture's."""
    flat = [np.concatenate([unpacked(sensor).reshape(-1) for sensor in seen]) for seen in episode.observations]
    values = np.stack(flat, axis=1)  # [numbers, T + 1]
    values = values[np.linspace(0, len(values) - 1, min(len(values), _MAX_ROWS)).astype(int)]
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    shares = (values - low) / np.where(high > low, high - low, 1.0)
    pixels = (_DARK + (_BRIGHT - _DARK) * shares[..., None]).astype(np.uint8)
    return Image.fromarray(pixels, "RGB").resize((_CHART_WIDTH, _PANEL_HEIGHT), Image.Resampling.NEAREST)


def _actions(spec: BehaviorSpec, episode: Trajectory) -> NDArray[np.float64]:
    """Series over the decisions, each within [-1, 1]: continuous actions, then the choice of each branch."""
    continuous = np.clip(np.stack(episode.continuous, axis=1), -1, 1)  # [C, T]
    choices = np.stack(episode.discrete, axis=1)  # [branches, T]
    most = np.maximum(1, np.array(spec.actions.discrete_branches)[:, None] - 1) if len(choices) else 1
    return np.concatenate([continuous, 2 * choices / most - 1])[:_MAX_LINES].astype(np.float64)


def _lines(series: NDArray[np.float64]) -> Image.Image:
    """Steps: each value holds until the next."""
    panel = Image.new("RGB", (_CHART_WIDTH, _PANEL_HEIGHT), "#f2f4f7")
    pencil = ImageDraw.Draw(panel)
    low, high = float(series.min()), float(series.max())
    span = high - low or 1.0
    edges = np.linspace(0, _CHART_WIDTH - 1, series.shape[1] + 1)
    for number, values in enumerate(series):
        heights = (_PANEL_HEIGHT - 9) * (1 - (values - low) / span) + 4
        points = [(edge, height) for at, height in enumerate(heights) for edge in (edges[at], edges[at + 1])]
        pencil.line(points, _COLORS[number % len(_COLORS)], 2)
    return panel


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
