"""What a build may send is bounded: each excess is refused by name, and before it takes memory."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl_src.envs import limits
from rl_src.envs.errors import ProtocolError, SensorImageError, UnityEnvironmentError, WireLimitError
from rl_src.envs.limits import WireLimits
from rl_src.envs.protocol import message_class
from rl_src.envs.side_channels import STATISTICS_ID, SideChannels, StatisticsChannel
from sample_builds.player.png import encode_png
from tests.fakes.threaded_build import client_of
from tests.peers.exchanges import FILE, read_messages

ROOT = Path(__file__).parents[2]
MESSAGE = message_class("UnityMessageProto")
NAME = "Basic?team=0"
HANDSHAKE = read_messages(ROOT / "tests" / "data" / "recorded_exchanges" / "Basic" / FILE)[:4:2]
Change = Callable[[Any, Any], None]


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def nothing(_brain: Any, _agent: Any) -> None:
    """As it is."""


def exchange(change: Change = nothing, name: str = NAME) -> bytes:
    """A message of one behavior with one agent, after `change(brain, agent)`."""
    message = MESSAGE()
    message.header.status = 200
    brain = message.unity_output.rl_initialization_output.brain_parameters.add(brain_name=name)
    brain.action_spec.num_discrete_actions = 1
    brain.action_spec.discrete_branch_sizes.append(3)
    agent = message.unity_output.rl_output.agentInfos[name].value.add(id=1)
    agent.observations.add(name="Sensor", shape=[2]).float_data.data.extend([1.0, 2.0])
    change(brain, agent)
    return bytes(message.SerializeToString())


def agents(records: bytes, side_channel: bytes = b"") -> bytes:
    """A message of serialized agents, put together by hand."""
    header = MESSAGE(header={"status": 200}).SerializeToString()
    infos = field(1, NAME.encode()) + field(2, records)
    return bytes(header + field(2, field(1, field(2, infos) + (field(3, side_channel) if side_channel else b""))))


def one_agent(message: bytes) -> bytes:
    agent = MESSAGE.FromString(message).unity_output.rl_output.agentInfos[NAME].value[0]
    return field(1, agent.SerializeToString())


def play(*messages: bytes, **settings: Any) -> None:
    client, build = client_of([*HANDSHAKE, *messages], **settings)
    with client:
        client.send_reset()
        client.receive()
        for _ in messages[1:]:
            client.send_reset()
            client.receive()
    build.join()


def refused(*messages: bytes, **settings: Any) -> UnityEnvironmentError:
    with pytest.raises(UnityEnvironmentError) as caught:
        play(*messages, **settings)
    assert caught.value.remedy
    return caught.value


def shape(*axes: int) -> Change:
    def change(_brain: Any, agent: Any) -> None:
        del agent.observations[0].shape[:]
        agent.observations[0].shape.extend(axes)

    return change


def branches(*sizes: int) -> Change:
    def change(brain: Any, _agent: Any) -> None:
        del brain.action_spec.discrete_branch_sizes[:]
        brain.action_spec.discrete_branch_sizes.extend(sizes)

    return change


def continuous(size: int) -> Change:
    def change(brain: Any, _agent: Any) -> None:
        brain.action_spec.num_continuous_actions = size

    return change


def sensors(count: int) -> Change:
    def change(_brain: Any, agent: Any) -> None:
        for number in range(count - 1):
            agent.observations.add(name=f"{number}", shape=[1]).float_data.data.append(0.0)

    return change


def sensor_name(name: str) -> Change:
    def change(_brain: Any, agent: Any) -> None:
        agent.observations[0].name = name

    return change


def properties(*values: int) -> Change:
    def change(_brain: Any, agent: Any) -> None:
        agent.observations[0].dimension_properties.extend(values)

    return change


def camera(side: int, picture: bytes) -> Change:
    def change(_brain: Any, agent: Any) -> None:
        del agent.observations[:]
        agent.observations.add(name="Camera", shape=[3, side, side], compression_type=1, compressed_data=picture)

    return change


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (shape(100_000, 100_000), WireLimitError, "10,000,000,000 values; at most 16,777,216"),
        (shape(*[2**31 - 1] * 4), WireLimitError, "values; at most"),
        (shape(*[1] * 9), WireLimitError, "9 axes; at most 8"),
        (shape(-1, 2), ProtocolError, "the shape (-1, 2)"),
        (properties(1, 1), ProtocolError, "2 dimension properties"),
        (sensors(257), WireLimitError, "257 sensors; at most 256"),
        (sensor_name("n" * 201), WireLimitError, "name of a sensor is too long"),
        (sensor_name("游" * 30), WireLimitError, "name of a sensor is too long"),
        (sensor_name("a\x1b[2Jb"), ProtocolError, r"nobody sees: 'a\x1b[2Jb'"),
        (sensor_name("a\nb"), ProtocolError, "nobody sees"),
        (branches(10_001), WireLimitError, "10,001 actions; at most 10,000"),
        (branches(*[1] * 10_001), WireLimitError, "10,001 actions"),
        (branches(3, 0), ProtocolError, "cannot be less than 1"),
        (branches(-5), ProtocolError, "action sizes 0, -5"),
        (continuous(2**31 - 1), WireLimitError, "actions; at most"),
        (continuous(-1), ProtocolError, "action sizes -1"),
    ],
)
def test_a_spec_that_is_too_large_or_cannot_be(change: Change, kind: type[UnityEnvironmentError], words: str) -> None:
    error = refused(exchange(change))
    assert type(error) is kind
    assert words in error.cause


@pytest.mark.parametrize(
    "change", [nothing, sensors(256), branches(10_000), continuous(9_997), sensor_name("n" * 200), shape(1, 1, 1, 2)]
)
def test_what_is_just_within_the_limits_is_played(change: Change) -> None:
    play(exchange(change))


def test_a_behaviors_name_fits_into_a_files_name() -> None:
    play(exchange(name="n" * 200 + "?team=0"))
    assert "name of a behavior is too long" in refused(exchange(name="n" * 201)).cause


@pytest.mark.parametrize("name", ["a\x1b]52;c;eA==\x07", "a\u202eb", "a\u2028b", "\x9b2J", "\0"])
def test_a_behaviors_name_does_nothing_to_a_terminal(name: str) -> None:
    cause = refused(exchange(name=f"{name}?team=0")).cause
    assert "name of a behavior" in cause
    assert cause.isprintable()


def test_behaviors_without_number() -> None:
    together = MESSAGE()
    for number in range(limits.MAX_BEHAVIORS + 1):
        together.MergeFromString(exchange(name=f"Behavior {number}"))
    error = refused(together.SerializeToString())
    assert type(error) is WireLimitError
    assert "more than 100 behaviors" in error.cause


def test_agents_without_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_AGENTS", 50)
    error = refused(exchange(), agents(one_agent(exchange()) * 51))
    assert type(error) is WireLimitError
    assert "more than 50 agents" in error.cause


def test_pictures_that_would_unpack_to_gigabytes() -> None:
    """Each PNG is what its sensor says, and small; together they are not."""
    message = exchange(camera(1000, encode_png(bytes(3_000_000), 1000, 1000)))
    error = refused(message, agents(one_agent(message) * 100))
    assert type(error) is WireLimitError
    assert "100 agents of 12,000,003 bytes each are more than 1,024 MB" in error.cause


@pytest.mark.parametrize("size", [(40_000, 40_000), (2**31 - 1, 2**31 - 1), (0, 0)])
def test_a_picture_of_another_size_is_not_unpacked(size: tuple[int, int]) -> None:
    """The size that its header says, and next to no data."""
    picture = bytearray(encode_png(bytes(48), 4, 4))
    struct.pack_into(">II", picture, 16, *size)
    error = refused(exchange(camera(4, bytes(picture))))
    assert type(error) is SensorImageError
    assert f"an image of {size[::-1]} pixels" in error.cause


def frame(payload: bytes) -> bytes:
    return STATISTICS_ID.bytes_le + struct.pack("<i", len(payload)) + payload


def statistic(key: bytes, length: int | None = None) -> bytes:
    return frame(struct.pack("<i", len(key) if length is None else length) + key + struct.pack("<f", 1.0))


STRANGE_FRAME = bytes(16) + struct.pack("<i", 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"".join(statistic(b"%d" % number) for number in range(1001)), "more than 1,000 names"),
        (statistic(b"k" * 257), "name has 257 bytes"),
        (statistic(b"k", -1), "name has -1 bytes"),
        (statistic(b"k", 2**31 - 1), "name has 2,147,483,647 bytes"),
        (STRANGE_FRAME * 100_001, "more than 100,000 side channel messages"),
    ],
)
def test_side_channels_without_measure(data: bytes, words: str) -> None:
    with pytest.raises(WireLimitError, match=words):
        SideChannels([StatisticsChannel()]).incoming(data)


def test_side_channels_within_the_limits() -> None:
    statistics = StatisticsChannel()
    many = b"".join(statistic(b"%d" % number) for number in range(1000))
    SideChannels([statistics]).incoming(many + statistic(b"0" * 256)[:0] + STRANGE_FRAME * 99_000)
    assert len(statistics.take()) == 1000


def test_statistics_that_nobody_asks_for_do_not_pile_up() -> None:
    statistics = StatisticsChannel()
    channels = SideChannels([statistics])
    for _ in range(5):
        channels.incoming(statistic(b"reward") * 2000)
    assert {key: len(values) for key, values in statistics.take().items()} == {"reward": 4096}
    assert statistics.take() == {}


AMPLIFIED = """
import json, resource
from rl_src.envs.decoding import BehaviorDecoder
from rl_src.envs.errors import WireLimitError
from rl_src.envs.limits import require_bearable_message
from rl_src.envs.protocol import opaque_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from tests.security.test_security_wire_limits import field

