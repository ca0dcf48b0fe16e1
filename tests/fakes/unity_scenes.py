"""Scenes in memory, with the interface of `rl_src.envs.client.UnityClient`: no process, no socket."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rl_src.envs.batches import Actions, BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec


def decisions(ids: list[int], observations: Any, rewards: Any, masks: Any = None) -> DecisionBatch:
    count = len(ids)
    return DecisionBatch(
        agent_ids=np.array(ids, dtype=np.int64),
        observations=(_rows(observations, count),),
        rewards=np.array(rewards, dtype=np.float32),
        action_mask=None if masks is None else np.array(masks, dtype=bool),
        group_ids=np.zeros(count, dtype=np.int64),
        group_rewards=np.zeros(count, dtype=np.float32),
    )


def terminals(ids: list[int], observations: Any, rewards: Any, truncated: list[bool]) -> TerminalBatch:
    count = len(ids)
    return TerminalBatch(
        agent_ids=np.array(ids, dtype=np.int64),
        observations=(_rows(observations, count),),
        rewards=np.array(rewards, dtype=np.float32),
        truncated=np.array(truncated, dtype=bool),
        group_ids=np.zeros(count, dtype=np.int64),
        group_rewards=np.zeros(count, dtype=np.float32),
    )


def _rows(values: Any, count: int) -> np.ndarray:
    rows = np.array(values, dtype=np.float32)
    return rows.reshape(count, -1) if count else rows


class FakeScene:
    """Some agents that all play one small game; a new agent id each episode, as Unity does it.

    Terminal and next decision come in one step.
    """

    behavior = BehaviorSpec("Fake?team=0", (ObservationSpec("state", (1,)),), ActionSpec(0, (2,)))

    def __init__(self, agents: int = 1, seed: int = 0) -> None:
        self._agents = agents
        self.rng = np.random.default_rng(seed)
        self._next_id = 0
        self.specs: Mapping[str, BehaviorSpec] = {self.behavior.name: self.behavior}
        self.closed = False
        self.steps = 0
        self.parameters: dict[str, Any] = {}

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        self.parameters.update(parameters)

    def begin(self) -> Any:
        """A new episode's state."""
        raise NotImplementedError

    def observe(self, state: Any) -> np.ndarray:
        raise NotImplementedError

    def mask(self, state: Any) -> list[bool] | None:
        return None

    def advance(self, state: Any, continuous: np.ndarray, discrete: np.ndarray) -> tuple[Any, float, str]:
        """Next state, reward and "", "terminated" or "truncated"."""
        raise NotImplementedError

    def reset(self, parameters: Mapping[str, float] | None = None) -> Mapping[str, BehaviorStep]:
        self._states = [self.begin() for _ in range(self._agents)]
        self._ids = [self._new_id() for _ in range(self._agents)]
        return self._answer([0.0] * self._agents, terminals([], np.empty((0, self._width())), [], []))

    def step(self, actions: Mapping[str, Actions]) -> Mapping[str, BehaviorStep]:
        assert not self.closed
        self.steps += 1
        own = actions[self.behavior.name]
        assert own.continuous.shape == (self._agents, self.behavior.actions.continuous_size)
        assert own.discrete.shape == (self._agents, len(self.behavior.actions.discrete_branches))
        rewards, ended = [], []
        for i in range(self._agents):
            state, reward, end = self.advance(self._states[i], own.continuous[i], own.discrete[i])
            rewards.append(reward)
            self._states[i] = state
            if end:
                ended.append((self._ids[i], self.observe(state), reward, end == "truncated"))
                self._states[i], self._ids[i], rewards[-1] = self.begin(), self._new_id(), 0.0
        ids, observations, last, truncated = ([item[k] for item in ended] for k in range(4))
        if not ended:
            observations = np.empty((0, self._width()))
        return self._answer(rewards, terminals(ids, observations, last, truncated))

    def send_reset(self, parameters: Mapping[str, float] | None = None) -> None:
        self._sent = lambda: self.reset(parameters)

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        self._sent = lambda: self.step(actions)

    def has_answer(self) -> bool:
        return True

    def receive(self) -> Mapping[str, BehaviorStep]:
        return self._sent()

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        self.closed = True

    def _width(self) -> int:
        return self.behavior.observations[0].shape[0]

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _answer(self, rewards: list[float], ends: TerminalBatch) -> Mapping[str, BehaviorStep]:
        masks = [self.mask(state) for state in self._states]
        waiting = decisions(
            self._ids,
            [self.observe(state) for state in self._states],
            rewards,
            None if masks[0] is None else masks,
        )
        return {self.behavior.name: BehaviorStep(decisions=waiting, terminals=ends)}


