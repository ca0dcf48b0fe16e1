"""What a game is to the player: behaviors with sensors and actions, and a function that plays on for one step."""

import random
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sample_builds.player.messages import API_VERSION, message_class
from sample_builds.player.side_channels import replay_picture, statistic
from sample_builds.player.sketch import Sketch


@dataclass(frozen=True)
class Behavior:
    """One behavior: its qualified name and what its agents can do. What they observe, every message says anew."""

    name: str
    continuous_size: int = 0
    discrete_branches: tuple[int, ...] = ()

    def brain_parameters(self) -> Any:
        """The BrainParametersProto that introduces the behavior."""
        brain = message_class("BrainParametersProto")(brain_name=self.name, is_training=True)
        brain.action_spec.num_continuous_actions = self.continuous_size
        brain.action_spec.num_discrete_actions = len(self.discrete_branches)
        brain.action_spec.discrete_branch_sizes.extend(self.discrete_branches)
        return brain


# DimensionProperty and ObservationType of observation.proto.
NO_PROPERTY, TRANSLATIONAL_EQUIVARIANCE, VARIABLE_SIZE = 1, 2, 4
DEFAULT_OBSERVATION, GOAL_SIGNAL = 0, 1
IMAGE_PROPERTIES = (NO_PROPERTY, TRANSLATIONAL_EQUIVARIANCE, TRANSLATIONAL_EQUIVARIANCE)
BUFFER_PROPERTIES = (VARIABLE_SIZE, NO_PROPERTY)


def float_observation(
    name: str,
    values: Sequence[float],
    shape: Sequence[int] | None = None,
    *,
    properties: Sequence[int] | None = None,
    kind: int = DEFAULT_OBSERVATION,
) -> bytes:
    """A serialized, uncompressed ObservationProto. `properties`: one an axis; left out, as a vector's or an image's."""
    shape = shape or [len(values)]
    proto = _observation(name, shape, properties, kind)
    proto.float_data.data.extend(values)
    return bytes(proto.SerializeToString())


def png_observation(
    name: str,
    pictures: bytes,
    shape: Sequence[int],
    mapping: Sequence[int] = (),
    *,
    properties: Sequence[int] | None = None,
    kind: int = DEFAULT_OBSERVATION,
) -> bytes:
    """A serialized ObservationProto with concatenated PNGs. `shape`: channels, height, width."""
    proto = _observation(name, shape, properties, kind)
    proto.compression_type, proto.compressed_data = 1, pictures
    proto.compressed_channel_mapping.extend(mapping)
    return bytes(proto.SerializeToString())


def _observation(name: str, shape: Sequence[int], properties: Sequence[int] | None, kind: int) -> Any:
    # As GrpcExtensions.GetObservationProto: a property for each axis is always sent.
    if properties is None:
        properties = IMAGE_PROPERTIES if len(shape) == 3 else (NO_PROPERTY,) * len(shape)
    return message_class("ObservationProto")(
        name=name, shape=shape, dimension_properties=properties, observation_type=kind
    )


# Fields of agent_info.proto: tag bytes (number << 3 | wire type).
_TAG_REWARD, _TAG_DONE, _TAG_MAX_STEP, _TAG_ID = 0x3D, 0x40, 0x48, 0x50
_TAG_MASK, _TAG_OBSERVATION, _TAG_GROUP_ID, _TAG_GROUP_REWARD = 0x5A, 0x6A, 0x70, 0x7D


