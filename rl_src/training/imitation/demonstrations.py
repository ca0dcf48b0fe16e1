"""Recordings of ML-Agents' Demonstration Recorder (`.demo` files), as arrays to learn from.

A file is a row of protobuf messages, each behind its length as a varint: DemonstrationMetaProto at the beginning,
BrainParametersProto from byte 33 on, then an AgentInfoActionPairProto for each record (ml-agents:
`Runtime/Demonstrations/DemonstrationWriter.cs`; read by `mlagents/trainers/demo_loader.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from google.protobuf.message import DecodeError

from rl_src.envs.batches import FloatArray
from rl_src.envs.decoding import BehaviorDecoder, decode_spec
from rl_src.envs.errors import UnityEnvironmentError
from rl_src.envs.protocol import opaque_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidDemonstrationError
from rl_src.training.networks.action_distribution import action_size

SUFFIX = ".demo"
KNOWN_VERSIONS = (0, 1)
"""`DemonstrationMetaProto.api_version`."""

UNITY_TO_RAW = np.float32(3.0)
"""A continuous value in Unity's range is a third of the raw one (`action_distribution.to_unity_range`)."""

Pairing = Literal["own", "next"]
"""Whose action answers an observation: that of the same record, as ML-Agents' loader reads it, or of the one after.

ML-Agents' Agent.cs writes a record when it asks for a decision, before there is one, and with it the action before.
"""

_BRAIN_AT = 33
_LFS_POINTER = b"version https://git-lfs"
_CHUNK = 1024
"""Records decoded at once."""

_MOST_LISTED = 10


@dataclass(frozen=True)
class Demonstrations:
    """N decisions of one behavior, laid out as `action_distribution` says."""

    spec: BehaviorSpec
    observations: tuple[FloatArray, ...]  # [N, *shape] for each sensor
    actions: FloatArray  # [N, C + B], raw
    masks: FloatArray | None  # [N, sum(branches)], 1 = allowed; None without discrete branches

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class _Recording:
    """One file. `brain`: BrainParametersProto; `records`: AgentInfoActionPairProtos."""

    path: Path
    brain: Any
    records: list[Any]


def demonstrations_for(behavior: BehaviorSpec, place: Path, pairing: Pairing = "own") -> Demonstrations:
    """Read a .demo file, or all those in a folder by their names' order.

    The behavior's name does not count: one scene's recordings may be learned from in another.

    Raises:
        InvalidDemonstrationError: there is none, one cannot be read, or one was recorded with other specs.
    """
    parts = [_demonstrations(behavior, _read(path), pairing) for path in _files(place)]
    masks = [part.masks for part in parts if part.masks is not None]
    return Demonstrations(
        spec=behavior,
        observations=tuple(np.concatenate(rows) for rows in zip(*(part.observations for part in parts), strict=True)),
        actions=np.concatenate([part.actions for part in parts]),
        masks=np.concatenate(masks) if masks else None,
    )