class BasicScene(FakeScene):
    """ML-Agents' Basic: positions 0 to 19, start 10, a small goal at 7 (+0.1), a large one at 17 (+1), -0.01 a step."""

    behavior = BehaviorSpec("Basic?team=0", (ObservationSpec("position", (20,)),), ActionSpec(0, (3,)))

    def begin(self) -> int:
        return 10

    def observe(self, state: int) -> np.ndarray:
        return np.eye(20, dtype=np.float32)[state]

    def advance(self, state: int, continuous: np.ndarray, discrete: np.ndarray) -> tuple[int, float, str]:
        state = min(19, max(0, state + (0, -1, 1)[discrete[0]]))
        if state in (7, 17):
            return state, -0.01 + (0.1 if state == 7 else 1.0), "terminated"
        return state, -0.01, ""


class TargetScene(FakeScene):
    """One step an episode: come as near as possible to what is seen. Continuous; the best return is 0."""

    behavior = BehaviorSpec("Target?team=0", (ObservationSpec("target", (1,)),), ActionSpec(1, ()))
    scale = 1.0

    def begin(self) -> float:
        return float(self.rng.uniform(-0.8, 0.8))

    def observe(self, state: float) -> np.ndarray:
        return np.array([state], dtype=np.float32)

    def advance(self, state: float, continuous: np.ndarray, discrete: np.ndarray) -> tuple[float, float, str]:
        assert -1.0 <= continuous[0] <= 1.0
        return state, -self.scale * float((continuous[0] - state) ** 2), "terminated"


class MatchScene(FakeScene):
    """One step an episode: two branches must name the two digits seen; of the second, one answer is forbidden."""

    behavior = BehaviorSpec("Match?team=0", (ObservationSpec("digits", (6,)),), ActionSpec(0, (3, 3)))

    def begin(self) -> tuple[int, int]:
        return int(self.rng.integers(3)), int(self.rng.integers(2))

    def observe(self, state: tuple[int, int]) -> np.ndarray:
        return np.concatenate([np.eye(3)[state[0]], np.eye(3)[state[1]]]).astype(np.float32)

    def mask(self, state: tuple[int, int]) -> list[bool]:
        return [True, True, True, True, True, False]

    def advance(self, state: Any, continuous: np.ndarray, discrete: np.ndarray) -> tuple[Any, float, str]:
        assert discrete[1] != 2, "a forbidden action was taken"
        return state, float(discrete[0] == state[0]) + float(discrete[1] == state[1]), "terminated"


class HybridScene(FakeScene):
    """One step an episode: a branch names the sign of what is seen, a value its size."""

    behavior = BehaviorSpec("Hybrid?team=0", (ObservationSpec("value", (1,)),), ActionSpec(1, (2,)))

    def begin(self) -> float:
        return float(self.rng.uniform(-0.8, 0.8))

    def observe(self, state: float) -> np.ndarray:
        return np.array([state], dtype=np.float32)

    def advance(self, state: float, continuous: np.ndarray, discrete: np.ndarray) -> tuple[float, float, str]:
        error = float((continuous[0] - abs(state)) ** 2)
        return state, (1.0 if discrete[0] == int(state > 0) else 0.0) - error, "terminated"


class EndlessScene(FakeScene):
    """Every episode is truncated after five steps of reward 1: with gamma g the value is 1 / (1 - g) everywhere."""

    def begin(self) -> int:
        return 0

    def observe(self, state: int) -> np.ndarray:
        return np.array([1.0], dtype=np.float32)

    def advance(self, state: int, continuous: np.ndarray, discrete: np.ndarray) -> tuple[int, float, str]:
        return state + 1, 1.0, "truncated" if state + 1 == 5 else ""


class FailingScene(BasicScene):
    """Raises what it is given after some steps."""

    def __init__(self, error: Exception, after: int) -> None:
        super().__init__()
        self._error = error
        self._after = after

    def step(self, actions: Mapping[str, Actions]) -> Mapping[str, BehaviorStep]:
        if self.steps >= self._after:
            raise self._error
        return super().step(actions)


