"""Basic, ML-Agents' smallest example: an agent on a line of 20 fields, a small goal near and a large one far.

Documented mean return of a solved policy: 0.93 = seven steps to the right at -0.01 each, and 1 for the large goal.
(com.unity.ml-agents Examples/Basic: BasicController.cs, BasicSensorComponent.cs.)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World, float_observation, observation_field
from sample_builds.player.sketch import BLUE, GREEN, GROUND, LINE, ORANGE, Sketch

FIELDS = 20
START = 10
SMALL_GOAL, SMALL_GOAL_REWARD = 7, 0.1
LARGE_GOAL, LARGE_GOAL_REWARD = 17, 1.0
STEP_REWARD = -0.01
MOVES = (0, -1, 1)
"""The choices of the only branch: stay, left, right."""

_DRAWN_LINES = 6

BEHAVIOR = Behavior("Basic?team=0", discrete_branches=(len(MOVES),))


class BasicScene(Scene):
    """`--agents N` (or the environment parameter `agents`) lines side by side, one agent on each; default 1."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._default_agents = int(option(arguments, "--agents", "1"))
        self._observations = [
            observation_field([float_observation("BasicSensor", [float(field == at) for field in range(FIELDS)])])
            for at in range(FIELDS)
        ]
        self._positions: list[int] = []
        self._ids: list[int] = []

    def reset(self) -> None:
        """Put every agent back to its start."""
        agents = int(self.world.parameter("agents", self._default_agents))
        self._positions = [START] * agents
        self._ids = [self.world.new_episode_id() for _ in range(agents)]
        for agent_id in self._ids:
            self._ask(agent_id, START, 0.0)

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Move each agent; one that reaches a goal ends its episode and begins the next in the same message."""
        world, positions = self.world, self._positions
        for agent, action in enumerate(actions.get(BEHAVIOR.name, ())):
            position = min(max(positions[agent] + MOVES[action.discrete_actions[0]], 0), FIELDS - 1)
            reward = STEP_REWARD
            if position in (SMALL_GOAL, LARGE_GOAL):
                positions[agent] = position
                reward += SMALL_GOAL_REWARD if position == SMALL_GOAL else LARGE_GOAL_REWARD
                world.end_episode(BEHAVIOR, self._ids[agent], self._observations[position], reward)
                position, reward = START, 0.0
                self._ids[agent] = world.new_episode_id()
            positions[agent] = position
            self._ask(self._ids[agent], position, reward)

    def sketch(self) -> Sketch:
        """The lines one above the other: fields, both goals and the agent."""
        drawn = self._positions[:_DRAWN_LINES]
        sheet = Sketch(FIELDS + 1, 3.0 * len(drawn))
        for row, position in enumerate(drawn):
            sheet.bottom = 3.0 * row + 0.5
            for at in range(FIELDS):
                sheet.rectangle(0.5 + at, 0.5, 0.92, 1.0, GROUND)
            sheet.circle(0.96 + SMALL_GOAL, 1.0, 0.2, GREEN)
            sheet.circle(0.96 + LARGE_GOAL, 1.0, 0.42, GREEN)
            sheet.line((0.96 + START, 0.35), (0.96 + START, 0.5), 0.1, LINE)
            sheet.circle(0.96 + position, 1.0, 0.3, BLUE if position != LARGE_GOAL else ORANGE)
        return sheet

    def _ask(self, agent_id: int, position: int, reward: float) -> None:
        self.world.request_decision(BEHAVIOR, agent_id, self._observations[position], reward)
