"""What a behavior observes and does, as the build itself says at the handshake; never from a table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ObservationSpec:
    """One sensor of one agent. `shape` has no batch axis; images are channels first: (channels, height, width)."""

    name: str
    shape: tuple[int, ...]

    @property
    def is_image(self) -> bool:
        """True for a camera or grid sensor: three axes."""
        return len(self.shape) == 3


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
        return int(team) if team.isdigit() else 0
