"""Each fault of a build, injected into a real one: the right error, in words, and nothing left running."""

import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest

from rl_src.envs import errors
from rl_src.envs.client import Actions, UnityClient

RIGHT = {"Basic?team=0": Actions(np.zeros((1, 0), np.float32), np.full((1, 1), 2, np.int32))}


def play(program: Path, *arguments: str, log_file: Path | None = None) -> None:
    with UnityClient(
        program, arguments=arguments, startup_timeout_seconds=3, step_timeout_seconds=1, log_file=log_file
    ) as client:
        client.reset()
        for _ in range(20):
            client.step(RIGHT)


def assert_nothing_runs() -> None:
    assert [
        child for child in psutil.Process().children(recursive=True) if "supervisor.py" in str(child.cmdline())
    ] == []


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("crash-at-start", errors.BuildCrashedError, ["at its start", "exit code 134", "NullReferenceException"]),
        ("exit-at-start", errors.BuildNeverConnectedError, ["ended by itself without connecting"]),
        ("never-connect", errors.BuildNeverConnectedError, ["runs but did not connect", "3 s", "Behavior Type"]),
        ("wrong-version", errors.IncompatibleVersionError, ["9.0.0", "1.5.0"]),
        ("crash", errors.BuildCrashedError, ["in the middle", "exit code 134", "NullReferenceException"]),
        ("segfault", errors.BuildCrashedError, ["in the middle", "SIGSEGV"]),
        ("exit", errors.BuildQuitError, ["ended by itself in the middle"]),
        ("hang", errors.BuildHungError, ["not answered for 1 s", "step_timeout_seconds"]),
        ("quit", errors.BuildQuitError, ["ended the session by itself", "Application.Quit"]),
        ("nan-reward", errors.NonFiniteRewardError, ["Basic?team=0", "reward", "nan"]),
        ("infinite-reward", errors.NonFiniteRewardError, ["inf"]),
        ("nan-observation", errors.NonFiniteObservationError, ["BasicSensor"]),
        ("wrong-shape", errors.ProtocolError, ["21 values", "(20,)"]),
    ],
)
def test_each_fault_is_named_with_its_remedy(
    faulty: Path, fault: str, error: type[errors.UnityEnvironmentError], words: list[str]
) -> None:
    with pytest.raises(errors.UnityEnvironmentError) as raised:
        play(faulty, "--fault", fault)
    assert type(raised.value) is error
    for word in words:
        assert word in str(raised.value)
    assert len(f"[{raised.value.code}] {raised.value}") <= 1024
    assert_nothing_runs()


def test_a_fault_that_comes_at_the_first_step(faulty: Path) -> None:
    with pytest.raises(errors.BuildCrashedError):
        play(faulty, "--fault", "crash", "--after", "0")


def test_without_its_fault_the_build_plays(faulty: Path) -> None:
    play(faulty)


def test_the_log_of_a_failed_build_is_kept(faulty: Path, tmp_path: Path) -> None:
    log_file = tmp_path / "player.log"
    with pytest.raises(errors.BuildCrashedError):
        play(faulty, "--fault", "crash", log_file=log_file)
    assert "NullReferenceException" in log_file.read_text()


def script(folder: Path, text: str) -> Path:
    program = folder / "Game.x86_64"
    program.write_text(text)
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", errors.BuildNotStartableError, ["an empty file"]),
        ("MZ\x90", errors.BuildNotStartableError, ["a Windows program"]),
        ("#!/no/such/interpreter\n", errors.BuildNotStartableError, ["/no/such/interpreter"]),
        ("#!/bin/sh\r\necho\n", errors.BuildNotStartableError, ["line ends"]),
        ("#!/usr/bin/env no-such-interpreter\n", errors.BuildCrashedError, ["no-such-interpreter"]),
        ("#!/bin/sh\necho cannot open display >&2; exit 1\n", errors.BuildCrashedError, ["cannot open display"]),
        ("#!/bin/sh\nkill -9 $$\n", errors.BuildCrashedError, ["SIGKILL"]),
        (
            "#!/bin/sh\necho 'error while loading shared libraries: libGL.so.1: cannot open'; exit 127",
            errors.BuildCrashedError,
            ["The library libGL.so.1 is missing"],
        ),
    ],
)
def test_programs_that_cannot_run(
    tmp_path: Path, text: str, error: type[errors.UnityEnvironmentError], words: list[str]
) -> None:
    with pytest.raises(errors.UnityEnvironmentError) as raised:
        play(script(tmp_path, text))
    assert type(raised.value) is error
    for word in words:
        assert word in str(raised.value)
    assert_nothing_runs()


def test_a_damaged_elf_is_refused_by_the_system(tmp_path: Path) -> None:
    program = tmp_path / "Game.x86_64"
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + (62).to_bytes(2, "little")
    program.write_bytes(header + bytes(200))
    program.chmod(0o755)
    with pytest.raises(errors.BuildNotStartableError, match="cannot run"):
        play(program)


def test_a_program_without_its_run_bit(basic: Path, tmp_path: Path) -> None:
    program = Path(shutil.copy(basic, tmp_path))
    program.chmod(0o644)
    with pytest.raises(errors.BuildNotStartableError, match=r"chmod \+x"):
        play(program)


def test_a_mono_build_without_the_toolkit_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "Game_Data" / "Managed").mkdir(parents=True)
    with pytest.raises(errors.BuildNeverConnectedError, match="contains no ML-Agents"):
        play(script(tmp_path, "#!/bin/sh\nexit 0\n"))


def test_a_program_that_speaks_something_else_never_connected(tmp_path: Path) -> None:
    text = """#!/usr/bin/env python3
import socket, sys, time
port = int(sys.argv[sys.argv.index("--mlagents-port") + 1])
sock = socket.create_connection(("127.0.0.1", port))
sock.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
time.sleep(60)
"""
    with pytest.raises(errors.BuildNeverConnectedError):
        play(script(tmp_path, text))
    assert_nothing_runs()
