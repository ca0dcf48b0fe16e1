"""Recorded episodes as files: a film for people, and what was seen and done for programs."""

import io
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from rl_src.evaluation.recording import BehaviorRecording, Recording
from rl_src.evaluation.replay_pictures import Shot, captioned, source_of
from rl_src.evaluation.trajectories import Trajectory, write_trajectories

MAX_FRAMES = 180
"""Of all episodes of a behavior; longer ones show every second decision, or every third, …"""

MAX_FILM_BYTES = 2 * 1024**2
"""The report holds the film, as a text a third larger."""

FILM_SUFFIX, TRAJECTORY_SUFFIX = ".replay.gif", ".trajectory.npz"

_QUICKEST_MS, _SLOWEST_MS, _EPISODE_MS, _END_MS = 100, 400, 4_000, 1_200
_COLORS = 128
_PALETTE_FRAMES = 12
_TRIES = 5

log = logging.getLogger(__name__)


class Replays(NamedTuple):
    """What was made: `documents` as `contracts.evaluation.Replay`, and warnings of the report."""

    documents: list[dict[str, Any]]
    warnings: list[dict[str, str]]


class _Frame(NamedTuple):
    picture: Image.Image
    milliseconds: int


def write_replays(recording: Recording, folder: Path, facts: Mapping[str, Any]) -> Replays:
    """Write two files for each behavior of which an episode was recorded.

    Args:
        recording: when its episodes are over.
        folder: where to.
        facts: what else the trajectory's header tells.

    Returns:
        What cannot be made is missing, and told as a warning: nothing is raised.
    """
    made = Replays([], [])
    if recording.failure is not None:
        made.warnings.append(_warning("", f"No replay was recorded: {recording.failure}."))
    for number, (name, behavior) in enumerate(recording.behaviors.items()):
        if behavior.spec is None or not behavior.episodes:
            continue
        try:
            document, problem = _write(_file_name(name, number), behavior, folder, facts)
        except Exception as error:  # drawing and packing may raise anything
            log.exception("there will be no replay of %s", name)
            made.warnings.append(_warning(name, f"Its replay could not be made: {type(error).__name__}: {error}."))
            continue
        made.documents.append({"behavior": name, **document})
        if problem is not None:
            made.warnings.append(_warning(name, problem))
    return made


def _write(
    stem: str, behavior: BehaviorRecording, folder: Path, facts: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """The document, and why the pictures are not as good as they might be."""
    assert behavior.spec is not None
    source = source_of(behavior.spec, behavior.episodes)
    every = max(1, math.ceil(sum(map(len, source.shots)) / MAX_FRAMES))
    for tried in range(_TRIES):
        frames = list(_frames(behavior.episodes, source.shots, every * 2**tried))
        film = _film(frames)
        if len(film) <= MAX_FILM_BYTES:
            break
    else:
        raise ValueError(f"the film has {len(film):,} bytes, which is too much")
    trajectory = folder / (stem + TRAJECTORY_SUFFIX)
    write_trajectories(trajectory, behavior.spec, behavior.episodes, facts)
    (folder / (stem + FILM_SUFFIX)).write_bytes(film)
    size = frames[0].picture.size
    return {
        "shows": source.name,
        "film": stem + FILM_SUFFIX,
        "trajectory": trajectory.name,
        "width": size[0],
        "height": size[1],
        "decisions_per_frame": every * 2**tried,
        "episodes": [episode.document() for episode in behavior.episodes],
    }, source.problem


def _frames(episodes: Sequence[Trajectory], shots: Sequence[Sequence[Shot]], every: int) -> Iterator[_Frame]:
    """Each episode from its first picture to its last, which stands a while."""
    shown = [[shot for at, shot in enumerate(own) if at % every == 0 or at == len(own) - 1] for own in shots]
    pace = int(len(shown) * _EPISODE_MS / max(1, sum(map(len, shown))))
    pace = min(max(pace, _QUICKEST_MS), _SLOWEST_MS)
    for number, (episode, own) in enumerate(zip(episodes, shown, strict=True), start=1):
        for shot in own:
            earned = sum(episode.rewards[: shot.decisions])
            text = f"episode {number} of {len(episodes)}, decision {shot.decisions}, return {earned:.3g}"
            yield _Frame(captioned(shot.draw(), text), _END_MS if shot is own[-1] else pace)


def _film(frames: Sequence[_Frame]) -> bytes:
    """As GIF, of one palette."""
    palette = _palette([frame.picture for frame in frames])
    pictures = [frame.picture.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    durations = [frame.milliseconds for frame in frames]
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False
    )
    return buffer.getvalue()


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """The colours of some of them."""
    every = math.ceil(len(pictures) / _PALETTE_FRAMES)
    chosen = [*pictures[::every], pictures[-1]]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for number, picture in enumerate(chosen):
        sheet.paste(picture, (0, number * height))
    return sheet.quantize(_COLORS, Image.Quantize.MAXCOVERAGE)


def _file_name(behavior: str, number: int) -> str:
    """Of a name that a build chose; `number` tells apart what then looks alike."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", behavior)[:80]
    return plain if plain == behavior else f"{plain}-{number}"


def _warning(behavior: str, cause: str) -> dict[str, str]:
    remedy = "The figures do not depend on it; evaluation.replay_episodes = 0 records none."
    return {"behavior": behavior, "code": "ReplayIncomplete", "cause": cause, "remedy": remedy}
