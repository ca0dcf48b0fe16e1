"""Checkpoints without pickles: tensors as safetensors, all else as JSON.

    <checkpoint_dir>/<number>/        eight digits; the highest complete one counts
        state.json                    counters, random state, the optimizer's plain values; format version
        progress.jsonl                the lines up to here
        self_play.safetensors         past selves, with self-play
        <behavior>/                   a folder for each
            weights.safetensors       network, as after the last update
            optimizer.safetensors     Adam's moments; of SAC, its critics and what was played too
            best.safetensors          the best weights so far, if there are any

A checkpoint is written beside its place and renamed, so that it is there whole or not at all. SageMaker copies the
directory to S3 while the job runs, and back before a restarted job begins.
"""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from rl_src.training.errors import InvalidCheckpointError

FORMAT_VERSION = 2
KEPT = 2
"""The last one and the one before."""

REPLAY = "replay."
"""Before the names of arrays that hold what was played, among an optimizer's."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class BehaviorCheckpoint:
    """What one behavior's training needs to go on. `state` is plain JSON."""

    state: dict[str, Any]
    weights: Arrays
    optimizer: Arrays
    best: Arrays | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training needs to go on. `state` is plain JSON; behaviors by name."""

    state: dict[str, Any]
    behaviors: dict[str, BehaviorCheckpoint]
    self_play: Arrays = field(default_factory=dict)
    progress: list[dict[str, Any]] = field(default_factory=list)


def without_replay(checkpoint: Checkpoint) -> Checkpoint:
    """As an artifact holds it: nothing goes on from there with what was once played, and that may be large."""
    behaviors = {
        name: replace(own, optimizer={key: item for key, item in own.optimizer.items() if not key.startswith(REPLAY)})
        for name, own in checkpoint.behaviors.items()
    }
    return replace(checkpoint, behaviors=behaviors)


def save_checkpoint(directory: Path, number: int, checkpoint: Checkpoint) -> Path:
    """Write one, and remove all but the last `KEPT`."""
    directory.mkdir(parents=True, exist_ok=True)
    place, draft = directory / f"{number:08d}", directory / f".{number:08d}.draft"
    write_checkpoint(draft, checkpoint)
    shutil.rmtree(place, ignore_errors=True)
    draft.rename(place)
    for old in _complete(directory)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def write_checkpoint(place: Path, checkpoint: Checkpoint) -> None:
    """Write the files of one checkpoint into `place`, which is made anew."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, own in checkpoint.behaviors.items():
        folder = place / file_name(name)
        folder.mkdir()
        _save(own.weights, folder / "weights.safetensors")
        _save(own.optimizer, folder / "optimizer.safetensors")
        if own.best is not None:
            _save(own.best, folder / "best.safetensors")
    if checkpoint.self_play:
        _save(checkpoint.self_play, place / "self_play.safetensors")
    (place / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in checkpoint.progress))
    states = {name: own.state for name, own in checkpoint.behaviors.items()}
    document = {"format_version": FORMAT_VERSION, **checkpoint.state, "behaviors": states}
    (place / "state.json").write_text(json.dumps(document))


def file_name(behavior: str) -> str:
    """A behavior's name as a file's; `.` and `/` are free in Unity's inspector, but not in a path."""
    return quote(behavior, safe=" ").replace(".", "%2E")


def load_latest(directory: Path) -> Checkpoint | None:
    """The last complete checkpoint; None if there is none.

    Raises:
        InvalidCheckpointError: it is there but cannot be read.
    """
    places = _complete(directory) if directory.is_dir() else []
    return read_checkpoint(places[-1]) if places else None


def read_checkpoint(place: Path) -> Checkpoint:
    """Read one checkpoint's files.

    Raises:
        InvalidCheckpointError: a file is missing or broken, or the format is of another version.
    """
    try:
        state = json.loads((place / "state.json").read_text())
        if state.get("format_version") != FORMAT_VERSION:
            raise InvalidCheckpointError(
                f"the checkpoint {place.name} has format version {state.get('format_version')}, not {FORMAT_VERSION}."
            )
        behaviors = {name: _read_behavior(place / file_name(name), own) for name, own in state.pop("behaviors").items()}
        lines = (place / "progress.jsonl").read_text().splitlines()
        past_selves = place / "self_play.safetensors"
        self_play = load_file(past_selves) if past_selves.exists() else {}
        return Checkpoint(state, behaviors, self_play, [json.loads(line) for line in lines])
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise InvalidCheckpointError(f"the checkpoint {place.name} cannot be read: {error}.") from error


def _read_behavior(folder: Path, state: dict[str, Any]) -> BehaviorCheckpoint:
    best = folder / "best.safetensors"
    return BehaviorCheckpoint(
        state=state,
        weights=load_file(folder / "weights.safetensors"),
        optimizer=load_file(folder / "optimizer.safetensors"),
        best=load_file(best) if best.exists() else None,
    )


def _complete(directory: Path) -> list[Path]:
    places = [item for item in directory.iterdir() if item.name.isdigit() and (item / "state.json").exists()]
    return sorted(places, key=lambda item: int(item.name))


def _save(arrays: Arrays, path: Path) -> None:
    # safetensors stores the memory as it lies: a view that is not contiguous would be stored wrongly.
    save_file({name: np.array(value, order="C") for name, value in arrays.items()}, path)
