"""Our client against recorded sessions of the unmodified `mlagents_envs` 1.1.0: the same bytes, the same meaning.

A build that replays the recorded requests plays with our client, which is given the actions that the reference client
chose then. `tests/peers/record.py` makes the recordings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rl_src.envs.client import UnityClient
from rl_src.envs.protocol import message_class
from tests.fakes.sample_players import use_this_interpreter
from tests.peers.exchanges import FILE, read_messages, write_messages
from tests.peers.our_client import replay
from tests.peers.record import PARAMETER, RECORDINGS, SEED
from tests.peers.sessions import Session, differences

REPLAYING_BUILD = Path(__file__).parents[1] / "peers" / "scripts" / "replaying_build.py"
TRAINING_ANALYTICS = bytes.fromhex("a9a464b66fd85f5a95cbe8353a7e8356")
RECORDED = sorted(folder.name for folder in RECORDINGS.iterdir())


@dataclass
class Recording:
    """Requests of the build, replies of the reference client, and what that made of them."""

    requests: list[Any]
    replies: list[Any]
    session: Session

    @classmethod
    def load(cls, name: str) -> "Recording":
        messages = [
            message_class("UnityMessageProto").FromString(data) for data in read_messages(RECORDINGS / name / FILE)
        ]
        return cls(messages[::2], messages[1::2], Session.load(RECORDINGS / name))


@dataclass
class Played:
    """What our client made of the same requests, and its replies; without its goodbye."""

    session: Session
    replies: list[Any]


def play(recording: Recording, folder: Path) -> Played:
    requests, replies = folder / "requests.bin", folder / "replies.bin"
    write_messages(requests, [request.SerializeToString() for request in recording.requests])
    name, _, value = PARAMETER.partition("=")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_this_interpreter(monkeypatch)
        with UnityClient(
            REPLAYING_BUILD,
            arguments=[str(requests), str(replies)],
            seed=SEED,
            parameters={name: float(value)},
            graphics=False,
        ) as client:
            session = replay(client, recording.session)
    messages = [message_class("UnityMessageProto").FromString(data) for data in read_messages(replies)]
    assert messages[-1].header.status == 400
    return Played(session, messages[:-1])


@pytest.fixture(scope="module", params=RECORDED)
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording.load(request.param)


@pytest.fixture(scope="module")
def played(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(recording, tmp_path_factory.mktemp("replayed"))


def test_there_are_recordings() -> None:
    assert {"Basic", "3DBall", "Chaos"} <= {*RECORDED}


def test_it_decodes_what_the_reference_decoded(recording: Recording, played: Played) -> None:
    assert list(differences(recording.session, played.session)) == []


def test_its_commands_say_what_the_reference_s_said(recording: Recording, played: Played) -> None:
    assert len(played.replies) == len(recording.replies)
    for ours, theirs in zip(played.replies[1:], recording.replies[1:], strict=True):
        assert ours.header.status == theirs.header.status == 200
        assert ours.unity_input.rl_input.command == theirs.unity_input.rl_input.command
        assert {*ours.unity_input.rl_input.agent_actions} == {*theirs.unity_input.rl_input.agent_actions}
        for name, actions in theirs.unity_input.rl_input.agent_actions.items():
            for action in actions.value:
                # The reference writes them twice; builds that know hybrid actions do not read the old field.
                action.ClearField("vector_actions_deprecated")
            assert ours.unity_input.rl_input.agent_actions[name] == actions


def test_its_greeting_says_what_the_reference_s_said(recording: Recording, played: Played) -> None:
    ours, theirs = (messages[0].unity_input.rl_initialization_input for messages in (played.replies, recording.replies))
    assert theirs.capabilities.trainingAnalytics
    theirs.capabilities.trainingAnalytics = False  # we send no analytics
    assert ours == theirs


def test_its_side_channels_say_what_the_reference_s_said(recording: Recording, played: Played) -> None:
    ours, theirs = (
        sorted(frame for reply in messages for frame in frames(reply.unity_input.rl_input.side_channel))
        for messages in (played.replies, recording.replies)
    )
    assert len(ours) == 6  # five settings of the engine, and a parameter
    assert ours == [(channel, payload) for channel, payload in theirs if channel != TRAINING_ANALYTICS]


@pytest.mark.parametrize("name", ["Basic", "3DBall"])
def test_builds_from_before_hybrid_actions_get_the_old_field(name: str, tmp_path: Path) -> None:
    recording = Recording.load(name)
    recording.requests[0].unity_output.rl_initialization_output.capabilities.hybridActions = False
    replies = play(recording, tmp_path).replies
    for ours, theirs in zip(replies, recording.replies, strict=True):
        for behavior, actions in theirs.unity_input.rl_input.agent_actions.items():
            mine = ours.unity_input.rl_input.agent_actions[behavior].value
            assert [list(action.vector_actions_deprecated) for action in mine] == [
                list(action.vector_actions_deprecated) for action in actions.value
            ]


def frames(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Channel and payload of each side-channel message."""
    at = 0
    while at < len(data):
        end = at + 20 + int.from_bytes(data[at + 16 : at + 20], "little")
        yield data[at : at + 16], data[at + 20 : end]
        at = end