def find_recording(demo: str, folder: Path) -> Path:
    """A .demo file, or a folder of them, of a build: by its path from the program's folder, or from the one above.

    Or else the only one of its name below the program's folder: trainer files have paths of a Unity project.

    Args:
        demo: its path or name.
        folder: where the program lies.

    Raises:
        InvalidDemonstrationError: there is none, or there are several of the name.
    """
    for root in (folder, folder.parent):
        place = (root / demo).resolve()
        if place.exists() and place.is_relative_to(root.resolve()):
            return place
    name = Path(demo).name
    below = sorted(folder.rglob("*"))
    found = [path for path in below if path.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidDemonstrationError(
            f"the build has several recordings {name}: {_listed(found, folder)}.",
            f"Name one by its path as behavioral_cloning.demo, for example {found[0].relative_to(folder)}.",
        )
    there = [path for path in below if path.suffix == SUFFIX]
    raise InvalidDemonstrationError(
        f"the build has no recording {demo}; recordings there: {_listed(there, folder) or 'none'}.",
        f"Put the {SUFFIX} file into the zip beside the program, and zip again.",
    )


def _listed(paths: Sequence[Path], folder: Path) -> str:
    shown = ", ".join(str(path.relative_to(folder)) for path in paths[:_MOST_LISTED])
    return f"{shown} and {len(paths) - _MOST_LISTED} more" if len(paths) > _MOST_LISTED else shown


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        found = sorted(path for path in place.iterdir() if path.suffix == SUFFIX and path.is_file())
        if not found:
            raise InvalidDemonstrationError(f"the folder {place.name} has no {SUFFIX} files.")
        return found
    if not place.is_file():
        raise InvalidDemonstrationError(f"there is no recording {place.name}.", f"Name a {SUFFIX} file of the build.")
    return [place]


def _read(path: Path) -> _Recording:
    data = path.read_bytes()
    if not data:
        raise InvalidDemonstrationError(f"the recording {path.name} is empty.")
    if data.startswith(_LFS_POINTER):
        raise InvalidDemonstrationError(
            f"{path.name} is a Git LFS pointer instead of a recording.", "Run `git lfs pull`, and zip the build again."
        )
    meta = _meta(path, data)
    if len(data) <= _BRAIN_AT:
        raise InvalidDemonstrationError(f"the recording {path.name} ends before the first record.")
    brain, position = _message(path, data, _BRAIN_AT, "BrainParametersProto")
    records = list(_records(path, data, position))
    if not records:
        raise InvalidDemonstrationError(f"the recording {path.name} holds no records.")
    # 0: Unity was ended before it could write the number.
    if len(records) < meta.number_steps:
        raise InvalidDemonstrationError(
            f"the recording {path.name} is cut off: {len(records)} of its {meta.number_steps} records are there."
        )
    return _Recording(path, brain, records)


def _meta(path: Path, data: bytes) -> Any:
    foreign = InvalidDemonstrationError(
        f"{path.name} is no ML-Agents recording.", f"Name a {SUFFIX} file that the Demonstration Recorder has written."
    )
    # The bytes up to the brain's place are all that there is for it, its length included.
    if data[0] >= _BRAIN_AT:
        raise foreign
    try:
        meta, _ = _message(path, data, 0, "DemonstrationMetaProto")
    except InvalidDemonstrationError as error:
        raise foreign from error
    if meta.api_version not in KNOWN_VERSIONS:
        raise InvalidDemonstrationError(
            f"the recording {path.name} has format version {meta.api_version}; known are "
            f"{' and '.join(map(str, KNOWN_VERSIONS))}."
        )
    return meta


def _records(path: Path, data: bytes, position: int) -> Iterator[Any]:
    while position < len(data):
        record, position = _message(path, data, position, "AgentInfoActionPairProto")
        yield record


def _message(path: Path, data: bytes, position: int, kind: str) -> tuple[Any, int]:
    """The message behind its length at `position`, and where the next one begins."""
    begin, length = _varint(data, position)
    end = begin + length
    if end > len(data):
        raise InvalidDemonstrationError(
            f"the recording {path.name} is cut off: it ends {end - len(data)} bytes before the end of a record."
        )
    try:
        return opaque_class(kind).FromString(data[begin:end]), end
    except DecodeError as error:
        raise InvalidDemonstrationError(
            f"the recording {path.name} is damaged: no {kind} can be read at byte {position}."
        ) from error


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Where the number ends, and the number. One that is cut off or too long is more than there can be bytes."""
    value = 0
    for place, byte in enumerate(data[position : position + 5]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return position + place + 1, value
    return position, len(data) + 1


def _demonstrations(behavior: BehaviorSpec, recording: _Recording, pairing: Pairing) -> Demonstrations:
    path, records = recording.path, recording.records
    _check_specs(behavior, recording)
    # The episode's last observation has no action: nothing was decided there.
    if pairing == "own":
        pairs = [(record.agent_info, record.action_info) for record in records if not record.agent_info.done]
    else:
        pairs = [(one.agent_info, after.action_info) for one, after in pairwise(records) if not one.agent_info.done]
    if not pairs:
        raise InvalidDemonstrationError(f"the recording {path.name} holds no decisions.")
    decoder = BehaviorDecoder(behavior, images_channels_last=False)
    steps = []
    try:
        for start in range(0, len(pairs), _CHUNK):
            agents = _agent_list([info for info, _ in pairs[start : start + _CHUNK]])
            steps.append(decoder.decode(agents).decisions)
    except UnityEnvironmentError as error:
        raise InvalidDemonstrationError(f"the recording {path.name} does not fit: {error.cause}") from error
    masks = [step.action_mask for step in steps if step.action_mask is not None]
    return Demonstrations(
        spec=behavior,
        observations=tuple(np.concatenate(rows) for rows in zip(*(step.observations for step in steps), strict=True)),
        actions=_actions(path, behavior.actions, [action for _, action in pairs]),
        masks=np.concatenate(masks).astype(np.float32) if masks else None,
    )


def _agent_list(infos: Sequence[Any]) -> bytes:
    """A serialized ListAgentInfoProto."""
    agents = opaque_class("UnityRLOutputProto").ListAgentInfoProto()
    agents.value.extend(infos)
    serialized: bytes = agents.SerializeToString()
    return serialized


def _actions(path: Path, spec: ActionSpec, actions: Sequence[Any]) -> FloatArray:
    """[N, C + B]."""
    size, branches = spec.continuous_size, np.array(spec.discrete_branches)
    rows = []
    for action in actions:
        values = (*action.continuous_actions, *action.discrete_actions)
        # Before communicator 1.3: one field for either kind.
        rows.append(values or tuple(action.vector_actions_deprecated))
    wrong = next((row for row in rows if len(row) != action_size(spec)), None)
    if wrong is not None:
        raise InvalidDemonstrationError(
            f"the recording {path.name} has a record with {len(wrong)} actions; the behavior takes {action_size(spec)}."
        )
    packed = np.array(rows, dtype=np.float32)
    choices = packed[:, size:]
    if not np.isfinite(packed).all() or ((choices < 0) | (choices >= branches)).any():
        raise InvalidDemonstrationError(
            f"the recording {path.name} has an action that is not finite, or a choice that its branch does not have."
        )
    packed[:, :size] *= UNITY_TO_RAW
    return packed


def _check_specs(behavior: BehaviorSpec, recording: _Recording) -> None:
    try:
        recorded = decode_spec(recording.brain, _agent_list([recording.records[0].agent_info]), False)
    except UnityEnvironmentError as error:
        raise InvalidDemonstrationError(f"the recording {recording.path.name} cannot be read: {error.cause}") from error
    differences = list(_differences(recorded, behavior))
    if differences:
        raise InvalidDemonstrationError(
            f"the recording {recording.path.name} is of another behavior than {behavior.behavior_name}: "
            f"{'; '.join(differences)}.",
            "Record it again in the scene that the build was made of, or name the recording of this behavior.",
        )


def _differences(recorded: BehaviorSpec, behavior: BehaviorSpec) -> Iterator[str]:
    """In words. Sensors by their place: their names say nothing to the policy."""
    its, ours = recorded.observations, behavior.observations
    if len(its) != len(ours):
        yield f"it has {len(its)} observations ({_shapes(its)}), the build {len(ours)} ({_shapes(ours)})"
    else:
        for index, (one, other) in enumerate(zip(its, ours, strict=True)):
            if one.shape != other.shape:
                yield f"its observation {index} ({one.name}) has the shape {one.shape}, the build's {other.shape}"
    if recorded.actions.continuous_size != behavior.actions.continuous_size:
        yield (
            f"it has {recorded.actions.continuous_size} continuous actions, "
            f"the build {behavior.actions.continuous_size}"
        )
    if recorded.actions.discrete_branches != behavior.actions.discrete_branches:
        yield (
            f"its discrete branches are {recorded.actions.discrete_branches}, "
            f"the build's {behavior.actions.discrete_branches}"
        )


def _shapes(observations: Sequence[ObservationSpec]) -> str:
    return ", ".join("x".join(map(str, item.shape)) for item in observations) or "none"
