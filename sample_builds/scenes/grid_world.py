"""GridWorld: an agent on a grid of 5 x 5 cells goes to the goal that it is told, a plus or an ex, and avoids the other.

Documented mean return of a solved policy: 0.8. Rewards: -0.01 a step; 1 at the goal that was told and -1 at the other
*replace* that of their step (the example calls SetReward). Agents decide at every step. Episodes are interrupted after
100 steps; an end and the next decision always come in one message.

Observations: the picture of a camera above the grid, as PNG, and a goal signal, one of two (plus, ex). Choices that
would walk into a wall are disallowed. As with ML-Agents' masks, an agent sends none until it first stands at a wall,
and in each message from then on, whether anything is disallowed or not.

(com.unity.ml-agents Examples/GridWorld: GridAgent.cs, GridArea.cs, Area.prefab; Runtime: Agent,
ActuatorDiscreteActionMask.cs.)
"""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sample_builds.player import x_display
from sample_builds.player.command_line import has_graphics, option
from sample_builds.player.scene import GOAL_SIGNAL, Behavior, Scene, World, float_observation, observation_field
from sample_builds.scenes.grid_world_camera import Camera, Cell

STAY, UP, DOWN, LEFT, RIGHT = range(5)
"""The choices of the only branch."""
BEHAVIOR = Behavior("GridWorld?team=0", discrete_branches=(5,))
GOAL_SENSOR = "VectorSensor"
PLUS_GOAL, EX_GOAL = range(2)

AGENTS = 9
STEP_REWARD, GOAL_REWARD, WRONG_GOAL_REWARD = -0.01, 1.0, -1.0
MAX_STEP = 100

_MOVES = ((0, 0), (0, 1), (0, -1), (-1, 0), (1, 0))


class GridWorldScene(Scene):
    """`--agents N` (or the environment parameter `agents`) grids side by side, one agent on each; default 9.

    Environment parameters, read at each episode's beginning: `gridSize` (5), `numPlusGoals` (1), `numExGoals` (1).

    `--uncompressed` sends pictures as numbers. `--camera unity` needs for its pictures what Unity needs: started with
    `-nographics` they are black, and without, the game ends at once unless an X server takes its connection.
    """

    _display: socket.socket | None = None

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._default_agents = int(option(arguments, "--agents", str(AGENTS)))
        self._compressed = "--uncompressed" not in arguments
        self._black = _is_unity_camera(arguments) and not has_graphics(arguments)
        self._cameras: dict[int, Camera] = {}
        self.goal_fields = [
            observation_field([float_observation(GOAL_SENSOR, signal, kind=GOAL_SIGNAL)])
            for signal in ((1.0, 0.0), (0.0, 1.0))
        ]
        self._grids: list[_Grid] = []

    @classmethod
    def before_connecting(cls, arguments: Sequence[str], log: Callable[[str], None]) -> None:
        """As Unity's player: without a display there is no game, unless it was started to do without."""
        if _is_unity_camera(arguments) and has_graphics(arguments):
            # Kept for as long as the game lasts, as a window would.
            cls._display = x_display.connect(os.environ)
            if cls._display is None:
                log(f"Unable to open display {os.environ.get('DISPLAY', '')}")
                log("No supported renderers found, exiting")
                sys.exit(1)
        super().before_connecting(arguments, log)

    def camera(self, size: int) -> Camera:
        """The camera for grids of `size` x `size` cells, which all of them share."""
        if size not in self._cameras:
            self._cameras[size] = Camera(size, compressed=self._compressed, black=self._black)
        return self._cameras[size]

    def reset(self) -> None:
        """Begin new episodes on all grids."""
        agents = int(self.world.parameter("agents", self._default_agents))
        self._grids = [_Grid(self) for _ in range(agents)]
        for grid in self._grids:
            grid.ask()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Move each agent, which asks at once for its next action."""
        for grid, action in zip(self._grids, actions.get(BEHAVIOR.name, ()), strict=False):
            grid.act(action.discrete_actions[0])
            grid.ask()


def _is_unity_camera(arguments: Sequence[str]) -> bool:
    return option(arguments, "--camera", "") == "unity"


class _Grid:
    """One grid: its goals and its agent."""

    def __init__(self, scene: GridWorldScene) -> None:
        self._scene = scene
        self._world = scene.world
        self._masks = False
        self._begin_episode()

    def _begin_episode(self) -> None:
        world = self._world
        self._id = world.new_episode_id()
        self._steps, self._reward = 0, 0.0
        self._size = size = int(world.parameter("gridSize", 5.0))
        pluses, exes = int(world.parameter("numPlusGoals", 1.0)), int(world.parameter("numExGoals", 1.0))
        cells: list[Cell] = [
            divmod(number, size) for number in world.random.sample(range(size * size), pluses + exes + 1)
        ]
        self._goals = tuple(cells[:pluses]), tuple(cells[pluses:-1])
        self._agent = cells[-1]
        self._goal = world.random.randrange(2)
        self._camera = self._scene.camera(size)

    def act(self, choice: int) -> None:
        """One step: the agent moves, unless a wall is in the way."""
        self._steps += 1
        self._reward = STEP_REWARD
        move_x, move_z = _MOVES[choice]
        x, z = self._agent[0] + move_x, self._agent[1] + move_z
        if 0 <= x < self._size and 0 <= z < self._size:
            self._agent = x, z
        for kind in (PLUS_GOAL, EX_GOAL):
            if self._agent in self._goals[kind]:
                self._reward = GOAL_REWARD if kind == self._goal else WRONG_GOAL_REWARD
                self._end(interrupted=False)
                return
        if self._steps >= MAX_STEP:
            self._end(interrupted=True)

    def ask(self) -> None:
        """Ask for the next action."""
        x, z = self._agent
        last = self._size - 1
        disallowed = (False, z == last, z == 0, x == 0, x == last)
        self._masks = self._masks or any(disallowed)
        self._world.request_decision(
            BEHAVIOR, self._id, self._observe(), self._reward, disallowed=disallowed if self._masks else ()
        )
        self._reward = 0.0

    def _end(self, *, interrupted: bool) -> None:
        self._world.end_episode(BEHAVIOR, self._id, self._observe(), self._reward, interrupted=interrupted)
        self._begin_episode()

    def _observe(self) -> bytes:
        return self._camera.observe((self._agent, *self._goals)) + self._scene.goal_fields[self._goal]
