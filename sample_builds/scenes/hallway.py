"""Hallway: an agent finds a symbol, X or O, remembers it, and walks on to the goal that carries the same.

Documented mean return of a solved policy: 0.7. Rewards: -1/3000 an academy step; 1 at the goal that matches and -0.1 at
the other *replace* what was collected since the last decision (the example calls SetReward). Episodes are interrupted
after 3000 academy steps. Agents decide at every sixth academy step and an episode may end at any: the next decision
comes in the message of the end, or in the one after it.

Observations and actions are those of ML-Agents' documents: 30 numbers = 5 rays, each with the tags of both goals and
both symbols, a miss and a distance (a wall is a hit without a tag); 4 choices = forward, back, turn right, turn left.
The example's prefab has drifted from that: a tag for walls and the part of the episode that is over, everything stacked
3 times, and a fifth choice, to stay.

Memory is necessary: rays reach 7 m here (12 m in the prefab) and look 70 degrees to each side, so that nowhere a
symbol and a goal are seen at once. Symbols differ in nothing but their tag (in the prefab also in their place).

(com.unity.ml-agents Examples/Hallway: HallwayAgent.cs, SymbolFinderArea.prefab, docs/Learning-Environment-Examples.md;
Runtime: Academy.EnvironmentStep, Agent, RayPerceptionSensor. The dynamics here are kinematic and of our own: metres,
academy steps of 0.02 s, z leads from the start to the goals, yaw turns clockwise from z.)
"""

from collections.abc import Mapping, Sequence
from math import cos, inf, radians, sin
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World
from sample_builds.player.sketch import BLUE, GREEN, GROUND, LINE, ORANGE, Sketch
from sample_builds.scenes.rays import SensorWriter, pack, ray_degrees

FORWARD, BACK, RIGHT, LEFT = range(4)
"""The choices of the only branch."""
BEHAVIOR = Behavior("Hallway?team=0", discrete_branches=(4,))
SYMBOL_O, SYMBOL_X = range(2)

GOAL_REWARD, WRONG_GOAL_REWARD = 1.0, -0.1
DECISION_PERIOD = 6
MAX_STEP = 3000
STEP_REWARD = -1.0 / MAX_STEP

HALF_WIDTH, HALF_LENGTH = 9.5, 24.75
START_Z, START_SPREAD_X, START_SPREAD_Z = -15.0, 3.0, 5.0
SYMBOL_SPREAD_X, SYMBOL_SPREAD_Z = 3.0, 5.0
SYMBOL_HALF_SIZE = (2.0, 0.5)
GOAL_X, GOAL_Z = 7.0, 22.3
GOAL_HALF_SIZE = (2.0, 2.0)
HALF_AGENT = 0.5

RUN = 0.5  # metres an academy step
TURN_DEGREES = 3  # an academy step

RAY_LENGTH = 7.0
RAY_RADIUS = 0.5
"""Rays are as thick as the agent (sphere casts): they hit what they pass at this distance."""
RAY_DEGREES = ray_degrees(rays_per_direction=2, max_degrees=70.0)
TAGS = ("symbol_O_Goal", "symbol_X_Goal", "symbol_O", "symbol_X")
SENSOR = "RayPerceptionSensor"

_DRAWN_HALLWAYS = 4
_LETTERS = ("O", "X")
_COLORS = (ORANGE, GREEN)

_RAY_SIZE = len(TAGS) + 2
_MISSES = [*([0.0] * len(TAGS)), 1.0, 1.0] * len(RAY_DEGREES)
_AHEAD = [(sin(radians(yaw)), cos(radians(yaw))) for yaw in range(0, 360, TURN_DEGREES)]
_RAYS = [
    [(sin(radians(yaw + ray)), cos(radians(yaw + ray))) for ray in RAY_DEGREES] for yaw in range(0, 360, TURN_DEGREES)
]
_HEADINGS = len(_AHEAD)

# A rectangle on the ground: middle x and z, half sizes.
Rectangle = tuple[float, float, float, float]


