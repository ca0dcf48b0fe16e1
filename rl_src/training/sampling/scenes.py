"""The running builds, as training sees them: started by its configuration, with the behaviors that it trains."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from rl_src.envs.batches import Actions
from rl_src.envs.client import UnityClient
from rl_src.envs.group import Answer, BuildClient, BuildGroup
from rl_src.envs.side_channels import Sampler
from rl_src.envs.specs import BehaviorSpec
from rl_src.training.errors import UnsupportedBehaviorError
from rl_src.training.settings.config import TrainingConfig
from rl_src.training.settings.curriculum import Curriculum

STEPS_WITHOUT_AGENTS = 10_000
"""A scene may spawn its agents late; after so many steps without any, it is not going to."""

_SEEDS_APART = 1_000
"""Between the seeds of one build's restarts; there are never so many builds."""


class Scenes:
    """Builds side by side. Close it, or use it as a context manager.

    Args:
        make_client: starts one build: (index, generation) -> client.
        number: of builds.
        lockstep: wait for all builds in every step, so that a seed repeats; otherwise each goes on at its own pace.

    Raises:
        UnityEnvironmentError: a build did not come up; the others have been ended.
    """

    def __init__(self, make_client: Callable[[int, int], BuildClient], number: int, *, lockstep: bool = False) -> None:
        self._group = BuildGroup(make_client, number)
        self._lockstep = lockstep
        self._awaited: set[int] = set()

    @classmethod
    def start(cls, config: TrainingConfig, number: int, work_dir: Path) -> "Scenes":
        """Start `number` builds at the same time; each gets a seed and a log file of its own."""
        start = partial(start_client, config, work_dir)
        return cls(start, number, lockstep=config.environment.lockstep)

    def __len__(self) -> int:
        return len(self._group)

    def __enter__(self) -> "Scenes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_parameters(self, parameters: Mapping[str, float | Sampler]) -> None:
        """New values of environment parameters. Scenes read them when they want, mostly as an episode begins."""
        self._group.set_parameters(parameters)

    def look_while(self, a_core_is_free: Callable[[], bool]) -> None:
        """Look for a quick build's answers without sleeping as long as that is true (`BuildGroup.may_look`)."""
        self._group.may_look = a_core_is_free

    def reset(self) -> list[Answer]:
        """Reset all builds, and let them run until agents of each ask for decisions."""
        while self._awaited:
            self.receive()  # what was asked before the reset
        answers = self._group.reset()
        for _ in range(STEPS_WITHOUT_AGENTS):
            waiting = [index for index, answer in enumerate(answers) if not _has_agents(answer)]
            if not waiting:
                break
            for index, answer in self._group.step_some({index: {} for index in waiting}).items():
                answers[index] = answer
        return answers

    def send(self, index: int, actions: Mapping[str, Actions]) -> None:
        """Step one build, which has answered to all that was sent before."""
        self._group.send_step(index, actions)
        self._awaited.add(index)

    def receive(self) -> dict[int, Answer]:
        """Wait for builds that were stepped: for all of them in lockstep, else until there is an answer."""
        answers = dict(self._group.receive())
        while self._lockstep and not self._awaited <= answers.keys():
            answers.update(self._group.receive())
        self._awaited -= answers.keys()
        return dict(sorted(answers.items()))

    @property
    def restarts(self) -> int:
        """How often a build had to be started again."""
        return self._group.restarts

    def spec(self, name: str) -> BehaviorSpec:
        """The specs of one fully qualified behavior that has been seen."""
        return self._group.specs[name]

    def behaviors(self) -> dict[str, BehaviorSpec]:
        """What can be trained, by behavior name: the teams of one name share a policy.

        Raises:
            UnsupportedBehaviorError: no agent has asked for a decision, or teams of one behavior differ in their specs.
        """
        found: dict[str, BehaviorSpec] = {}
        for _, spec in sorted(self._group.specs.items()):
            known = found.setdefault(spec.behavior_name, spec)
            if _form(known) != _form(spec):
                raise UnsupportedBehaviorError(
                    f"{known.name} and {spec.name} observe or do different things; they would share one policy.",
                    "Give them behavior names of their own.",
                )
        if not found:
            raise UnsupportedBehaviorError(
                f"no agent asked for a decision within {STEPS_WITHOUT_AGENTS:,} steps.",
                "Check that the scene has agents with a Decision Requester, of behavior type Default.",
            )
        return found

    def close(self) -> None:
        """End all builds."""
        self._group.close()


def _form(spec: BehaviorSpec) -> object:
    """What a policy must fit. Teams may name their sensors otherwise: SoccerTwos' are blue and purple."""
    return [replace(sensor, name="") for sensor in spec.observations], spec.actions


def _has_agents(answer: Answer) -> bool:
    return any(len(step.decisions) for step in answer.steps.values())


def start_client(config: TrainingConfig, work_dir: Path, index: int, generation: int) -> BuildClient:
    """Start one build; it has a seed and a log file of its own."""
    settings = config.environment
    suffix = f"-{generation}" if generation else ""  # the log of a build that crashed is kept
    return UnityClient(
        config.executable,
        arguments=settings.arguments,
        seed=config.seed + index + _SEEDS_APART * generation,
        time_scale=settings.time_scale,
        parameters=Curriculum(settings.parameters).values,
        graphics=settings.graphics,
        startup_timeout_seconds=settings.startup_timeout_seconds,
        step_timeout_seconds=settings.step_timeout_seconds,
        log_file=work_dir / f"player-{index}{suffix}.log",
        run_as=config.run_as,
    )
