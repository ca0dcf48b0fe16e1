"""Recorded sessions of a real client, damaged in every way: our client plays them, or names what is wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.client import UnityClient
from rl_src.envs.errors import UnityEnvironmentError
from rl_src.envs.protocol import message_class
from tests.fakes.threaded_build import client_of
from tests.peers.exchanges import FILE, read_messages

RECORDINGS = Path(__file__).parents[1] / "data" / "recorded_exchanges"
MESSAGE = message_class("UnityMessageProto")
SENT = {folder.name: read_messages(folder / FILE)[::2][:6] for folder in sorted(RECORDINGS.iterdir())}
EVERYTHING = [message for messages in SENT.values() for message in messages]


def acting(client: UnityClient, step: Mapping[str, BehaviorStep]) -> dict[str, Actions]:
    actions = {}
    for name, batches in step.items():
        spec, count = client.specs[name].actions, len(batches.decisions)
        actions[name] = Actions(
            np.zeros((count, spec.continuous_size), np.float32),
            np.zeros((count, len(spec.discrete_branches)), np.int32),
        )
    return actions


CODES = {
    *("Protocol", "WireLimit", "AgentMismatch", "SensorImage", "NonFiniteReward", "NonFiniteObservation"),
    *("IncompatibleVersion", "BuildQuit", "BuildNeverConnected"),
    None,
}


def played(messages: Sequence[bytes]) -> str | None:
    """The code of what ended it; None when all was played. Any other exception is a bug of ours."""
    build = None
    try:
        client, build = client_of(messages)
        with client:
            step = client.reset()
            for _ in messages[3:]:
                step = client.step(acting(client, step))
    except UnityEnvironmentError as error:
        return error.code if error.remedy and len(error.cause) < 3000 else "an error that says nothing, or too much"
    finally:
        if build is not None:
            build.join()
    return None


def test_undamaged_sessions_are_played() -> None:
    assert {name: played(messages) for name, messages in SENT.items()} == dict.fromkeys(SENT)


DAMAGES = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 10**6), st.integers(0, 255)),
    st.tuples(st.just("cut"), st.integers(0, 10**6), st.integers(1, 64)),
    st.tuples(st.just("insert"), st.integers(0, 10**6), st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("double"), st.integers(0, 10**6), st.integers(1, 200)),
    st.tuples(st.just("end"), st.integers(0, 10**6), st.just(0)),
)


def damaged(message: bytes, damages: Sequence[tuple[str, int, Any]]) -> bytes:
    data = bytearray(message)
    for kind, place, what in damages:
        at = place % (len(data) + 1)
        match kind:
            case "set":
                data[at : at + 1] = bytes([what])
            case "cut":
                del data[at : at + what]
            case "insert":
                data[at:at] = what
            case "double":
                data[at:at] = data[at : at + what]
            case "end":
                del data[at:]
    return bytes(data)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(SENT)), st.integers(0, 5), st.lists(DAMAGES, min_size=1, max_size=4))
def test_damaged_bytes(name: str, number: int, damages: list[tuple[str, int, Any]]) -> None:
    messages = list(SENT[name])
    number %= len(messages)
    messages[number] = damaged(messages[number], damages)
    assert played(messages) in CODES


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SENT)), st.lists(st.sampled_from(range(len(EVERYTHING))), min_size=1, max_size=4))
def test_messages_of_other_sessions_in_between(name: str, others: list[int]) -> None:
    assert played([*SENT[name][:3], *(EVERYTHING[other] for other in others), *SENT[name][3:]]) in CODES


ODD_NUMBERS = st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1]) | st.integers(-(2**31), 2**31 - 1)
ODD_NAMES = ["", "?", "?team=", "a?team=-1", "a?team=²", "a?team=" + "9" * 5000, "../../x", "x\0y", "é" * 300]
ODD_TEXTS = st.sampled_from(ODD_NAMES) | st.text()
ODD_FLOATS = st.floats(width=32)


@st.composite
def agents(draw: st.DrawFn) -> Any:
    """An AgentInfoProto that obeys protobuf and nothing else."""
    agent = message_class("AgentInfoProto")(
        id=draw(ODD_NUMBERS),
        done=draw(st.booleans()),
        max_step_reached=draw(st.booleans()),
        reward=draw(ODD_FLOATS),
        group_id=draw(ODD_NUMBERS),
        group_reward=draw(ODD_FLOATS),
        action_mask=draw(st.lists(st.booleans(), max_size=4)),
    )
    for _ in range(draw(st.integers(0, 3))):
        sensor = agent.observations.add(
            name=draw(ODD_TEXTS.filter(_is_utf8)),
            shape=draw(st.lists(ODD_NUMBERS | st.integers(0, 4), max_size=4)),
            dimension_properties=draw(st.lists(ODD_NUMBERS, max_size=4)),
            compression_type=draw(st.integers(0, 1)),
            observation_type=draw(st.integers(0, 1)),
            compressed_channel_mapping=draw(st.lists(ODD_NUMBERS, max_size=4)),
        )
        if draw(st.booleans()):
            sensor.float_data.data.extend(draw(st.lists(ODD_FLOATS, max_size=12)))
        else:
            sensor.compressed_data = draw(st.binary(max_size=40)) if draw(st.booleans()) else b"\x89PNG\r\n\x1a\n"
    return agent


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@st.composite
def outputs(draw: st.DrawFn) -> bytes:
    """A message of agents and their behaviors, in which sizes, names and numbers may be anything."""
    message = MESSAGE()
    message.header.status = draw(st.sampled_from([200, 200, 200, 0, -1]))
    rl_output = message.unity_output.rl_output
    rl_output.side_channel = draw(st.binary(max_size=60))
    for name in draw(st.lists(ODD_TEXTS.filter(_is_utf8), min_size=1, max_size=2, unique=True)):
        rl_output.agentInfos[name].value.extend(draw(st.lists(agents(), max_size=3)))
        brain = message.unity_output.rl_initialization_output.brain_parameters.add(brain_name=name)
        brain.action_spec.num_continuous_actions = draw(ODD_NUMBERS | st.integers(0, 3))
        branches = draw(st.lists(ODD_NUMBERS | st.integers(1, 4), max_size=3))
        brain.action_spec.num_discrete_actions = len(branches)
        brain.action_spec.discrete_branch_sizes.extend(branches)
        brain.vector_action_size_deprecated.extend(draw(st.lists(ODD_NUMBERS, max_size=2)))
        brain.vector_action_space_type_deprecated = draw(st.integers(0, 1))
    return bytes(message.SerializeToString())


@settings(max_examples=120, deadline=None)
@given(st.lists(outputs(), min_size=1, max_size=2))
def test_messages_that_obey_protobuf_and_nothing_else(messages: list[bytes]) -> None:
    assert played([*SENT["Basic"][:2], *messages]) in CODES


@settings(max_examples=60, deadline=None)
@given(ODD_TEXTS.filter(_is_utf8), ODD_TEXTS.filter(_is_utf8), st.booleans())
def test_introductions(version: str, package: str, hybrid: bool) -> None:
    message = MESSAGE.FromString(SENT["Basic"][0])
    introduction = message.unity_output.rl_initialization_output
    introduction.communication_version, introduction.package_version = version, package
    introduction.capabilities.hybridActions = hybrid
    assert played([message.SerializeToString(), *SENT["Basic"][1:]]) in CODES
