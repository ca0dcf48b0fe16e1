"""What a sample build says on the wire, to a gRPC server that is not ours (facts: ml-agents RpcCommunicator.cs)."""

import queue
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from rl_src.envs.protocol import message_class
from tests.fakes.sample_players import unpacked, use_this_interpreter

RESET, STEP, RIGHT = 1, 0, 2
SECONDS = 30


class Trainer:
    """Hands each message of a build to the test, and the test's replies to the build."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Any] = queue.Queue()
        self._replies: queue.Queue[bytes] = queue.Queue()
        self._server = grpc.server(ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(self._exchange)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("communicator_objects.UnityToExternalProto", {"Exchange": handler}),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _exchange(self, request: bytes, _context: object) -> bytes:
        self.messages.put(message_class("UnityMessageProto").FromString(request))
        return self._replies.get()

    def next(self) -> Any:
        return self.messages.get(timeout=SECONDS)

    def reply(self, status: int = 200, **fields: Any) -> None:
        message = message_class("UnityMessageProto")()
        message.header.status = status
        for name, value in fields.items():
            getattr(message.unity_input, name).CopyFrom(value)
        self._replies.put(message.SerializeToString())

    def greet(self, seed: int = 0) -> Any:
        """Shake hands; the build's greeting. It then waits for its first command."""
        greeting = self.next()
        welcome = message_class("UnityRLInitializationInputProto")(seed=seed, communication_version="1.5.0")
        self.reply(rl_initialization_input=welcome)
        return greeting

    def reset(self) -> Any:
        self.reply(rl_input=message_class("UnityRLInputProto")(command=RESET))
        return self.next()

    def step(self, *choices: int) -> Any:
        rl_input = message_class("UnityRLInputProto")(command=STEP)
        for choice in choices:
            rl_input.agent_actions["Basic?team=0"].value.add(discrete_actions=[choice])
        self.reply(rl_input=rl_input)
        return self.next()

    def stop(self) -> None:
        self._server.stop(None).wait()
        self._replies.put(b"")


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Basic", tmp_path_factory.mktemp("basic"))


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    trainer = Trainer()
    yield trainer
    trainer.stop()


@pytest.fixture
def player(
    basic: Path, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["subprocess.Popen[bytes]"]:
    use_this_interpreter(monkeypatch)
    arguments = ["-nographics", "-batchmode", "--mlagents-port", str(trainer.port), "-logFile", str(tmp_path / "log")]
    with subprocess.Popen([basic, *arguments]) as process:
        yield process
        process.kill()


@pytest.mark.usefixtures("player")
def test_the_handshake(trainer: Trainer) -> None:
    greeting = trainer.greet()
    assert greeting.header.status == 200
    output = greeting.unity_output.rl_initialization_output
    assert output.communication_version == "1.5.0"
    assert output.package_version.split(".")[0].isdigit()
    assert all(value for _, value in output.capabilities.ListFields())
    assert len(output.capabilities.ListFields()) == 7
    assert not output.brain_parameters
    second = trainer.next()
    assert second.header.status == 200
    assert not second.HasField("unity_output") or not second.unity_output.rl_output.agentInfos


@pytest.mark.usefixtures("player")
def test_a_behavior_is_described_once_with_its_first_agents(trainer: Trainer) -> None:
    trainer.greet()
    trainer.next()
    state = trainer.reset().unity_output
    (brain,) = state.rl_initialization_output.brain_parameters
    assert brain.brain_name == "Basic?team=0"
    assert (brain.action_spec.num_continuous_actions, brain.action_spec.num_discrete_actions) == (0, 1)
    assert list(brain.action_spec.discrete_branch_sizes) == [3]
    (agent,) = state.rl_output.agentInfos["Basic?team=0"].value
    (observation,) = agent.observations
    assert list(observation.shape) == [20]
    assert list(observation.float_data.data).index(1.0) == 10
    assert not agent.done
    again = trainer.step(RIGHT).unity_output
    assert not again.HasField("rl_initialization_output")


@pytest.mark.usefixtures("player")
def test_the_end_of_an_episode_and_the_next_decision_are_one_message(trainer: Trainer) -> None:
    trainer.greet()
    trainer.next()
    trainer.reset()
    for _ in range(7):
        state = trainer.step(RIGHT)
    ended, begun = state.unity_output.rl_output.agentInfos["Basic?team=0"].value
    assert (ended.done, ended.max_step_reached, begun.done) == (True, False, False)
    assert ended.id != begun.id
    assert ended.reward == pytest.approx(0.99)
    assert begun.reward == 0.0


def test_it_quits_when_it_is_told_to(trainer: Trainer, player: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    trainer.greet()
    trainer.next()
    trainer.reset()
    trainer.reply(status=400)
    assert player.wait(SECONDS) == 0
    assert "the trainer said goodbye" in (tmp_path / "log").read_text()


def test_it_quits_when_the_trainer_is_gone(trainer: Trainer, player: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    trainer.greet()
    trainer.next()
    trainer.stop()
    assert player.wait(SECONDS) == 0
    assert "the trainer is gone" in (tmp_path / "log").read_text()


def test_without_a_port_it_never_connects(basic: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_interpreter(monkeypatch)
    with subprocess.Popen([basic, "-logFile", "-"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert b"no --mlagents-port" in lines[-1]
        assert process.poll() is None
        assert trainer.messages.empty()
        process.kill()