def varint(value: int) -> bytes:
    """A non-negative number as protobuf writes it."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def observation_field(observations: Sequence[bytes]) -> bytes:
    """Serialized ObservationProtos as AgentInfoProto holds them; worth keeping when observations repeat."""
    return b"".join(bytes([_TAG_OBSERVATION]) + varint(len(proto)) + proto for proto in observations)


_ID_AND_REWARD = struct.Struct("<Bf")


@dataclass
class World:
    """What the player tells the scene, and what the scene reports for the next message.

    Reports go out in order. Writing AgentInfoProto's few fields by hand costs a third of building the message, and a
    sample build must never be what limits a measurement.
    """

    seed: int = 0
    parameters: dict[str, Callable[[], float]] = field(default_factory=dict)
    engine: dict[str, tuple[float, ...]] = field(default_factory=dict)
    log: Callable[[str], None] = lambda _line: None
    infos: dict[str, list[bytes]] = field(default_factory=dict)
    behaviors: dict[str, Behavior] = field(default_factory=dict)
    statistics: list[bytes] = field(default_factory=list)
    sketches: list[bytes] = field(default_factory=list)
    draw: Callable[[], Sketch | None] | None = None
    quitting: bool = False
    _next_id: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def parameter(self, name: str, default: float) -> float:
        """An environment parameter, as `EnvironmentParameters.GetWithDefault`."""
        read = self.parameters.get(name)
        return default if read is None else read()

    def new_episode_id(self) -> int:
        """An agent's id lives as long as one episode; none is used twice (ml-agents, EpisodeIdCounter)."""
        self._next_id += 1
        return self._next_id - 1

    def quit(self) -> None:
        """As `Application.Quit`: say goodbye instead of the next message."""
        self.quitting = True

    def sketch(self) -> None:
        """Draw what the game looks like now, if the trainer wants to see it (`draw` is set then)."""
        drawn = self.draw() if self.draw is not None else None
        if drawn is not None:
            self.sketches.append(replay_picture(drawn.to_text()))

    def record_statistic(self, key: str, value: float) -> None:
        """As `StatsRecorder.Add`."""
        self.statistics.append(statistic(key, value))

    def request_decision(
        self,
        behavior: Behavior,
        agent_id: int,
        observations: bytes,
        reward: float = 0.0,
        *,
        disallowed: Sequence[bool] = (),
        group_id: int = 0,
        group_reward: float = 0.0,
    ) -> None:
        """Report an agent that waits. `observations`: from `observation_field`; `disallowed`: one for each choice."""
        mask = bytes([_TAG_MASK]) + varint(len(disallowed)) + bytes(disallowed) if disallowed else b""
        self._report(behavior, agent_id, mask + observations, reward, group_id, group_reward)

    def end_episode(
        self,
        behavior: Behavior,
        agent_id: int,
        observations: bytes,
        reward: float = 0.0,
        *,
        interrupted: bool = False,
        group_id: int = 0,
        group_reward: float = 0.0,
    ) -> None:
        """Report the end of an episode; `interrupted` by max_step or from outside (truncated), else terminated."""
        self.sketch()  # before the next episode's beginning takes its place
        done = bytes([_TAG_DONE, 1, _TAG_MAX_STEP, 1]) if interrupted else bytes([_TAG_DONE, 1])
        self._report(behavior, agent_id, done + observations, reward, group_id, group_reward)

    def _report(
        self, behavior: Behavior, agent_id: int, info: bytes, reward: float, group_id: int, group_reward: float
    ) -> None:
        info += bytes([_TAG_ID]) + varint(agent_id) + _ID_AND_REWARD.pack(_TAG_REWARD, reward)
        if group_id:
            info += bytes([_TAG_GROUP_ID]) + varint(group_id) + _ID_AND_REWARD.pack(_TAG_GROUP_REWARD, group_reward)
        queued = self.infos.get(behavior.name)
        if queued is None:
            queued = self.infos[behavior.name] = []
            self.behaviors[behavior.name] = behavior
        queued.append(info)


class Scene(ABC):
    """A game. It reports to its world; the player sends what was reported whenever there is something."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        self.world = world

    @classmethod
    def before_connecting(cls, arguments: Sequence[str], log: Callable[[str], None]) -> None:
        """What the game does before it looks for a trainer: most do nothing."""
        log("Looking for a trainer")

    @classmethod
    def communication_version(cls, arguments: Sequence[str]) -> str:
        """The version of the communicator that it was built with."""
        return API_VERSION

    def sketch(self) -> Sketch | None:
        """What it looks like now; None: it has no drawing."""
        return None

    @abstractmethod
    def reset(self) -> None:
        """Begin anew, at the trainer's RESET."""

    @abstractmethod
    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Play one step. `actions`: AgentActionProtos of each behavior, in the order of its requests; may be empty."""
