"""Plays one Unity build over the ML-Agents protocol."""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from google.protobuf.message import DecodeError

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.decoding import BehaviorDecoder, decode_spec
from rl_src.envs.diagnosis import Phase, Silence, no_answer, quit_first
from rl_src.envs.encoding import ActionEncoder
from rl_src.envs.errors import BuildProcessError, ProtocolError, WireLimitError
from rl_src.envs.handshake import BuildTraits, traits_of, write_welcome
from rl_src.envs.launcher import Launcher, late_camera
from rl_src.envs.limits import MAX_BEHAVIORS, WireLimits, require_bearable_message
from rl_src.envs.player import Player, PlayerUser
from rl_src.envs.protocol import COMMAND_RESET, COMMAND_STEP, STATUS_OK, STATUS_QUIT, opaque_class
from rl_src.envs.side_channels import (
    EngineConfigurationChannel,
    EnvironmentParametersChannel,
    Sampler,
    SideChannel,
    SideChannels,
    StatisticsChannel,
)
from rl_src.envs.specs import BehaviorSpec
from rl_src.envs.transport import ExchangeServer, NoMessageError

__all__ = ["Actions", "BehaviorStep", "DecisionBatch", "PlayerUser", "TerminalBatch", "UnityClient"]

_LEAST_PATIENCE_SECONDS = 1.0
"""A caller that asks for the answer late still gets it when it has come meanwhile."""

QUIT_SECONDS = 5.0
"""How long a build that was told to quit may take before it is killed."""


