"""One running build beneath an environment: begun anew on demand, with another seed if need be."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import numpy as np

from rl_src.envs.batches import Actions, BehaviorStep
from rl_src.envs.client import UnityClient
from rl_src.envs.errors import UnityEnvironmentError
from rl_src.envs.player import PlayerUser
from rl_src.envs.side_channels import Sampler, SideChannel
from rl_src.envs.spaces import random_actions
from rl_src.envs.specs import BehaviorSpec

STEPS_WITHOUT_AGENTS = 10_000
"""A scene may spawn its agents late; after so many exchanges without any, it is not going to."""

SceneStep = Mapping[str, BehaviorStep]
"""One exchange: fully qualified behavior name (`Basic?team=0`) to its step."""


class UnsuitableSceneError(UnityEnvironmentError):
    """The scene's behaviors and agents are not what the environment was made for."""

    default_remedy: ClassVar[str] = "Choose the environment class that fits the scene; see docs/environments.md."


class BuildOptions(TypedDict, total=False):
    """What `UnityClient` takes beside the program and its seed; described there."""

    arguments: Sequence[str]
    time_scale: float
    parameters: Mapping[str, float | Sampler]
    graphics: bool | None
    startup_timeout_seconds: float
    step_timeout_seconds: float
    log_file: Path | None
    run_as: PlayerUser | None
    side_channels: Iterable[SideChannel]


class SeededBuild:
    """A build, started and asked for its first agents, so that its behaviors are known. Close it.

    A build takes its seed at the handshake and never again. To begin with another seed, or with the same one once it
    has been played, is therefore to start its process anew.

    Args:
        executable: the program, as `unpack_build` returns it.
        seed: of the scene's random numbers.
        options: for the client.
        behaviors: that must be known before the first episode, qualified or not. When some of them have no agents at
            first, the build is played at random until they have, and is then started anew.

    Raises:
        UnityEnvironmentError: the build did not come up.
        UnsuitableSceneError: no agents came, or none of one of `behaviors`.
    """

    def __init__(
        self,
        executable: Path | str,
        *,
        seed: int = 0,
        options: BuildOptions | None = None,
        behaviors: Sequence[str] = (),
    ) -> None:
        self._executable = Path(executable)
        self._options: BuildOptions = {**(options or {})}
        self._parameters: dict[str, float | Sampler] = dict(self._options.get("parameters") or {})
        if "side_channels" in self._options:
            self._options["side_channels"] = tuple(self._options["side_channels"])
        self._specs: dict[str, BehaviorSpec] = {}
        self._client: UnityClient | None = None
        self._opening: SceneStep | None = None
        try:
            self._start(seed)
            self._meet(behaviors)
        except BaseException:
            self.close()
            raise

    @property
    def specs(self) -> Mapping[str, BehaviorSpec]:
        """Every behavior seen so far, by fully qualified name."""
        return self._specs

    @property
    def seed(self) -> int:
        """With which the running process was started."""
        return self._seed

    @property
    def opening(self) -> SceneStep:
        """The first exchange, which `begin` is going to return if nothing has to be begun anew."""
        if self._opening is None:
            raise RuntimeError("The build has been played.")
        return self._opening

    def begin(self, seed: int | None = None, parameters: Mapping[str, Any] | None = None) -> SceneStep:
        """Begin anew: the first exchange. It may be without agents that wait.

        Args:
            seed: start the process anew with it, unless that has just been done. None: let the scene begin anew.
            parameters: environment parameters to change before; they stay changed.

        Raises:
            ValueError: a parameter that is neither a number nor a sampler.
        """
        changed = _checked(parameters or {})
        self._parameters |= changed
        opening, self._opening = self._opening, None
        if opening is not None and not changed and seed in (None, self._seed):
            return opening
        if seed is not None:
            self._start(seed)
            opening, self._opening = self.opening, None
            return opening
        return self._noted(self._playing.reset(changed))

    def step(self, actions: Mapping[str, Actions]) -> SceneStep:
        """Act, and play on until agents ask again or end."""
        return self._noted(self._playing.step(actions))

    def statistics(self) -> dict[str, list[float]]:
        """What the game recorded by its StatsRecorder since the last call."""
        return self._playing.statistics()

    def close(self) -> None:
        """End the build. May be called twice."""
        if self._client is not None:
            self._client.close()

    @property
    def _playing(self) -> UnityClient:
        assert self._client is not None
        return self._client

    def _start(self, seed: int) -> None:
        """Start the process, and let it play until its first agents come."""
        self.close()
        self._seed = seed
        self._options["parameters"] = dict(self._parameters)
        self._client = UnityClient(self._executable, seed=seed, **self._options)
        opening = self._noted(self._client.reset())
        for _ in range(STEPS_WITHOUT_AGENTS):
            if self._client.specs:
                self._opening = opening
                return
            opening = self.step({})
        raise nobody_asks()

    def _meet(self, behaviors: Sequence[str]) -> None:
        """Play until each of `behaviors` has been seen; then it all begins again."""
        if not self._missing(behaviors):
            return
        numbers = np.random.default_rng(self._seed)
        step = self.opening
        for _ in range(STEPS_WITHOUT_AGENTS):
            step = self.step(
                {
                    name: random_actions(self._specs[name].actions, item.decisions, numbers)
                    for name, item in step.items()
                    if len(item.decisions)
                }
            )
            if not self._missing(behaviors):
                self._start(self._seed)
                return
        raise UnsuitableSceneError(
            f"No agent of {', '.join(self._missing(behaviors))} was seen within {STEPS_WITHOUT_AGENTS:,} steps; there "
            f"were agents of {', '.join(sorted(self._specs))}.",
            "Name behaviors as the build does (Behavior Parameters > Behavior Name), with or without ?team=.",
        )

    def _missing(self, behaviors: Sequence[str]) -> list[str]:
        known = {name for spec in self._specs.values() for name in (spec.name, spec.behavior_name)}
        return [name for name in behaviors if name not in known]

    def _noted(self, step: SceneStep) -> SceneStep:
        self._specs.update(self._playing.specs)
        return step


def nobody_asks() -> UnsuitableSceneError:
    """The error of a scene without agents."""
    return UnsuitableSceneError(
        f"No agent asked for a decision within {STEPS_WITHOUT_AGENTS:,} steps.",
        "Check that the scene has agents with a Decision Requester, of behavior type Default, and spawns them again "
        "after their episodes.",
    )


def _checked(parameters: Mapping[str, Any]) -> dict[str, float | Sampler]:
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number | Sampler):
            raise ValueError(
                f"Options are environment parameters by name, numbers or samplers; {name!r} is {type(value).__name__}."
            )
    return {name: value if isinstance(value, Sampler) else float(value) for name, value in parameters.items()}
