"""Each fault of a build, injected into a real one: the right error, in words, and nothing left running."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest

from rl_src.envs import errors
from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.client import UnityClient
from rl_src.envs.transport import ExchangeServer
from sample_builds.scenes.faulty import AT_START, ATTACKS, FAULTS, NUISANCES
from sample_builds.scenes.misdeeds import FLOOD_BYTES
from sample_builds.scenes.oddities import ODDITIES

NAME = "Basic?team=0"
STEPS = 12

FAULTS_AT_START = [
    ("crash-at-start", errors.BuildCrashedError, ["at its start", "exit code 134", "threw an exception (NullRef"]),
    ("exit-at-start", errors.BuildNeverConnectedError, ["ended by itself without connecting"]),
    ("missing-library", errors.BuildCrashedError, ["exit code 127", "The library libGL.so.1 is missing"]),
    ("never-connect", errors.BuildNeverConnectedError, ["runs but did not connect", "5 s", "Behavior Type"]),
    ("hang-before-handshake", errors.BuildNeverConnectedError, ["did not connect", "startup_timeout_seconds"]),
    ("not-grpc", errors.ProtocolError, ["hung up", "at its start", "'GET / HTTP/1.1'", "--mlagents-port"]),
    ("slow-start", errors.BuildNeverConnectedError, ["did not connect", "startup_timeout_seconds"]),
    ("garbage-at-start", errors.ProtocolError, ["cannot be read", "com.unity.ml-agents"]),
    ("wrong-version", errors.IncompatibleVersionError, ["9.0.0", "1.5.0", "build again"]),
    ("hang-in-handshake", errors.BuildHungError, ["still runs", "within 5 s of its start", "startup_timeout_seconds"]),
    ("crash-in-handshake", errors.BuildCrashedError, ["during the handshake", "exit code 134", "NullReferenceExc"]),
]
FAULTS_IN_THE_MIDDLE = [
    ("crash", errors.BuildCrashedError, ["in the middle", "exit code 134", "threw an exception (NullRef"]),
    ("segfault", errors.BuildCrashedError, ["in the middle", "signal 11 (SIGSEGV)"]),
    ("killed", errors.BuildCrashedError, ["in the middle", "signal 9 (SIGKILL)", "memory", "environment.num_builds"]),
    ("exit", errors.BuildQuitError, ["ended by itself in the middle"]),
    ("quit", errors.BuildQuitError, ["ended the session by itself", "Application.Quit"]),
    ("hang", errors.BuildHungError, ["not answered for 2 s", "step_timeout_seconds"]),
    ("slow-step", errors.BuildHungError, ["not answered for 2 s", "step_timeout_seconds"]),
    ("garbage", errors.ProtocolError, ["cannot be read"]),
    ("garbage-agents", errors.ProtocolError, ["cannot be read"]),
    ("nan-reward", errors.NonFiniteRewardError, [NAME, "reward", "nan", "AddReward"]),
    ("infinite-reward", errors.NonFiniteRewardError, [NAME, "inf"]),
    ("nan-observation", errors.NonFiniteObservationError, [NAME, "BasicSensor", "at agent ", "CollectObservations"]),
    ("wrong-shape", errors.AgentMismatchError, [NAME, "BasicSensor", "21 values", "(20,)", "same sensors"]),
    ("missing-sensor", errors.AgentMismatchError, [NAME, "0 observations", "same sensors"]),
    ("extra-sensor", errors.AgentMismatchError, [NAME, "2 observations", "same sensors"]),
    ("wrong-mask", errors.AgentMismatchError, [NAME, "4 action mask entries", "3", "branches"]),
    ("unknown-behavior", errors.ProtocolError, ["not described", "Stranger?team=0"]),
    ("truncated-side-channel", errors.ProtocolError, ["side channel", "cut short"]),
    ("not-png", errors.SensorImageError, ["Colour", "no PNG", "GetCompressedObservation"]),
    ("truncated-png", errors.SensorImageError, ["Colour", "PNG", "GetCompressedObservation"]),
    ("wrong-picture-size", errors.SensorImageError, ["Colour", "(5, 4)", "(3, 6, 4)", "same width and height"]),
]
WAITED_FOR = {"never-connect", "hang-before-handshake", "not-grpc", "slow-start", "hang-in-handshake"}
"""Found by the start-up time-out, which is short for these only: a busy machine starts a build slowly."""


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def client_of(program: Path, *arguments: str, **settings: object) -> UnityClient:
    impatient = bool(WAITED_FOR & {*arguments})
    defaults = {"startup_timeout_seconds": 5 if impatient else 60, "step_timeout_seconds": 60}
    return UnityClient(program, arguments=arguments, **{**defaults, **settings})  # type: ignore[arg-type]


def acting(client: UnityClient, step: Mapping[str, BehaviorStep]) -> dict[str, Actions]:
    """One step to the right for every agent that waits."""
    actions = {}
    for name, batches in step.items():
        spec, count = client.specs[name].actions, len(batches.decisions)
        discrete = np.array([[size - 1 for size in spec.discrete_branches]] * count, np.int32)
        actions[name] = Actions(
            np.zeros((count, spec.continuous_size), np.float32), discrete.reshape(count, len(spec.discrete_branches))
        )
    return actions


def play(client: UnityClient, steps: int = STEPS) -> list[Mapping[str, BehaviorStep]]:
    played = [client.reset()]
    play_on(client, played, steps)
    return played


def play_on(client: UnityClient, played: list[Mapping[str, BehaviorStep]], steps: int = STEPS) -> None:
    for _ in range(steps):
        played.append(client.step(acting(client, played[-1])))


def require(error: errors.UnityEnvironmentError, kind: type[errors.UnityEnvironmentError], words: list[str]) -> None:
    assert type(error) is kind
    for word in words:
        assert word in str(error)
    assert len(f"[{error.code}] {error}") <= 1024


def test_every_fault_has_its_test() -> None:
    harmless = {*NUISANCES, *ODDITIES, "duplicate-ids"} - {"slow-step"}
    tested = {fault for fault, _, _ in FAULTS_AT_START + FAULTS_IN_THE_MIDDLE} | set(ATTACKS)  # those: tests/security
    assert {fault for fault, _, _ in FAULTS_AT_START} == set(AT_START)
    assert tested | harmless == set(FAULTS)


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS_AT_START)
def test_a_fault_at_the_start_is_named(
    faulty: Path, fault: str, kind: type[errors.UnityEnvironmentError], words: list[str]
) -> None:
    with pytest.raises(errors.UnityEnvironmentError) as raised:
        client_of(faulty, "--fault", fault, "--delay", "600")
    require(raised.value, kind, words)


@pytest.mark.parametrize("by_parameter", [False, True], ids=["argument", "parameter"])
@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS_IN_THE_MIDDLE)
def test_a_fault_in_the_middle_is_named_when_it_comes(
    faulty: Path, fault: str, kind: type[errors.UnityEnvironmentError], words: list[str], by_parameter: bool
) -> None:
    arguments, parameters = ("--fault", fault, "--after", "3", "--delay", "600"), {}
    if by_parameter:
        arguments, parameters = (), {"fault": FAULTS.index(fault), "fault_after": 3, "fault_delay": 600}
    patience = 2 if "2 s" in words[0] else 60
    with client_of(faulty, *arguments, parameters=parameters, step_timeout_seconds=patience) as client:
        played = [client.reset()]
        with pytest.raises(errors.UnityEnvironmentError) as raised:
            play_on(client, played)
        assert len(played) == 1 + 3
    require(raised.value, kind, words)


def test_a_fault_that_comes_at_the_first_step(faulty: Path) -> None:
    with client_of(faulty, "--fault", "crash", "--after", "0") as client:
        played = [client.reset()]
        with pytest.raises(errors.BuildCrashedError):
            play_on(client, played)
        assert len(played) == 1


def test_a_fault_that_parameters_bring_and_take_away(faulty: Path) -> None:
    with client_of(faulty) as client:
        play(client)
        client.reset({"fault": FAULTS.index("nan-reward"), "fault_after": STEPS})
        play(client)
        client.reset({"fault": -1})
        play(client, steps=3 * STEPS)


def test_without_its_fault_the_build_plays_as_basic(faulty: Path, basic: Path) -> None:
    with client_of(faulty) as client, client_of(basic) as reference:
        for own, other in zip(play(client), play(reference), strict=True):
            np.testing.assert_array_equal(own[NAME].decisions.observations[0], other[NAME].decisions.observations[0])
            np.testing.assert_array_equal(own[NAME].decisions.rewards, other[NAME].decisions.rewards)
            np.testing.assert_array_equal(own[NAME].terminals.rewards, other[NAME].terminals.rewards)


@pytest.mark.parametrize("fault", ["crash-at-start", "wrong-version", "crash-in-handshake", "crash", "quit", "not-png"])
def test_a_fault_that_comes_only_once(faulty: Path, tmp_path: Path, fault: str) -> None:
    arguments = ("--fault", fault, "--once", str(tmp_path / "came"))
    with pytest.raises(errors.UnityEnvironmentError), client_of(faulty, *arguments) as client:
        play(client)
    with client_of(faulty, *arguments) as client:
        assert len(play(client)) == 1 + STEPS


@pytest.mark.parametrize(("fault", "arguments"), [("slow-start", ["--delay", "2"]), ("slow-step", ["--delay", "0.2"])])
def test_a_build_that_is_slow_but_in_time_plays(faulty: Path, fault: str, arguments: list[str]) -> None:
    with UnityClient(faulty, arguments=["--fault", fault, *arguments]) as client:
        assert len(play(client)) == 1 + STEPS


def test_an_id_that_is_sent_twice_is_handed_on_as_sent(faulty: Path) -> None:
    """Rows belong to actions by their order, not by their ids, so that nothing is mixed up here."""
    with client_of(faulty, "--fault", "duplicate-ids", "--after", "1") as client:
        decisions = play(client, steps=2)[-1][NAME].decisions
    assert len(decisions) == 2
    assert decisions.agent_ids[0] == decisions.agent_ids[1]


def test_a_huge_message_arrives(faulty: Path) -> None:
    """It is one that no channel of ours wants, of 100 MB, beside the agents."""
    with client_of(faulty, "--fault", "huge-message", "--bytes", "100000000") as client, client_of(faulty) as reference:
        for own, other in zip(play(client), play(reference), strict=True):
            np.testing.assert_array_equal(own[NAME].decisions.observations[0], other[NAME].decisions.observations[0])


def test_a_message_that_is_too_large_is_no_quitting(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build quits because it is hung up on; the error tells why it was."""
    monkeypatch.setenv("GAMEDOJO_MAX_MESSAGE_MB", "1")
    with client_of(faulty, "--fault", "huge-message", "--bytes", "20000000") as client:
        played = [client.reset()]
        with pytest.raises(errors.UnityEnvironmentError) as raised:
            play_on(client, played)
    require(raised.value, errors.ProtocolError, ["in the middle", "more than 1048576 bytes", "Send less at once"])
    assert "Application.Quit" not in str(raised.value)


