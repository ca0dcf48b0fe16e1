"""Side channels, against the reader that the sample builds have of their own."""

import struct
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_src.envs.errors import ProtocolError
from rl_src.envs.side_channels import (
    ENGINE_CONFIGURATION_ID,
    ENVIRONMENT_PARAMETERS_ID,
    EngineConfigurationChannel,
    EnvironmentParametersChannel,
    Gaussian,
    SideChannel,
    SideChannels,
    StatisticsChannel,
    Uniform,
)
from sample_builds.player.side_channels import engine_setting, environment_parameter, frame, frames, statistic

float32 = st.floats(width=32, allow_nan=False)
names = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1)


class Recorder(SideChannel):
    def __init__(self, channel_id: UUID) -> None:
        super().__init__(channel_id)
        self.received: list[bytes] = []

    def receive(self, payload: bytes) -> None:
        self.received.append(payload)


def test_engine_configuration_is_read_as_it_was_sent() -> None:
    channel = EngineConfigurationChannel()
    channel.configure(time_scale=7.5)
    sent = dict(engine_setting(payload) for _, payload in frames(SideChannels([channel]).outgoing()))
    assert sent == {
        "screen_resolution": (80, 80),
        "quality_level": (1,),
        "time_scale": (7.5,),
        "target_frame_rate": (-1,),
        "capture_frame_rate": (60,),
    }


def test_a_frame_is_the_little_endian_id_the_length_and_the_payload() -> None:
    channel = EnvironmentParametersChannel()
    channel.set_parameters({"g": 1.0})
    payload = b"\x01\0\0\0g" + b"\0\0\0\0" + b"\0\0\x80?"
    id_bytes = bytes.fromhex("1e894c53 0f81 ea11 a9d0822485860400".replace(" ", ""))
    assert SideChannels([channel]).outgoing() == id_bytes + b"\x0d\0\0\0" + payload


@given(st.dictionaries(names, float32))
def test_environment_parameters_are_read_as_they_were_sent(parameters: dict[str, float]) -> None:
    channel = EnvironmentParametersChannel()
    channel.set_parameters(parameters)
    sent = list(frames(SideChannels([channel]).outgoing()))
    assert all(channel_id == ENVIRONMENT_PARAMETERS_ID.bytes_le for channel_id, _ in sent)
    assert {key: read() for key, read in (environment_parameter(payload) for _, payload in sent)} == parameters


@given(st.lists(st.tuples(names, float32)))
def test_statistics_are_kept_in_order_and_taken_once(values: list[tuple[str, float]]) -> None:
    channel = StatisticsChannel()
    SideChannels([channel]).incoming(b"".join(statistic(key, value) for key, value in values))
    expected: dict[str, list[float]] = {}
    for key, value in values:
        expected.setdefault(key, []).append(value)
    assert channel.take() == expected
    assert channel.take() == {}


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_messages_reach_their_own_channel_only(first: list[bytes], second: list[bytes]) -> None:
    one, two, stranger = Recorder(uuid4()), Recorder(uuid4()), uuid4()
    data = b"".join(frame(one.channel_id.bytes_le, payload) for payload in first)
    data += frame(stranger.bytes_le, b"nobody reads this")
    data += b"".join(frame(two.channel_id.bytes_le, payload) for payload in second)
    SideChannels([one, two]).incoming(data)
    assert (one.received, two.received) == (first, second)


def test_what_was_sent_is_not_sent_again() -> None:
    channel = Recorder(uuid4())
    channels = SideChannels([channel])
    channel.send(b"once")
    assert channels.outgoing()
    assert channels.outgoing() == b""


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_frame_cut_short_is_an_error(payload: bytes, data: st.DataObject) -> None:
    channel = Recorder(uuid4())
    whole = frame(channel.channel_id.bytes_le, payload)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ProtocolError, match="cut short"):
        SideChannels([channel]).incoming(whole[:cut])


def test_a_negative_length_is_an_error() -> None:
    channel = Recorder(uuid4())
    with pytest.raises(ProtocolError):
        SideChannels([channel]).incoming(channel.channel_id.bytes_le + struct.pack("<i", -1))


def test_a_statistic_cut_short_is_an_error() -> None:
    channel = StatisticsChannel()
    with pytest.raises(ProtocolError):
        SideChannels([channel]).incoming(frame(channel.channel_id.bytes_le, b"\x05\0\0\0ab"))


def test_two_channels_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match=str(ENGINE_CONFIGURATION_ID)):
        SideChannels([EngineConfigurationChannel(), EngineConfigurationChannel()])


def test_parameters_of_the_same_range_get_seeds_of_their_own_that_repeat() -> None:
    def seeds(seed: int) -> list[int]:
        channel = EnvironmentParametersChannel(seed)
        channel.set_parameters({"mass": Uniform(0, 1), "size": Uniform(0, 1), "wind": Gaussian(0, 1)})
        # a text: its length and bytes; then the kind of value and the seed
        return [struct.unpack_from("<i", payload, 4 + 4 + 4)[0] for payload in channel.drain()]

    assert len({*seeds(3)}) == 3
    assert seeds(3) == seeds(3)
    assert seeds(3) != seeds(4)
    assert all(0 <= seed < 2**31 for seed in seeds(2**31 - 1))
