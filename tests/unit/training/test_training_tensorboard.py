"""TensorBoard's event files, read back record by record with their checksums."""

import struct
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from rl_src.training.progress.tensorboard import TensorBoardLog


def line(steps: int, behavior: str = "Basic", **values: Any) -> dict[str, Any]:
    return {"behavior": behavior, "env_steps": steps, "wall_time_seconds": steps / 100, **values}


def events(folder: Path) -> list[Event]:
    """The events of the only file in a folder; a record is length, checksum, bytes, checksum (TFRecord)."""
    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,), checks = struct.unpack_from("<Q", data), struct.unpack_from("<I", data, 8)
        body, data = data[12 : 12 + length], data[12 + length :]
        assert checks == (masked(struct.pack("<Q", length)),)
        assert struct.unpack_from("<I", data) == (masked(body),)
        found.append(Event.FromString(body))
        data = data[4:]
    assert found[0].file_version == "brain.Event:2"
    return found[1:]


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [
        (event.step, pytest.approx(value.simple_value))
        for event in events(folder)
        for value in event.summary.value
        if value.tag == tag
    ]


def tags(folder: Path) -> set[str]:
    return {value.tag for event in events(folder) for value in event.summary.value}


def test_a_curve_is_over_agent_decisions(tmp_path):
    with TensorBoardLog(tmp_path) as log:
        log.add(line(256, mean_return=-0.1))
        log.add(line(512, mean_return=0.9))
    assert curve(tmp_path / "Basic", "Environment/Cumulative Reward") == [(256, -0.1), (512, 0.9)]


def test_the_names_are_ml_agents_own(tmp_path):
    values = {
        "mean_return": 1.0,
        "mean_episode_length": 9.0,
        "entropy": 0.7,
        "lr": 3e-4,
        "policy_loss": -0.02,
        "vf_loss": 0.5,
        "elo": 1210.0,
        "lessons": {"wall_height": 2},
    }
    with TensorBoardLog(tmp_path) as log:
        log.add(line(1, **values))
    expected = {
        "Environment/Cumulative Reward",
        "Environment/Episode Length",
        "Environment/Lesson Number/wall_height",
        "Losses/Policy Loss",
        "Losses/Value Loss",
        "Policy/Entropy",
        "Policy/Learning Rate",
        "Self-play/ELO",
    }
    assert tags(tmp_path / "Basic") == expected
    assert curve(tmp_path / "Basic", "Environment/Lesson Number/wall_height") == [(1, 2.0)]
    assert curve(tmp_path / "Basic", "Losses/Policy Loss") == [(1, 0.02)]  # without its sign, as ML-Agents shows it


def test_what_is_not_known_is_left_out(tmp_path):
    with TensorBoardLog(tmp_path) as log:
        log.add(line(1, mean_return=None, entropy=1.0, kl=float("nan"), vf_loss=float("inf"), anything="else"))
    assert tags(tmp_path / "Basic") == {"Policy/Entropy"}


def test_every_behavior_is_a_run_of_its_own(tmp_path):
    with TensorBoardLog(tmp_path / "board") as log:
        log.add(line(1, "Striker", mean_return=1.0))
        log.add(line(2, "../Goalie", mean_return=2.0))
        log.add(line(3, "Striker", mean_return=3.0))
    folders = sorted((tmp_path / "board").iterdir())
    assert len(folders) == 2
    assert [item.name for item in tmp_path.iterdir()] == ["board"]
    found = [curve(folder, "Environment/Cumulative Reward") for folder in folders]
    assert sorted(found, key=len) == [[(2, 2.0)], [(1, 1.0), (3, 3.0)]]


def test_a_line_is_on_disk_at_once(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.add(line(7, mean_return=1.0))
    assert curve(tmp_path / "Basic", "Environment/Cumulative Reward") == [(7, 1.0)]
    log.close()
    log.close()


def test_a_resumed_training_writes_one_curve(tmp_path):
    lines = [line(100, mean_return=0.1), line(200, mean_return=0.2), line(300, mean_return=0.3)]
    with TensorBoardLog(tmp_path) as log:
        for item in lines:
            log.add(item)
    with TensorBoardLog(tmp_path, lines[:2]) as log:  # the checkpoint is older than the last line
        log.add(line(250, mean_return=0.25))
    assert curve(tmp_path / "Basic", "Environment/Cumulative Reward") == [(100, 0.1), (200, 0.2), (250, 0.25)]
    times = [event.wall_time for event in events(tmp_path / "Basic")]
    assert times == sorted(times)
    assert times[2] - times[0] == pytest.approx(1.5, abs=1e-3)
