"""The running builds. Several copies are stepped at the same time, each in a thread of its own.

A build is another process: its Python thread only waits for it, so that threads are enough.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.client import UnityClient
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.config import TrainingConfig
from rl_src.training.errors import UnsupportedBehaviorError

SceneStep = Mapping[str, BehaviorStep]
"""One build's answer: fully qualified behavior name (`Basic?team=0`) to its step."""

STEPS_WITHOUT_AGENTS = 10_000
"""A scene may spawn its agents late; after so many steps without any, it is not going to."""


class SceneClient(Protocol):
    """What is needed of `rl_src.envs.client.UnityClient`."""

    @property
    def specs(self) -> Mapping[str, BehaviorSpec]:
        """Every behavior seen so far."""
        ...

    def reset(self, parameters: Mapping[str, float] | None = None) -> SceneStep:
        """Begin anew."""
        ...

    def step(self, actions: Mapping[str, Actions]) -> SceneStep:
        """Act for every agent that waits for a decision."""
        ...

    def close(self) -> None:
        """End the build."""
        ...


class Scenes:
    """Builds side by side, in a fixed order. Close it, or use it as a context manager."""

    def __init__(self, clients: Sequence[SceneClient]) -> None:
        self._clients = tuple(clients)
        self._threads = ThreadPoolExecutor(len(clients), "scene") if len(clients) > 1 else None

    @classmethod
    def start(cls, config: TrainingConfig, number: int, work_dir: Path) -> "Scenes":
        """Start `number` builds at the same time; each gets a seed and a log file of its own.

        Raises:
            UnityEnvironmentError: a build did not come up; the others have been ended.
        """
        with ThreadPoolExecutor(number) as threads:
            starts = [threads.submit(_start_client, config, index, work_dir) for index in range(number)]
        failures = [error for start in starts if (error := start.exception()) is not None]
        if not failures:
            return cls([start.result() for start in starts])
        for start in starts:
            if start.exception() is None:
                start.result().close()
        raise failures[0]

    def __len__(self) -> int:
        return len(self._clients)

    def __enter__(self) -> "Scenes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> list[SceneStep]:
        """Reset all builds, and let them run until their agents ask for decisions."""
        return self._map(_reset_until_agents)

    def step(self, actions: Sequence[Mapping[str, Actions]]) -> list[SceneStep]:
        """Step all builds; `actions` in the order of the builds."""
        if self._threads is None:
            return [self._clients[0].step(actions[0])]
        steps = [self._threads.submit(client.step, own) for client, own in zip(self._clients, actions, strict=True)]
        return [step.result() for step in steps]

    def behavior(self) -> BehaviorSpec:
        """The one behavior that is trained; several teams of one behavior name share a policy.

        Raises:
            UnsupportedBehaviorError: the scene has agents of several behaviors.
        """
        specs = {name: spec for client in self._clients for name, spec in client.specs.items()}
        names = sorted({spec.behavior_name for spec in specs.values()})
        if len(names) > 1:
            raise UnsupportedBehaviorError(
                f"the scene has agents of {len(names)} behaviors ({', '.join(names)}); one at a time can be trained."
            )
        if not specs:
            raise UnsupportedBehaviorError(
                f"no agent asked for a decision within {STEPS_WITHOUT_AGENTS:,} steps.",
                "Check that the scene has agents with a Decision Requester, of behavior type Default.",
            )
        return specs[sorted(specs)[0]]

    def close(self) -> None:
        """End all builds."""
        for client in self._clients:
            client.close()
        if self._threads is not None:
            self._threads.shutdown()

    def _map(self, call: Callable[[SceneClient], SceneStep]) -> list[SceneStep]:
        if self._threads is None:
            return [call(self._clients[0])]
        return list(self._threads.map(call, self._clients))


def _start_client(config: TrainingConfig, index: int, work_dir: Path) -> SceneClient:
    settings = config.environment
    return UnityClient(
        config.executable,
        arguments=settings.arguments,
        seed=config.seed + index,
        time_scale=settings.time_scale,
        parameters=settings.parameters,
        graphics=settings.graphics,
        startup_timeout_seconds=settings.startup_timeout_seconds,
        step_timeout_seconds=settings.step_timeout_seconds,
        log_file=work_dir / f"player-{index}.log",
        run_as=config.run_as,
    )


def _reset_until_agents(client: SceneClient) -> SceneStep:
    step = client.reset()
    for _ in range(STEPS_WITHOUT_AGENTS):
        if any(len(behavior.decisions.agent_ids) for behavior in step.values()):
            break
        step = client.step({})
    return step