SceneFactory = Callable[[], FakeScene]


class CombinedScene:
    """Several scenes played as one, each with a behavior of its own. Those in `late` appear after so many steps."""

    def __init__(self, *scenes: FakeScene, late: Mapping[str, int] | None = None) -> None:
        self.scenes = scenes
        self.late = dict(late or {})
        self.specs: dict[str, BehaviorSpec] = {}
        self.steps = 0
        self.closed = False

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        for scene in self.scenes:
            scene.set_parameters(parameters)

    def send_reset(self, parameters: Mapping[str, float] | None = None) -> None:
        self.steps, self.specs = 0, {}
        self._sent = self._appeared

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        def play() -> dict[str, BehaviorStep]:
            self.steps += 1
            answers: dict[str, BehaviorStep] = {}
            for scene in self.scenes:
                if scene.behavior.name in actions:
                    answers |= scene.step({scene.behavior.name: actions[scene.behavior.name]})
            return answers | self._appeared()

        self._sent = play

    def _appeared(self) -> dict[str, BehaviorStep]:
        answers: dict[str, BehaviorStep] = {}
        for scene in self.scenes:
            name = scene.behavior.name
            if name not in self.specs and self.steps >= self.late.get(name, 0):
                self.specs[name] = scene.behavior
                answers |= scene.reset()
        return answers

    def has_answer(self) -> bool:
        return True

    def receive(self) -> Mapping[str, BehaviorStep]:
        return self._sent()

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        self.closed = True


class DuelScene:
    """Two teams choose 0, 1 or 2 at once, and the larger choice wins (+1, the other -1, else 0); then all anew.

    Args:
        duels: side by side.
        names: of the two teams' behaviors.
    """

    def __init__(self, duels: int = 4, names: tuple[str, str] = ("Duel?team=0", "Duel?team=1")) -> None:
        self.names = names
        observations, actions = (ObservationSpec("nothing", (1,)),), ActionSpec(0, (3,))
        self.specs = {name: BehaviorSpec(name, observations, actions) for name in names}
        self.resets = 0
        self.closed = False
        self._duels = duels
        self._next_id = 0

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        pass

    def send_reset(self, parameters: Mapping[str, float] | None = None) -> None:
        self.resets += 1
        self._sent = self._begin

    def send_step(self, actions: Mapping[str, Actions]) -> None:
        def play() -> dict[str, BehaviorStep]:
            first, second = (actions[name].discrete[:, 0] for name in self.names)
            won = np.sign(first - second).astype(np.float32)
            ends = {
                name: terminals(self._ids[name], np.ones(self._duels), own, [False] * self._duels)
                for name, own in zip(self.names, (won, -won), strict=True)
            }
            return {
                name: BehaviorStep(decisions=step.decisions, terminals=ends[name])
                for name, step in self._begin().items()
            }

        self._sent = play

    def _begin(self) -> dict[str, BehaviorStep]:
        self._ids = {}
        for name in self.names:
            self._ids[name] = list(range(self._next_id, self._next_id + self._duels))
            self._next_id += self._duels
        nothing = terminals([], np.empty((0, 1)), [], [])
        waiting = {name: decisions(ids, np.ones(self._duels), np.zeros(self._duels)) for name, ids in self._ids.items()}
        return {name: BehaviorStep(decisions=own, terminals=nothing) for name, own in waiting.items()}

    def has_answer(self) -> bool:
        return True

    def receive(self) -> Mapping[str, BehaviorStep]:
        return self._sent()

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        self.closed = True


class RecallScene(FakeScene):
    """What is shown first must be done last: +1 for that choice after three blank observations, -1 for the other."""

    behavior = BehaviorSpec("Recall?team=0", (ObservationSpec("shown", (3,)),), ActionSpec(0, (2,)))
    blanks = 3

    def begin(self) -> tuple[int, int]:
        return int(self.rng.integers(2)), 0

    def observe(self, state: tuple[int, int]) -> np.ndarray:
        shown, step = state
        return np.array([step == 0 and shown == 0, step == 0 and shown == 1, step == self.blanks], dtype=np.float32)

    def advance(self, state: Any, continuous: np.ndarray, discrete: np.ndarray) -> tuple[Any, float, str]:
        shown, step = state
        if step < self.blanks:
            return (shown, step + 1), 0.0, ""
        return state, 1.0 if discrete[0] == shown else -1.0, "terminated"