opaque_class("UnityMessageProto"), opaque_class("AgentInfoProto")
decoder = BehaviorDecoder(BehaviorSpec("B", (ObservationSpec("s", (2,)),), ActionSpec(1)), False)
size = 64 * 1024**2
floods = {
    "agents": lambda: b"\\x0a\\x00" * (size // 2),
    "agents of different lengths": lambda: (b"\\x0a\\x00" + b"\\x0a\\x02\\x50\\x01") * (size // 6),
    "observations": lambda: field(1, b"\\x6a\\x00" * (size // 2)),
    "observations of odd lengths": lambda: field(1, b"\\x6a\\x02\\x08\\x01" * (size // 4)),
    "behaviors": lambda: field(2, field(2, b"\\x2a\\x00" * (size // 2))),
    "names": lambda: field(2, field(1, b"\\x12\\x00" * (size // 2))),
}
made = {name: make() for name, make in floods.items()}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmSize"].split()[0]) * 1024 + 300 * 1024**2
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
refusals = {}
for name, flood in made.items():
    try:
        if name in ("behaviors", "names"):
            require_bearable_message(flood)
            opaque_class("UnityMessageProto").FromString(flood)
        else:
            decoder.decode(flood)
    except WireLimitError as error:
        refusals[name] = error.cause
print(json.dumps(refusals))
"""


FLOODS = {
    "agents": "more than 100,000 agents",
    "agents of different lengths": "more than 100,000 agents",
    "observations": "more than 1,000,000 observations",
    "observations of odd lengths": "more than 1,000,000 observations",
    "behaviors": "more than 10,000 parts",
    "names": "more than 10,000 parts",
}


def test_few_bytes_that_would_become_many_objects() -> None:
    """64 MB each, of which protobuf would make gigabytes, in a process that may take 300 MB more than it has."""
    done = subprocess.run(
        [sys.executable, "-c", AMPLIFIED], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    refusals = json.loads(done.stdout)
    assert refusals.keys() == FLOODS.keys()
    assert all(FLOODS[flood] in cause for flood, cause in refusals.items())


@pytest.mark.parametrize("value", ["0", "-5", "x", "4096", "1e3", "²"])
def test_a_setting_that_is_no_number_of_megabytes(value: str) -> None:
    with pytest.raises(ValueError, match="GAMEDOJO_MAX_MESSAGE_MB"):
        WireLimits.from_environment({"GAMEDOJO_MAX_MESSAGE_MB": value})


def test_the_message_size_is_a_setting() -> None:
    assert WireLimits.from_environment({"GAMEDOJO_MAX_MESSAGE_MB": "7"}) == WireLimits(7 * 1024**2)
    large = agents(b"", bytes(16) + struct.pack("<i", 2_000_000) + bytes(2_000_000))
    play(exchange(), large)
    error = refused(exchange(), large, limits=WireLimits(1_000_000))
    assert "more than 1000000 bytes" in error.cause
    assert "Send less at once" in error.remedy