def test_the_whole_start_has_one_time_out(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    granted = []
    receive = ExchangeServer.receive

    def noted(server: ExchangeServer, timeout_seconds: float, is_alive: Callable[[], bool]) -> bytes:
        granted.append(timeout_seconds)
        return receive(server, timeout_seconds, is_alive)

    monkeypatch.setattr(ExchangeServer, "receive", noted)
    with pytest.raises(errors.BuildHungError) as raised:
        client_of(faulty, "--fault", "hang-in-handshake")
    introduction, rest = granted
    assert 5 >= introduction > rest
    assert "step_timeout_seconds" not in str(raised.value)


def test_what_a_crashing_build_prints_is_told_beside_its_log(faulty: Path) -> None:
    """An exception that nothing catches: the traceback goes to standard error, long after the log's first line."""
    with client_of(faulty) as client:
        play(client)
        with pytest.raises(errors.UnityEnvironmentError) as raised:
            client.reset({"fault": FAULTS.index("crash-at-start")})
    words = [
        "exit code 1",
        "the player's log:\n",
        "what it printed:\n",
        "ValueError: The fault crash-at-start comes before",
    ]
    require(raised.value, errors.BuildCrashedError, words)


def test_a_flood_on_stderr_blocks_nobody(faulty: Path, tmp_path: Path) -> None:
    with client_of(faulty, "--fault", "stderr-flood", log_file=tmp_path / "player.log") as client:
        assert len(play(client)) == 1 + STEPS
    assert (tmp_path / "player.log.out").stat().st_size > FLOOD_BYTES


@pytest.mark.parametrize("then", ["close", "crash"])
def test_a_grandchild_that_ignores_signals_ends_with_the_build(faulty: Path, tmp_path: Path, then: str) -> None:
    log_file = tmp_path / "player.log"
    with client_of(faulty, "--fault", "grandchild", log_file=log_file) as client:
        played = play(client)
        (line,) = [line for line in log_file.read_text().splitlines() if line.startswith("Grandchild ")]
        grandchild = psutil.Process(int(line.removeprefix("Grandchild ")))
        assert grandchild.is_running()
        if then == "crash":
            (build,) = [process for process in grandchild.parent().children() if process != grandchild]
            build.kill()
            with pytest.raises(errors.BuildCrashedError):
                client.step(acting(client, played[-1]))
    assert not grandchild.is_running()


def test_the_log_of_a_failed_build_is_kept(faulty: Path, tmp_path: Path) -> None:
    log_file = tmp_path / "player.log"
    with pytest.raises(errors.BuildCrashedError), client_of(faulty, "--fault", "crash", log_file=log_file) as client:
        play(client)
    assert "NullReferenceException" in log_file.read_text()


LOGGED = "Initialize engine version: 2022.3"
LOGGING_SCRIPT = f'#!/bin/sh\nwhile [ "$1" != -logFile ]; do shift; done; echo \'{LOGGED}\' >>"$2"; echo'
MISSING_LIBRARY = f"'/{'very-long/' * 30}Game.x86_64: error while loading shared libraries: libGL.so.1: cannot open'"


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
        ("#!/bin/sh\nkill -9 $$\n", errors.BuildCrashedError, ["at its start", "SIGKILL", "memory"]),
        (
            f"{LOGGING_SCRIPT} {MISSING_LIBRARY} >&2; exit 127\n",
            errors.BuildCrashedError,
            [LOGGED, "The library libGL.so.1"],
        ),
        (f"{LOGGING_SCRIPT} Aborted >&2; kill -6 $$\n", errors.BuildCrashedError, [LOGGED, "printed:\nAborted\n"]),
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
        client_of(script(tmp_path, text))
    require(raised.value, error, words)


def test_a_damaged_elf_is_refused_by_the_system(tmp_path: Path) -> None:
    program = tmp_path / "Game.x86_64"
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + (62).to_bytes(2, "little")
    program.write_bytes(header + bytes(200))
    program.chmod(0o755)
    with pytest.raises(errors.BuildNotStartableError, match="cannot run"):
        client_of(program)


def test_a_program_without_its_run_bit(basic: Path, tmp_path: Path) -> None:
    program = Path(shutil.copy(basic, tmp_path))
    program.chmod(0o644)
    with pytest.raises(errors.BuildNotStartableError, match=r"chmod \+x"):
        client_of(program)


def test_what_is_printed_and_logged_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildCrashedError) as raised:
        client_of(script(tmp_path, f"{LOGGING_SCRIPT} '{LOGGED}'; exit 3\n"))
    assert raised.value.cause.count(LOGGED) == 1


def test_long_last_words_leave_room_for_the_remedy(tmp_path: Path) -> None:
    flood = 'for i in 1 2 3 4 5 6 7 8 9; do echo $i logged {0} >>"$2"; echo $i printed {0}; done'.format("x" * 200)
    with pytest.raises(errors.BuildCrashedError) as raised:
        client_of(script(tmp_path, f"{LOGGING_SCRIPT}; {flood}; exit 3\n"))
    require(raised.value, errors.BuildCrashedError, ["9 logged x", "9 printed x", "Remedy: Run the same build"])


def test_a_mono_build_without_the_toolkit_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "Game_Data" / "Managed").mkdir(parents=True)
    with pytest.raises(errors.BuildNeverConnectedError, match="contains no ML-Agents"):
        client_of(script(tmp_path, "#!/bin/sh\nexit 0\n"))
