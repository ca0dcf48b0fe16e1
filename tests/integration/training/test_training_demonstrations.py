"""What is read from a recording is what was played; whatever is no recording of the behavior is refused by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl_src.envs.protocol import message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidDemonstrationError
from rl_src.training.imitation.demonstrations import Demonstrations, demonstrations_for
from tests.fakes.demo_recordings import (
    BRAIN_AT,
    Moment,
    Recorded,
    at_random,
    basic_going_right,
    delimited,
    record,
    right_going,
    write_demo,
)
from tests.fakes.sample_players import unpacked, use_this_interpreter

BASIC = BehaviorSpec("Basic?team=0", (ObservationSpec("BasicSensor", (20,)),), ActionSpec(0, (3,)))
HYBRID = BehaviorSpec("Mixed", (ObservationSpec("seen", (2,)),), ActionSpec(2, (3, 4)))


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch):
    use_this_interpreter(monkeypatch)


@pytest.fixture
def basic(tmp_path) -> Path:
    path = tmp_path / "Basic.demo"
    basic_going_right(path, BASIC, episodes=2)
    return path


def assert_same(read: Demonstrations, recorded: Recorded) -> None:
    decided, spec = recorded.decided(), recorded.behavior.actions
    assert len(read) == len(decided) > 0
    for index, values in enumerate(read.observations):
        assert values.dtype == np.float32
        assert np.array_equal(values, np.stack([moment.observations[index] for moment in decided]))
    played = np.array([[*moment.continuous, *moment.discrete] for moment in decided], np.float32)
    assert np.array_equal(read.actions[:, spec.continuous_size :], played[:, spec.continuous_size :])
    assert np.array_equal(read.actions[:, : spec.continuous_size], np.float32(3) * played[:, : spec.continuous_size])
    if spec.discrete_branches:
        assert np.array_equal(read.masks, np.stack([moment.allowed for moment in decided]).astype(np.float32))
    else:
        assert read.masks is None


@pytest.mark.parametrize("taken_before", [False, True])
@pytest.mark.parametrize(
    ("build", "choose", "decisions"),
    [("Basic", right_going, 20), ("3DBall", at_random(1), 60), ("GridWorld", at_random(2), 30)],
)
def test_what_is_read_is_what_was_played(tmp_path, build, choose, decisions, taken_before):
    recorded = record(
        unpacked(build, tmp_path), tmp_path / "a.demo", choose, decisions=decisions, taken_before=taken_before
    )
    assert sum(moment.done for moment in recorded.moments) > 0
    pairing = "next" if taken_before else "own"
    assert_same(demonstrations_for(recorded.behavior, recorded.path, pairing), recorded)


def test_masks_and_pictures_are_there(tmp_path):
    recorded = record(unpacked("GridWorld", tmp_path), tmp_path / "a.demo", at_random(3), decisions=30)
    read = demonstrations_for(recorded.behavior, recorded.path)
    assert read.observations[0].shape[1:] == (3, 64, 84)
    assert 0 < read.observations[0].max() <= 1
    assert 0 < read.masks.mean() < 1


def test_hybrid_actions_and_an_unfinished_episode(tmp_path):
    moments = [
        Moment((np.array([i, -i]),), continuous=[i / 10, -1.0], discrete=[i % 3, i % 4], done=i == 3) for i in range(6)
    ]
    write_demo(tmp_path / "a.demo", HYBRID, moments)
    read = demonstrations_for(HYBRID, tmp_path / "a.demo")
    assert read.observations[0][:, 0].tolist() == [0, 1, 2, 4, 5]
    assert read.actions[:, 0] == pytest.approx(np.array([0, 0.3, 0.6, 1.2, 1.5]))
    assert read.actions[:, 1:].tolist() == [[-3, 0, 0], [-3, 1, 1], [-3, 2, 2], [-3, 1, 0], [-3, 2, 1]]
    assert read.masks.tolist() == [[1.0] * 7] * 5


def test_the_next_record_s_action_leaves_out_the_last_decision_of_an_unfinished_episode(tmp_path):
    moments = [Moment((np.array([i, i]),), continuous=[0, 0], discrete=[0, i], done=i == 2) for i in range(4)]
    write_demo(tmp_path / "a.demo", HYBRID, moments, taken_before=True)
    read = demonstrations_for(HYBRID, tmp_path / "a.demo", "next")
    assert read.observations[0][:, 0].tolist() == [0, 1]
    assert read.actions[:, 3].tolist() == [0, 1]


def test_actions_of_older_recorders(tmp_path):
    pair = message_class("AgentInfoActionPairProto")()
    sent = pair.agent_info.observations.add(shape=[20])
    sent.float_data.data.extend(np.eye(20)[3].tolist())
    pair.action_info.vector_actions_deprecated.extend([2.0])
    brain = message_class("BrainParametersProto")(brain_name="Basic", vector_action_size_deprecated=[3])
    write_parts(tmp_path / "a.demo", brain, [pair, pair])
    read = demonstrations_for(BASIC, tmp_path / "a.demo")
    assert read.actions.tolist() == [[2.0], [2.0]]
    assert read.observations[0].argmax(axis=1).tolist() == [3, 3]


def test_a_folder_s_files_are_read_by_name(tmp_path, basic):
    moment = Moment((np.zeros(20),), discrete=[1])
    write_demo(tmp_path / "Another.demo", BASIC, [moment])
    (tmp_path / "readme.txt").write_text("not a recording")
    read = demonstrations_for(BASIC, tmp_path)
    assert read.actions[:, 0].tolist() == [1.0, *[2.0] * 14]
    assert len(read.observations[0]) == len(read.masks) == 15


def test_names_do_not_count(basic):
    renamed = replace(BASIC, name="Other", observations=(ObservationSpec("elsewhere", (20,)),))
    assert demonstrations_for(renamed, basic).spec == renamed


def write_parts(path: Path, brain, pairs, **meta) -> None:
    head = delimited(message_class("DemonstrationMetaProto")(**{"api_version": 1, **meta}))
    path.write_bytes(head.ljust(BRAIN_AT, b"\0") + delimited(brain) + b"".join(map(delimited, pairs)))


def test_another_spec_is_refused_with_every_difference(basic):
    other = BehaviorSpec("Other", (ObservationSpec("a", (8,)),), ActionSpec(2, (4, 2)))
    with pytest.raises(InvalidDemonstrationError) as caught:
        demonstrations_for(other, basic)
    for part in ("Basic.demo", "(20,)", "(8,)", "0 continuous", "build 2", "(3,)", "(4, 2)"):
        assert part in caught.value.cause
    assert "Record it again" in caught.value.remedy


def test_another_number_of_observations_is_refused(basic):
    other = replace(BASIC, observations=(*BASIC.observations, ObservationSpec("map", (3, 64, 84))))
    with pytest.raises(InvalidDemonstrationError, match=r"1 observations \(20\), the build 2 \(20, 3x64x84\)"):
        demonstrations_for(other, basic)


def test_one_file_of_another_behavior_in_a_folder_is_named(tmp_path, basic):
    write_demo(tmp_path / "Wrong.demo", HYBRID, [Moment((np.zeros(2),), continuous=[0, 0], discrete=[0, 0])])
    with pytest.raises(InvalidDemonstrationError, match=r"Wrong\.demo is of another behavior than Basic"):
        demonstrations_for(BASIC, tmp_path)


@pytest.mark.parametrize("length", range(1, 400, 3))
def test_a_file_cut_off_anywhere_is_refused(basic, length):
    basic.write_bytes(basic.read_bytes()[:length])
    with pytest.raises(InvalidDemonstrationError, match=r"Basic\.demo") as caught:
        demonstrations_for(BASIC, basic)
    assert caught.value.remedy


def test_a_file_that_ends_between_two_records_is_refused(basic):
    whole = demonstrations_for(BASIC, basic)
    data = basic.read_bytes()
    last = len(delimited(message_class("AgentInfoActionPairProto").FromString(data[-_last_record(data) :])))
    basic.write_bytes(data[:-last])
    with pytest.raises(InvalidDemonstrationError, match="15 of its 16 records"):
        demonstrations_for(BASIC, basic)
    assert len(whole) == 14


def _last_record(data: bytes) -> int:
    """Bytes of the last message, without its length."""
    position = BRAIN_AT
    while True:
        size, begin = data[position], position + 1
        if size >= 0x80:
            size, begin = size & 0x7F | data[position + 1] << 7, position + 2
        if begin + size == len(data):
            return size
        position = begin + size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no ML-Agents recording"),
        (b"PK\x03\x04" + bytes(100), "no ML-Agents recording"),
        (b"Hello, I am a text of some length.", "no ML-Agents recording"),
        (b"\x05\xff\xff\xff\xff\xff" + bytes(60), "no ML-Agents recording"),
        (b"\xff" * 200, "no ML-Agents recording"),
        (bytes(20), "ends before"),
        (bytes(33), "ends before"),
        (bytes(500), r"another behavior|cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, words):
    path = tmp_path / "Foreign.demo"
    path.write_bytes(content)
    with pytest.raises(InvalidDemonstrationError, match=words) as caught:
        demonstrations_for(BASIC, path)
    assert "Foreign.demo" in caught.value.cause


def test_a_file_without_records_is_refused(tmp_path):
    write_parts(tmp_path / "a.demo", message_class("BrainParametersProto")(brain_name="Basic"), [])
    with pytest.raises(InvalidDemonstrationError, match="holds no records"):
        demonstrations_for(BASIC, tmp_path / "a.demo")


def test_a_file_with_ends_only_is_refused(tmp_path):
    write_demo(tmp_path / "a.demo", BASIC, [Moment((np.zeros(20),), done=True)] * 2)
    for pairing in ("own", "next"):
        with pytest.raises(InvalidDemonstrationError, match="no decisions"):
            demonstrations_for(BASIC, tmp_path / "a.demo", pairing)


def test_a_format_of_the_future_is_refused(tmp_path):
    brain = message_class("BrainParametersProto")(brain_name="Basic")
    write_parts(tmp_path / "a.demo", brain, [], api_version=7)
    with pytest.raises(InvalidDemonstrationError, match="format version 7; known are 0 and 1"):
        demonstrations_for(BASIC, tmp_path / "a.demo")


def test_a_record_that_cannot_be_read_is_refused(basic):
    data = bytearray(basic.read_bytes())
    size = _last_record(bytes(data))
    data[-size:] = b"\xff" * size
    basic.write_bytes(bytes(data))
    with pytest.raises(InvalidDemonstrationError, match="is damaged"):
        demonstrations_for(BASIC, basic)


@pytest.mark.parametrize("choice", [3, -1])
def test_a_choice_that_there_is_not_is_refused(tmp_path, choice):
    write_demo(tmp_path / "a.demo", BASIC, [Moment((np.zeros(20),), discrete=[choice])])
    with pytest.raises(InvalidDemonstrationError, match="a choice that its branch does not have"):
        demonstrations_for(BASIC, tmp_path / "a.demo")


@pytest.mark.parametrize("values", [[float("nan"), 0.0], [0.0, float("inf")]])
def test_an_action_that_is_not_finite_is_refused(tmp_path, values):
    write_demo(tmp_path / "a.demo", HYBRID, [Moment((np.zeros(2),), continuous=values, discrete=[0, 0])])
    with pytest.raises(InvalidDemonstrationError, match="not finite"):
        demonstrations_for(HYBRID, tmp_path / "a.demo")


def test_a_missing_action_is_refused(tmp_path):
    write_demo(tmp_path / "a.demo", HYBRID, [Moment((np.zeros(2),), continuous=[0.0, 0.0])])
    with pytest.raises(InvalidDemonstrationError, match="a record with 2 actions; the behavior takes 4"):
        demonstrations_for(HYBRID, tmp_path / "a.demo")


def test_an_observation_that_is_not_a_number_is_refused(tmp_path):
    write_demo(tmp_path / "a.demo", BASIC, [Moment((np.full(20, np.nan),), discrete=[0])])
    with pytest.raises(InvalidDemonstrationError, match=r"a\.demo does not fit: .*NaN"):
        demonstrations_for(BASIC, tmp_path / "a.demo")


def test_an_observation_of_another_size_than_the_first_is_refused(tmp_path):
    good, odd = (Moment((np.zeros(size),), discrete=[0]) for size in (20, 8))
    write_demo(tmp_path / "a.demo", BASIC, [good, odd])
    with pytest.raises(InvalidDemonstrationError, match=r"a\.demo does not fit: .*8 values"):
        demonstrations_for(BASIC, tmp_path / "a.demo")


def test_a_missing_file_and_a_folder_without_recordings_are_refused(tmp_path):
    with pytest.raises(InvalidDemonstrationError, match=r"no recording Missing\.demo"):
        demonstrations_for(BASIC, tmp_path / "Missing.demo")
    with pytest.raises(InvalidDemonstrationError, match=r"has no \.demo files"):
        demonstrations_for(BASIC, tmp_path)