class HallwayScene(Scene):
    """`--agents N` (or the environment parameter `agents`) hallways side by side, one agent in each; default 1.

    Environment parameter, read at each episode's beginning: `symbol`, 0 for O and 1 for X; left out, it is drawn.
    """

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._default_agents = int(option(arguments, "--agents", "1"))
        self._writer = SensorWriter({SENSOR: len(_MISSES)})
        self._hallways: list[_Hallway] = []
        self._academy_steps = 0

    def reset(self) -> None:
        """Begin new episodes in all hallways; every agent asks at once."""
        agents = int(self.world.parameter("agents", self._default_agents))
        self._hallways = [_Hallway(self.world, self._writer) for _ in range(agents)]
        self._academy_steps = 0
        for hallway in self._hallways:
            hallway.ask()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Play until an episode ends or the agents decide anew; until then each repeats its action."""
        # All agents ask together, so that the order of the requests is that of the hallways.
        for hallway, action in zip(self._hallways, actions.get(BEHAVIOR.name, ()), strict=False):
            hallway.action = action.discrete_actions[0]
        infos = self.world.infos
        while not infos:
            for hallway in self._hallways:
                hallway.act()
            self._academy_steps += 1
            if self._academy_steps % DECISION_PERIOD == 0:
                for hallway in self._hallways:
                    hallway.ask()

    def sketch(self) -> Sketch:
        """The first hallways from above, side by side."""
        drawn = self._hallways[:_DRAWN_HALLWAYS]
        sheet = Sketch(2 * (HALF_LENGTH + 1), len(drawn) * 2 * (HALF_WIDTH + 1))
        for number, hallway in enumerate(drawn):
            sheet.left, sheet.bottom = HALF_LENGTH + 1, (2 * number + 1) * (HALF_WIDTH + 1)
            hallway.sketch(sheet)
        return sheet


class _Hallway:
    """One hallway: the agent, the symbol and both goals."""

    def __init__(self, world: World, writer: SensorWriter) -> None:
        self._world = world
        self._writer = writer
        self._begin_episode()

    def _begin_episode(self) -> None:
        numbers = self._world.random
        self._id = self._world.new_episode_id()
        # Until the first decision the agent only waits; no choice of the documented four does that.
        self.action: int | None = None
        self._steps, self._reward = 0, 0.0
        drawn = numbers.randrange(2)
        self._symbol = int(self._world.parameter("symbol", drawn))
        self._symbol_x = numbers.uniform(-SYMBOL_SPREAD_X, SYMBOL_SPREAD_X)
        self._symbol_z = numbers.uniform(-SYMBOL_SPREAD_Z, SYMBOL_SPREAD_Z)
        self._x = numbers.uniform(-START_SPREAD_X, START_SPREAD_X)
        self._z = START_Z + numbers.uniform(-START_SPREAD_Z, START_SPREAD_Z)
        self._heading = numbers.randrange(_HEADINGS)
        o_goal_x = GOAL_X if numbers.randrange(2) else -GOAL_X
        self._goal_xs = (o_goal_x, -o_goal_x)
        # What rays hit: tag and rectangle.
        self._things: list[tuple[int, Rectangle]] = [
            *((tag, (goal_x, GOAL_Z, *GOAL_HALF_SIZE)) for tag, goal_x in enumerate(self._goal_xs)),
            (2 + self._symbol, (self._symbol_x, self._symbol_z, *SYMBOL_HALF_SIZE)),
        ]

    def ask(self) -> None:
        """Ask for the next action."""
        self._world.request_decision(BEHAVIOR, self._id, self._observe(), self._reward)
        self._reward = 0.0

    def act(self) -> None:
        """One academy step."""
        self._reward += STEP_REWARD
        self._steps += 1
        if self.action == FORWARD:
            self._walk(RUN)
        elif self.action == BACK:
            self._walk(-RUN)
        elif self.action is not None:
            self._heading = (self._heading + (1 if self.action == RIGHT else -1)) % _HEADINGS
        goal = self._touched_goal()
        if goal is not None:
            self._reward = GOAL_REWARD if goal == self._symbol else WRONG_GOAL_REWARD
            self._end(interrupted=False)
        elif self._steps >= MAX_STEP:
            self._end(interrupted=True)

    def _end(self, *, interrupted: bool) -> None:
        self._world.end_episode(BEHAVIOR, self._id, self._observe(), self._reward, interrupted=interrupted)
        self._begin_episode()

    def _walk(self, pace: float) -> None:
        # One axis after the other, so that agents slide along what stops them.
        ahead_x, ahead_z = _AHEAD[self._heading]
        x = self._x + ahead_x * pace
        if abs(x) <= HALF_WIDTH - HALF_AGENT and not self._is_over_symbol(x, self._z):
            self._x = x
        z = self._z + ahead_z * pace
        if abs(z) <= HALF_LENGTH - HALF_AGENT and not self._is_over_symbol(self._x, z):
            self._z = z

    def _is_over_symbol(self, x: float, z: float) -> bool:
        half_width, half_depth = SYMBOL_HALF_SIZE
        return abs(z - self._symbol_z) < half_depth + HALF_AGENT and abs(x - self._symbol_x) < half_width + HALF_AGENT

    def _touched_goal(self) -> int | None:
        """The symbol of the goal that the agent touches."""
        half_width, half_depth = GOAL_HALF_SIZE
        if self._z < GOAL_Z - half_depth - HALF_AGENT or abs(self._x) < GOAL_X - half_width - HALF_AGENT:
            return None
        return SYMBOL_O if self._x * self._goal_xs[SYMBOL_O] > 0 else SYMBOL_X

    def sketch(self, sheet: Sketch) -> None:
        """From above, turned so that the way to the goals leads to the right."""
        sheet.rectangle(-HALF_LENGTH, -HALF_WIDTH, 2 * HALF_LENGTH, 2 * HALF_WIDTH, GROUND)
        for symbol, goal_x in enumerate(self._goal_xs):
            half_width, half_depth = GOAL_HALF_SIZE
            sheet.rectangle(GOAL_Z - half_depth, -goal_x - half_width, 2 * half_depth, 2 * half_width, _COLORS[symbol])
            sheet.text(GOAL_Z, -goal_x, _LETTERS[symbol])
        half_width, half_depth = SYMBOL_HALF_SIZE
        corner = self._symbol_z - half_depth, -self._symbol_x - half_width
        sheet.rectangle(*corner, 2 * half_depth, 2 * half_width, LINE)
        sheet.text(self._symbol_z - 2, -self._symbol_x, _LETTERS[self._symbol], _COLORS[self._symbol])
        sheet.agent(self._z, -self._x, radians(90 + self._heading * TURN_DEGREES), 2 * HALF_AGENT, BLUE)

    def _observe(self) -> bytes:
        values = _MISSES[:]
        things = self._things_near()
        for ray, (ahead_x, ahead_z) in enumerate(_RAYS[self._heading]):
            distance, hit = self._to_wall(ahead_x, ahead_z), -1
            for tag, rectangle in things:
                to_thing = _distance_to(rectangle, self._x, self._z, ahead_x, ahead_z)
                if to_thing < distance:
                    distance, hit = to_thing, tag
            if distance <= RAY_LENGTH:
                at = ray * _RAY_SIZE
                values[at + len(TAGS)] = 0.0
                values[at + len(TAGS) + 1] = distance / RAY_LENGTH
                if hit >= 0:
                    values[at + hit] = 1.0
        return self._writer.write((pack(values),))

    def _things_near(self) -> list[tuple[int, Rectangle]]:
        """What rays may reach at all: most of the way there is nothing but walls."""
        return [thing for thing in self._things if abs(thing[1][1] - self._z) <= RAY_LENGTH + thing[1][3] + RAY_RADIUS]

    def _to_wall(self, ahead_x: float, ahead_z: float) -> float:
        """The distance to the nearest wall in a direction."""
        nearest = inf
        for position, ahead, half_size in ((self._x, ahead_x, HALF_WIDTH), (self._z, ahead_z, HALF_LENGTH)):
            if abs(ahead) > 1e-9:
                wall = half_size - RAY_RADIUS if ahead > 0 else RAY_RADIUS - half_size
                nearest = min(nearest, (wall - position) / ahead)
        return nearest


def _distance_to(rectangle: Rectangle, x: float, z: float, ahead_x: float, ahead_z: float) -> float:
    """How far a thick ray from `x`, `z` goes until it hits a rectangle, infinite when it does not."""
    middle_x, middle_z, half_width, half_depth = rectangle
    nearest, farthest = 0.0, inf
    for gap, ahead, half_size in ((middle_x - x, ahead_x, half_width), (middle_z - z, ahead_z, half_depth)):
        reach = half_size + RAY_RADIUS
        if abs(ahead) < 1e-9:
            if abs(gap) > reach:
                return inf
            continue
        enter, leave = (gap - reach) / ahead, (gap + reach) / ahead
        if enter > leave:
            enter, leave = leave, enter
        nearest, farthest = max(nearest, enter), min(farthest, leave)
    return nearest if nearest <= farthest else inf