class UnityClient:
    """One build process and the server that it talks to. Close it, or use it as a context manager.

    Every call raises a subclass of `UnityEnvironmentError` that says which of the usual causes it was: never connected,
    crashed, hung, quit, not startable, NaN. After an error the build has been ended; only `close` may be called then.

    Args:
        executable: the program, as `unpack_build` returns it.
        arguments: further command line arguments for it.
        seed: of the scene's random numbers.
        time_scale: game seconds a real second (ML-Agents' default is 20).
        parameters: ML-Agents environment parameters, known to the scene before the first reset.
        graphics: False starts it with `-nographics -batchmode`, True on a display, for cameras; there is one, or Xvfb
            makes one. None starts it headless, looks at the sensors of its first agents, and starts it again on a
            display if one may be a camera.
        startup_timeout_seconds: from the start until it has connected and shaken hands.
        step_timeout_seconds: for each answer after that.
        log_file: where the player logs; left out, a temporary file that close() removes.
        run_as: the user to drop it to, for a trainer that runs as root.
        side_channels: channels of your own.
        limits: of what the build may send; by default as the environment says.
    """

    def __init__(
        self,
        executable: Path,
        *,
        arguments: Sequence[str] = (),
        seed: int = 0,
        time_scale: float = 20.0,
        parameters: Mapping[str, float | Sampler] | None = None,
        graphics: bool | None = None,
        startup_timeout_seconds: float = 120.0,
        step_timeout_seconds: float = 60.0,
        log_file: Path | None = None,
        run_as: PlayerUser | None = None,
        side_channels: Iterable[SideChannel] = (),
        limits: WireLimits | None = None,
    ) -> None:
        self._executable = executable.absolute()
        self._seed, self._startup_timeout_seconds = seed, startup_timeout_seconds
        self._step_timeout_seconds = step_timeout_seconds
        self._specs: dict[str, BehaviorSpec] = {}
        self._decoders: dict[str, BehaviorDecoder] = {}
        self._encoders: dict[str, ActionEncoder] = {}
        self._deciding: dict[str, int] = {}
        self._message = opaque_class("UnityMessageProto")
        self._engine = EngineConfigurationChannel()
        self._parameters = EnvironmentParametersChannel(seed)
        self._statistics = StatisticsChannel()
        self._side_channels = SideChannels([self._engine, self._parameters, self._statistics, *side_channels])
        self._engine.configure(time_scale)
        self._parameters.set_parameters(parameters or {})
        self._temporary = tempfile.TemporaryDirectory(prefix="player-log-") if log_file is None else None
        self._log_file = (log_file or Path(str(self._temporary and self._temporary.name), "player.log")).absolute()
        self._launcher = Launcher(self._executable, arguments, self._log_file, run_as, graphics)
        self._needs_display = False
        self._opening = b""  # on side channels until the first agents came, for a second start
        self._player: Player | None = None
        self._deadline = 0.0  # for the answer to what was sent last
        self._phase, self._traits = Phase.START, BuildTraits()  # until the handshake says otherwise
        self._listening = self._closed = self._begun = False
        self._limits = limits or WireLimits.from_environment()
        self._server = ExchangeServer(self._limits.message_bytes)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def specs(self) -> Mapping[str, BehaviorSpec]:
        """Every behavior seen so far, by fully qualified name; grows when behaviors appear late."""
        return self._specs

    @property
    def log_file(self) -> Path:
        """Where the player logs."""
        return self._log_file

    def statistics(self) -> dict[str, list[float]]:
        """What the game recorded by its StatsRecorder since the last call."""
        return self._statistics.take()

    def set_parameters(self, parameters: Mapping[str, float | Sampler]) -> None:
        """New values of environment parameters. They go with the next command; a scene reads them when it wants."""
        self._parameters.set_parameters(parameters)

    def reset(self, parameters: Mapping[str, float | Sampler] | None = None) -> Mapping[str, BehaviorStep]:
        """Begin all episodes anew, with the environment parameters given (others keep their value)."""
        self.send_reset(parameters)
        return self.receive()

    def step(self, actions: Mapping[str, Actions]) -> Mapping[str, BehaviorStep]:
        """Act for every agent that waits, and play on until agents ask again or end.

        Returns:
            Every known behavior; those without agents in this exchange have empty batches.

        Raises:
            ValueError: actions that fit neither the spec nor the last decisions, or are missing; nothing was sent.
        """
        self.send_step(actions)
        return self.receive()

    def send_reset(self, parameters: Mapping[str, float | Sampler] | None = None) -> None:
        """The first half of `reset`: the build works while the caller does something else."""
        self._parameters.set_parameters(parameters or {})
        self._deciding = {}
        self._send(COMMAND_RESET, {})

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        """The first half of `step`."""
        encoded: dict[str, bytes] = {}
        for name in {*self._deciding, *actions}:
            agents = self._deciding.get(name, 0)
            if name in actions and name in self._specs:
                encoded[name] = self._encoders[name].encode(actions[name], agents)
            elif name in actions or agents:
                known = ", ".join(self._specs) or "none"
                raise ValueError(
                    f"{name}: {agents} agents wait for actions, behaviors known: {known}, given: {', '.join(actions)}."
                )
        self._send(COMMAND_STEP, {name: own for name, own in encoded.items() if self._deciding.get(name)})

    def has_answer(self) -> bool:
        """Whether `receive` would return, or raise, without waiting for the build."""
        assert self._player is not None
        return self._server.has_message() or not self._player.is_alive() or time.monotonic() >= self._deadline

    def receive(self) -> Mapping[str, BehaviorStep]:
        """The second half of `reset` and `step`: the build's answer to what was sent."""
        patience_seconds = max(_LEAST_PATIENCE_SECONDS, self._deadline - time.monotonic())
        try:
            steps = self._read(self._receive(patience_seconds, self._step_timeout_seconds).unity_output)
            if self._needs_display:
                return self._start_on_display()
            self._begun = bool(self._specs)
            return steps
        except BaseException:
            self.close()
            raise

    def descriptors(self) -> list[int]:
        """File descriptors on which something may come from the build while an answer is awaited, for poll."""
        return self._server.descriptors()

    def is_alive(self) -> bool:
        """Whether the build's process runs."""
        return self._player is not None and self._player.is_alive()

    def close(self) -> None:
        """Tell the build to quit, and end it when it does not. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._end_player()
        self._launcher.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._phase = Phase.START
        self._player = self._launcher.start(self._server.port)
        self._shake_hands(time.monotonic() + self._startup_timeout_seconds)

    def _start_on_display(self) -> Mapping[str, BehaviorStep]:
        """The build has cameras: once more from the beginning, with graphics; the answer to its first command."""
        if self._begun:
            raise late_camera(self._specs.values())
        self._end_player()
        self._server = ExchangeServer(self._limits.message_bytes)
        self._listening = False
        self._forget()
        self._launcher.use_display()
        self._start()
        opening, self._opening = self._opening, b""
        self._send(COMMAND_RESET, {}, opening)
        return self._read(self._receive(self._step_timeout_seconds, self._step_timeout_seconds).unity_output)

    def _forget(self) -> None:
        """What the first start has told."""
        self._specs.clear()
        self._decoders.clear()
        self._encoders.clear()
        self._deciding = {}
        self._needs_display = False
        self._statistics.take()

    def _end_player(self) -> None:
        self._say_goodbye()
        if self._player is not None:
            self._player.kill()
        self._server.close()

    def _shake_hands(self, deadline: float) -> None:
        """Exchange versions and capabilities; afterwards the build waits for its first command."""
        introduction = self._receive(deadline - time.monotonic(), self._startup_timeout_seconds)
        self._phase = Phase.HANDSHAKE
        self._traits = traits_of(introduction.unity_output.rl_initialization_output)
        welcome = self._message()
        write_welcome(welcome, self._seed)
        self._reply(welcome)
        self._receive(deadline - time.monotonic(), self._startup_timeout_seconds)
        self._phase = Phase.GAME

    def _send(self, command: int, actions: Mapping[str, bytes], replayed: bytes = b"") -> None:
        if self._closed:
            raise ProtocolError("The build has been closed.", "Start a new client.")
        message = self._message()
        message.header.status = STATUS_OK
        rl_input = message.unity_input.rl_input
        rl_input.command = command
        outgoing = self._side_channels.outgoing()
        if not self._specs:
            self._opening += outgoing
        rl_input.side_channel = replayed + outgoing
        for name, own in actions.items():
            rl_input.agent_actions[name] = own
        self._deadline = time.monotonic() + self._step_timeout_seconds
        try:
            self._reply(message)
        except BaseException:
            self.close()
            raise

    def _read(self, output: Any) -> dict[str, BehaviorStep]:
        rl_output = output.rl_output
        self._side_channels.incoming(rl_output.side_channel)
        infos: dict[str, bytes] = dict(rl_output.agentInfos)
        for brain in output.rl_initialization_output.brain_parameters:
            if infos.get(brain.brain_name):
                self._learn_spec(decode_spec(brain, infos[brain.brain_name], self._traits.images_channels_last))
        if not infos.keys() <= self._decoders.keys():
            unknown = ", ".join(sorted(name[:60] for name in infos.keys() - self._decoders.keys())[:5])
            raise ProtocolError(f"The build sent agents of behaviors that it has not described: {unknown}.")
        steps = {
            name: decoder.decode(infos[name]) if name in infos else decoder.empty
            for name, decoder in self._decoders.items()
        }
        self._deciding = {name: len(step.decisions) for name, step in steps.items()}
        return steps

    def _learn_spec(self, spec: BehaviorSpec) -> None:
        if len(self._specs) >= MAX_BEHAVIORS and spec.name not in self._specs:
            raise WireLimitError(
                f"The build has more than {MAX_BEHAVIORS} behaviors (a team of a behavior counts as one).",
                "Give agents that are alike the same Behavior Name; do not make names while the game runs.",
            )
        self._specs[spec.name] = spec
        self._decoders[spec.name] = BehaviorDecoder(spec, self._traits.images_channels_last)
        self._encoders[spec.name] = ActionEncoder(spec, self._traits.hybrid_actions)
        self._needs_display = self._launcher.needs_display([spec]) or self._needs_display

    def _reply(self, message: Any) -> None:
        self._listening = False
        self._server.reply(message.SerializeToString())

    def _receive(self, patience_seconds: float, timeout_seconds: float) -> Any:
        """The build's next message; an error that names the cause, and the time-out, when there is none."""
        assert self._player is not None
        try:
            request = self._server.receive(patience_seconds, self._player.is_alive)
        except NoMessageError as error:
            if self._closed:
                raise BuildProcessError("The client was closed while it waited for the build.", "Start anew.") from None
            silence = Silence(self._phase, error.gone, timeout_seconds, self._server.violation)
            raise no_answer(self._player, self._executable, silence) from None
        self._listening = True
        require_bearable_message(request)
        try:
            message = self._message.FromString(request)
        except DecodeError as error:
            raise ProtocolError(f"The build sent a message that cannot be read: {error}.") from error
        if message.header.status != STATUS_OK:
            self._say_goodbye()
            raise quit_first(self._player, self._server.violation)
        return message

    def _say_goodbye(self) -> None:
        """Let the build end by itself. One that never connected, or hangs, would not hear it."""
        player = self._player
        if player is not None:
            goodbye = self._message()
            goodbye.header.status = STATUS_QUIT
            patience_seconds = QUIT_SECONDS if self._listening else 0.0
            self._server.say_goodbye(goodbye.SerializeToString(), lambda: not player.is_alive(), patience_seconds)
