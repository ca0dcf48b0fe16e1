"""The loop: connect, shake hands, then send the scene's state and do what the reply commands.

Follows com.unity.ml-agents/Runtime/Communicator/RpcCommunicator.cs and Academy.cs.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc

from sample_builds.player.messages import (
    COMMAND_RESET,
    EXCHANGE_METHOD,
    PACKAGE_VERSION,
    STATUS_OK,
    STATUS_QUIT,
    message_class,
)
from sample_builds.player.scene import Scene, World, varint
from sample_builds.player.side_channels import (
    ENGINE_CONFIGURATION_ID,
    ENVIRONMENT_PARAMETERS_ID,
    REPLAY_ID,
    engine_setting,
    environment_parameter,
    frames,
    replay_wanted,
)

_CAPABILITIES = (
    "baseRLCapabilities",
    "concatenatedPngObservations",
    "compressedChannelMapping",
    "hybridActions",
    "trainingAnalytics",
    "variableLengthObservation",
    "multiAgentGroups",
)
_UNLIMITED = -1
_CONNECT_SECONDS = 30.0


class QuitError(Exception):
    """The trainer said goodbye, or is gone: Application.Quit."""


class Academy:
    """Connects a scene with the trainer that listens on `port`."""

    def __init__(
        self,
        port: int,
        make_scene: Callable[[World], Scene],
        log: Callable[[str], None],
        communication_version: str,
    ) -> None:
        self._log = log
        self._make_scene = make_scene
        self._communication_version = communication_version
        self._introduced: set[str] = set()
        self._message = message_class("UnityMessageProto")
        self._infos = message_class("UnityRLOutputProto").ListAgentInfoProto
        self.world = World(log=log)
        options = (("grpc.max_receive_message_length", _UNLIMITED), ("grpc.max_send_message_length", _UNLIMITED))
        self._channel = grpc.insecure_channel(f"localhost:{port}", options=options)
        self._call: Callable[..., bytes] = self._channel.unary_unary(EXCHANGE_METHOD)

    def run(self) -> None:
        """Play until the trainer ends it."""
        try:
            self._shake_hands()
            reply = self._exchange(self._envelope())
            while True:
                reply = self._exchange(self._obey(reply))
        except QuitError as reason:
            self._log(f"Quitting: {reason}")
        finally:
            self._channel.close()

    def _shake_hands(self) -> None:
        message = self._envelope()
        greeting = message.unity_output.rl_initialization_output
        greeting.name = "AcademySingleton"
        greeting.communication_version = self._communication_version
        greeting.package_version = PACKAGE_VERSION
        for capability in _CAPABILITIES:
            setattr(greeting.capabilities, capability, True)
        reply = self._exchange(message, timeout=_CONNECT_SECONDS)
        welcome = reply.unity_input.rl_initialization_input
        self._log(f"Connected: trainer {welcome.package_version}, communicator {welcome.communication_version}")
        self.world = World(seed=welcome.seed, log=self._log)
        self._scene = self._make_scene(self.world)

    def _envelope(self) -> Any:
        message = self._message()
        message.header.status = STATUS_OK
        return message

    def _exchange(self, message: Any, timeout: float | None = None) -> Any:
        try:
            reply = self._message.FromString(
                self._call(message.SerializeToString(), timeout=timeout, wait_for_ready=timeout is not None)
            )
        except grpc.RpcError as error:
            raise QuitError(f"the trainer is gone ({error.code().name})") from error
        if reply.header.status != STATUS_OK:
            raise QuitError("the trainer said goodbye")
        return reply

    def _obey(self, reply: Any) -> Any:
        """Do what the trainer commands, play until there is something to tell, and make the message of it."""
        rl_input = reply.unity_input.rl_input
        if rl_input.side_channel:
            self._read_side_channels(rl_input.side_channel)
        if rl_input.command == COMMAND_RESET:
            self.world.infos.clear()
            self._scene.reset()
        else:
            self._scene.step({name: entry.value for name, entry in rl_input.agent_actions.items()})
        while not self.world.infos and not self.world.quitting:
            self._scene.step({})
        if self.world.quitting:
            self._leave()
        return self._state()

    def _state(self) -> Any:
        world = self.world
        message = self._envelope()
        output = message.unity_output.rl_output
        for name, infos in world.infos.items():
            packed = b"".join([b"\x0a" + varint(len(info)) + info for info in infos])
            output.agentInfos[name].MergeFromString(packed)
        if world.infos.keys() - self._introduced:
            self._introduce(message, world.infos)
        world.sketch()
        if world.statistics or world.sketches:
            output.side_channel = b"".join((*world.statistics, *world.sketches))
            world.statistics.clear()
            world.sketches.clear()
        world.infos.clear()
        return message

    def _leave(self) -> None:
        message = self._message()
        message.header.status = STATUS_QUIT
        with contextlib.suppress(grpc.RpcError):
            self._call(message.SerializeToString())
        raise QuitError("the game left by itself")

    def _introduce(self, message: Any, infos: Mapping[str, Sequence[bytes]]) -> None:
        # A behavior is described once, in the first message that has an agent of it.
        for name in infos:
            if name not in self._introduced:
                self._introduced.add(name)
                brain = self.world.behaviors[name].brain_parameters()
                message.unity_output.rl_initialization_output.brain_parameters.append(brain)

    def _read_side_channels(self, data: bytes) -> None:
        for channel_id, payload in frames(data):
            if channel_id == ENGINE_CONFIGURATION_ID:
                name, values = engine_setting(payload)
                self.world.engine[name] = values
                self._log(f"Engine: {name} {' '.join(f'{value:g}' for value in values)}")
            elif channel_id == ENVIRONMENT_PARAMETERS_ID:
                key, value = environment_parameter(payload)
                self.world.parameters[key] = value
                self._log(f"Environment parameter: {key}")
            elif channel_id == REPLAY_ID:
                self.world.draw = self._scene.sketch if replay_wanted(payload) else None
            else:
                self._log(f"Unknown side channel {channel_id.hex()}")
