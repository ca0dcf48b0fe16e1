"""Plays a build at random with the unmodified `mlagents_envs` 1.1.0, and writes down what it saw and did.

    cd <repository> && .venv-peers/bin/python -m tests.peers.scripts.play PROGRAM --output FOLDER --port 5005

Runs in `.venv-peers`. Masks are obeyed. The seed is both the scene's and that of the actions.
"""

# mypy: disable-error-code="import-untyped, import-not-found"

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlagents_envs.base_env import ActionTuple, BehaviorSpec, DecisionSteps, ObservationType, TerminalSteps
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfig, EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.stats_side_channel import StatsSideChannel

from tests.peers.sessions import ACTIONS, DECISIONS, RESET, STEP, TERMINALS, Session, SessionWriter, agent_columns

START_SECONDS = 60


def described(spec: BehaviorSpec) -> dict[str, Any]:
    """A specification as JSON."""
    return {
        "observations": [
            {
                "name": sensor.name,
                "shape": list(sensor.shape),
                "properties": [item.value for item in sensor.dimension_property],
                "is_goal": sensor.observation_type == ObservationType.GOAL_SIGNAL,
            }
            for sensor in spec.observation_specs
        ],
        "continuous": spec.action_spec.continuous_size,
        "branches": list(spec.action_spec.discrete_branches),
    }


def decision_columns(steps: DecisionSteps) -> dict[str, Any]:
    """`disallowed` as on the wire: True = disallowed, all branches side by side."""
    columns = agent_columns(steps.agent_id, steps.obs, steps.reward, steps.group_id, steps.group_reward)
    if steps.action_mask is not None:
        columns["disallowed"] = np.concatenate(steps.action_mask, axis=1)
    return columns


def terminal_columns(steps: TerminalSteps) -> dict[str, Any]:
    """`interrupted`: by the maximal number of steps, or from outside."""
    columns = agent_columns(steps.agent_id, steps.obs, steps.reward, steps.group_id, steps.group_reward)
    return {**columns, "interrupted": np.asarray(steps.interrupted, bool)}


def random_action(spec: BehaviorSpec, steps: DecisionSteps, numbers: np.random.Generator) -> ActionTuple:
    """Continuous actions in Unity's range, and in each branch one of the allowed choices."""
    agents, choices = len(steps), []
    for branch, size in enumerate(spec.action_spec.discrete_branches):
        lots = numbers.random((agents, size))
        if steps.action_mask is not None:
            lots[steps.action_mask[branch]] = -1.0
        choices.append(lots.argmax(axis=1).astype(np.int32))
    continuous = numbers.uniform(-1, 1, (agents, spec.action_spec.continuous_size)).astype(np.float32)
    return ActionTuple(continuous, np.stack(choices, axis=1) if choices else np.zeros((agents, 0), np.int32))


class Player:
    """One build, the reference client, and what passed between them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._engine, self._parameters = EngineConfigurationChannel(), EnvironmentParametersChannel()
        self._statistics = StatsSideChannel()
        self._engine.set_configuration(EngineConfig.default_config())
        for text in arguments.parameter:
            name, _, value = text.partition("=")
            self._parameters.set_float_parameter(name, float(value))
        self._numbers = np.random.default_rng(arguments.seed)
        self._writer = SessionWriter()
        self._recorded_statistics: dict[str, list[float]] = {}
        self._environment = UnityEnvironment(
            str(arguments.program),
            base_port=arguments.port,
            seed=arguments.seed,
            no_graphics=True,
            timeout_wait=START_SECONDS,
            additional_args=[*arguments.build_argument, "-logFile", str(arguments.output / "player.log")],
            side_channels=[self._engine, self._parameters, self._statistics],
        )

    def play(self, resets: int, steps: int) -> Session:
        """Reset and play `steps` steps, `resets` times; then end the build."""
        process = self._environment._process  # close() forgets it
        try:
            for _ in range(resets):
                self._environment.reset()
                self._note(RESET)
                for _ in range(steps):
                    self._act()
                    self._environment.step()
                    self._note(STEP)
        finally:
            self._environment.close()
        return self._writer.finish(statistics=self._recorded_statistics, returncode=process.wait(0))

    def _note(self, command: str) -> None:
        self._writer.begin(command)
        for name, spec in self._environment.behavior_specs.items():
            decisions, terminals = self._environment.get_steps(name)
            self._writer.describe(name, described(spec))
            self._writer.add(name, DECISIONS, decision_columns(decisions))
            self._writer.add(name, TERMINALS, terminal_columns(terminals))
        for key, values in self._statistics.get_and_reset_stats().items():
            self._recorded_statistics.setdefault(key, []).extend(float(value) for value, _ in values)

    def _act(self) -> None:
        for name, spec in self._environment.behavior_specs.items():
            decisions, _ = self._environment.get_steps(name)
            if len(decisions):
                action = random_action(spec, decisions, self._numbers)
                self._environment.set_actions(name, action)
                self._writer.add(name, ACTIONS, {"continuous": action.continuous, "discrete": action.discrete})


def parsed(command_line: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="a folder for the session and the player's log")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resets", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100, help="after each reset")
    parser.add_argument("--parameter", action="append", default=[], help="an environment parameter: NAME=NUMBER")
    parser.add_argument("--build-argument", action="append", default=[], help="an argument for the build")
    arguments = parser.parse_args(command_line)
    arguments.output = arguments.output.absolute()
    arguments.output.mkdir(parents=True, exist_ok=True)
    return arguments


def main() -> None:
    """Play and save."""
    arguments = parsed()
    Player(arguments).play(arguments.resets, arguments.steps).save(arguments.output)


if __name__ == "__main__":
    main()
