"""The predict API, and what the Predict Lambda sends to the endpoint.

Observations are given by sensor name (an object) or in sensor order (a list). Each sensor's value is either one
observation (`shape`) or a batch (`[N, *shape]`); the answer has one `action`, or N `actions`, to match.

A policy with a memory is asked with the agent's `state`: null at an episode's start, then what the answer before gave.
The service keeps nothing.
"""

import binascii
from base64 import b64decode, b64encode
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, WithJsonSchema

from pipeline.contracts.base import Contract
from pipeline.contracts.constants import LEAST_DIVISOR, MAX_DIMENSIONS


def _from_base64(value: object) -> object:
    """Text is base64, as JSON must have it; MessagePack has bytes."""
    if not isinstance(value, str):
        return value
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"no base64: {error}") from error


TensorData = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda data: b64encode(data).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "in MessagePack: binary"}),
]


class Tensor(Contract):
    """An array as bytes, little-endian and row by row: much smaller than a nested list of numbers."""

    dtype: Literal["float32", "float16", "uint8", "int32"]
    shape: list[Annotated[int, Field(ge=0)]] = Field(max_length=MAX_DIMENSIONS)
    data: TensorData
    divisor: float = Field(
        default=1.0, ge=LEAST_DIVISOR, description="what each value is divided by: 255 for bytes of a picture"
    )


def _form(value: object) -> str:
    return "form:tensor" if isinstance(value, dict | Tensor) else "form:list"


Values = Annotated[
    Annotated[list[object], Tag("form:list")] | Annotated[Tensor, Tag("form:tensor")], Discriminator(_form)
]
"""A nested list of numbers, or a tensor."""

State = Annotated[
    Annotated[list[str | None], Tag("form:list")] | Annotated[str, Tag("form:one")],
    Discriminator(lambda value: "form:list" if isinstance(value, list) else "form:one"),
]
"""The token of one agent, or of each of a batch."""


class PredictRequest(Contract):
    """The body of `POST /policies/{policy}/predict`."""

    behavior: str | None = Field(default=None, description="needed only when the policy has several")
    observations: dict[str, Values] | list[Values] = Field(
        description="of each sensor, by name or in sensor order: one observation of its shape, or a batch [N, *shape]"
    )
    action_masks: Values | None = Field(
        default=None, description="[sum of branches] or [N, sum of branches], 1 = allowed; left out: all allowed"
    )
    deterministic: bool = Field(default=True, description="the likeliest actions; false: sampled ones")
    state: State | None = Field(
        default=None,
        description="what the policy remembers of the agent: the `state` of its answer before, a list of N for a "
        "batch; null begins an episode. Left out, nothing is remembered, and the answer has none",
    )

    @property
    def wants_state(self) -> bool:
        """Whether the answer shall have a state: null given is another thing than nothing given."""
        return "state" in self.model_fields_set


class Action(Contract):
    """One agent's action."""

    continuous: tuple[float, ...] = ()
    discrete: tuple[int, ...] = ()


class PredictResponse(Contract):
    """`action` answers one observation, `actions` a batch; the other is left out. So is `state`, if none was given."""

    policy: str
    version: str
    behavior: str
    action: Action | None = None
    actions: tuple[Action, ...] | None = None
    state: tuple[str | None, ...] | str | None = None


class InvocationRequest(Contract):
    """The body of the endpoint's `/invocations`: always a batch, sensors in order."""

    behavior: str
    observations: list[Values] = Field(description="one [N, *shape] for each sensor")
    action_masks: list[list[float]] | None = Field(default=None, description="[N, sum of branches], 1 = allowed")
    deterministic: bool = True
    state: list[str | None] | None = Field(default=None, description="one for each of N agents")
    memory: list[list[float]] | None = Field(default=None, description="[N, memory_size]: `state` in plain numbers")


class InvocationResponse(Contract):
    """The endpoint's answer. `version` is what the endpoint serves, whatever the caller believed."""

    version: str
    behavior: str
    continuous: list[list[float]]
    discrete: list[list[int]]
    state: list[str | None] | None = None
    memory: list[list[float]] | None = Field(default=None, description="[N, memory_size] after, if it was given")
