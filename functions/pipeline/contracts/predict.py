"""The predict API, and what the Predict Lambda sends to the endpoint.

Observations are given by sensor name (an object) or in sensor order (a list). Each sensor's value is either one
observation (`shape`) or a batch (`[N, *shape]`); the answer has one `action`, or N `actions`, to match.
"""

from pydantic import Field

from pipeline.contracts.base import Contract


class PredictRequest(Contract):
    """The body of `POST /policies/{policy}/predict`."""

    behavior: str | None = Field(default=None, description="needed only when the policy has several")
    observations: dict[str, list[object]] | list[list[object]]
    action_masks: list[object] | None = Field(
        default=None, description="[sum of branches] or [N, sum of branches], 1 = allowed; left out: all allowed"
    )
    deterministic: bool = True


class Action(Contract):
    """One agent's action."""

    continuous: tuple[float, ...] = ()
    discrete: tuple[int, ...] = ()


class PredictResponse(Contract):
    """`action` answers one observation, `actions` a batch; the other is left out."""

    policy: str
    version: str
    behavior: str
    action: Action | None = None
    actions: tuple[Action, ...] | None = None


class InvocationRequest(Contract):
    """The body of the endpoint's `/invocations`: always a batch, sensors in order."""

    behavior: str
    observations: list[list[object]] = Field(description="one [N, *shape] for each sensor")
    action_masks: list[list[float]] | None = Field(default=None, description="[N, sum of branches], 1 = allowed")
    deterministic: bool = True


class InvocationResponse(Contract):
    """The endpoint's answer. `version` is what the endpoint serves, whatever the caller believed."""

    version: str
    behavior: str
    continuous: list[list[float]]
    discrete: list[list[int]]
