"""From what an endpoint answers, in JSON, to what the predict API does: `contracts.predict.PredictResponse`."""

import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, cast

from pipeline.errors import ModelError
from pipeline.rules.observations import Checked

_FLOATS: Set[type] = {int, float}
_INTEGERS: Set[type] = {int}


class NoAnswerError(ValueError):
    """It is not what the inference server answers."""


@dataclass(frozen=True)
class Actions:
    """`contracts.predict.InvocationResponse`: the actions of a batch, and the token of each agent's memory."""

    version: str
    behavior: str
    continuous: list[list[float]]
    discrete: list[list[int]]
    state: list[str | None] | None


def read_actions(answer: bytes, checked: Checked) -> Actions:
    """The inference server's JSON; what it answers for one agent has no batch axis.

    Raises:
        NoAnswerError: it is something else.
    """
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError from error
    if not isinstance(found, dict):
        raise NoAnswerError
    one = checked.batch_size is None
    state = found.get("state")
    return Actions(
        version=_text(found.get("version")),
        behavior=_text(found.get("behavior")),
        continuous=cast("list[list[float]]", _rows(found.get("continuous"), one, _FLOATS)),
        discrete=cast("list[list[int]]", _rows(found.get("discrete"), one, _INTEGERS)),
        state=_tokens([state] if one else state),
    )


def to_response(policy: str, checked: Checked, actions: Actions) -> dict[str, Any]:
    """The endpoint's batch as the caller asked for it: one action, or one for each observation.

    Raises:
        ModelError: the endpoint answered for another number of agents, or without a memory that was asked for.
    """
    if not len(actions.continuous) == len(actions.discrete) == checked.agents:
        raise ModelError(
            f"The endpoint answered {len(actions.continuous)} continuous and {len(actions.discrete)} discrete actions "
            f"to {checked.agents} observations."
        )
    response: dict[str, Any] = {"policy": policy, "version": actions.version, "behavior": actions.behavior}
    each = [
        {"continuous": continuous, "discrete": discrete}
        for continuous, discrete in zip(actions.continuous, actions.discrete, strict=True)
    ]
    state = _answered_state(checked, actions)
    if checked.batch_size is not None:
        return response | {"actions": each} | ({} if state is None else {"state": state})
    return response | {"action": each[0]} | ({} if not state or state[0] is None else {"state": state[0]})


def _answered_state(checked: Checked, actions: Actions) -> list[str | None] | None:
    if not checked.wants_state:
        return None
    if actions.state is None or len(actions.state) != checked.agents:
        raise ModelError(
            f"The endpoint answered {0 if actions.state is None else len(actions.state)} states to {checked.agents} "
            "agents.",
            "The endpoint's image is older than this stack: deploy both from one release.",
        )
    return actions.state


def _rows(value: object, one: bool, kinds: Set[type]) -> list[object]:
    rows = [value] if one else value
    if not isinstance(rows, list):
        raise NoAnswerError
    for row in rows:
        if not isinstance(row, list) or not set(map(type, row)) <= kinds:
            raise NoAnswerError
    return rows


def _tokens(value: object) -> list[str | None] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise NoAnswerError
    return [None if token is None else _text(token) for token in value]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise NoAnswerError
    return value
