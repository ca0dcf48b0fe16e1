"""What a behavior observes and does, as the build itself says at the handshake; never from a table."""

import re
from dataclasses import dataclass
from enum import IntFlag


class DimensionProperty(IntFlag):
    """What an axis of an observation means (observation.proto)."""

    UNSPECIFIED = 0
    NONE = 1
    TRANSLATIONAL_EQUIVARIANCE = 2
    """Height and width of an image."""
    VARIABLE_SIZE = 4
    """Entities, of which an agent may see fewer than there is room for; the unused rows are zero."""


_TEAM = re.compile("[0-9]{1,9}")

_GRID_SENSOR = "GridSensor"
"""The default name of ML-Agents' GridSensorComponent; its picture is made of colliders, without graphics."""


@dataclass(frozen=True)
class ObservationSpec:
    """One sensor of one agent.

    `shape` has no batch axis; images are channels first: (channels, height, width). `properties`: one an axis, or none
    from builds that do not tell. `is_goal`: a goal signal rather than something perceived.
    """

    name: str
    shape: tuple[int, ...]
    properties: tuple[DimensionProperty, ...] = ()
    is_goal: bool = False

    @property
    def is_image(self) -> bool:
        """True for a camera or grid sensor: three axes."""
        return len(self.shape) == 3

    @property
    def may_be_camera(self) -> bool:
        """True for an image that the engine may have to draw. The wire does not tell cameras from grid sensors."""
        return self.is_image and not self.name.startswith(_GRID_SENSOR)

    @property
    def is_variable_length(self) -> bool:
        """True for a buffer sensor: (entities, size), zero-padded."""
        return any(DimensionProperty.VARIABLE_SIZE in item for item in self.properties)


@dataclass(frozen=True)
class ActionSpec:
    """Continuous actions and discrete branches; an agent may have both (hybrid)."""

    continuous_size: int = 0
    discrete_branches: tuple[int, ...] = ()


@dataclass(frozen=True)
class BehaviorSpec:
    """A behavior: the agents that share one policy.

    `name` is fully qualified as on the wire, for example "Striker?team=1": one behavior name may play on several teams.
    """

    name: str
    observations: tuple[ObservationSpec, ...]
    actions: ActionSpec

    @property
    def behavior_name(self) -> str:
        """The name without its team: "Striker"."""
        return self.name.split("?", 1)[0]

    @property
    def team_id(self) -> int:
        """The team, 0 where the name has none."""
        parameters = dict(pair.partition("=")[::2] for pair in self.name.partition("?")[2].split("&"))
        team = parameters.get("team", "0")
        return int(team) if _TEAM.fullmatch(team) else 0
