"""FoodCollector: five agents in one area collect green food, leave red food alone, and freeze each other with lasers.

Documented mean return of a solved policy: 10. Rewards: 1 for food and -1 for bad food, added up between decisions.
Agents decide at every fifth academy step and repeat their action until then. After 5000 academy steps = 1000 decisions
all episodes are interrupted together, in the message of the next decisions; the food stays as it lies.

The behavior's name is that of the example's prefab and of its trainer configuration, `GridFoodCollector`; the documents
name the scene only. Observations and actions are those of the documents: a grid sensor of 40 x 40 cells with 6
categories, and a vector of 4 (velocity to the right and ahead, whether frozen, whether shooting); 3 continuous actions
(ahead, to the right, turn to the left, each within [-1, 1]) and a branch of 2 (shoot). The example's prefab has drifted
from that: its vector is switched off, and its sensor has 5 categories.

(com.unity.ml-agents Examples/FoodCollector: FoodCollectorAgent.cs, FoodCollectorArea.cs, FoodCollectorArea.prefab,
docs/Learning-Environment-Examples.md; Runtime: Academy.EnvironmentStep, Agent. Forces, speeds and sizes are the
example's, the rest is of our own: metres, academy steps of 0.02 s, yaw turns clockwise from z. Agents pass through each
other, food lies still.)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import cos, inf, radians, sin, sqrt
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World
from sample_builds.player.sketch import BLUE, GREEN, GROUND, LINE, ORANGE, RED, Sketch
from sample_builds.scenes import food_collector_grid as grid
from sample_builds.scenes.rays import SensorWriter, pack

BEHAVIOR = Behavior("GridFoodCollector?team=0", continuous_size=3, discrete_branches=(2,))
VECTOR_SENSOR = "VectorSensor_size4"

AGENTS, GOOD_FOOD, BAD_FOOD = 5, 25, 25
FOOD_REWARD, BAD_FOOD_REWARD = 1.0, -1.0
DECISION_PERIOD = 5
MAX_STEP = 5000

HALF_AREA = 50.0
SPAWN_RANGE = 45.0
FOOD_RADIUS = 0.75
HALF_AGENT = 0.5  # times `agent_scale`

STEP_SECONDS = 0.02
PUSH = 2.0  # metres a second, an academy step, for an action of 1
TURN = radians(6.0)  # an academy step, for an action of 1
FREE_SPEED, BRAKE = 5.0, 0.95  # what is faster keeps this part of its speed
DRAG = 0.99
FRICTION = 0.6 * 9.81 * STEP_SECONDS
SHOOTING_PUSH, SHOOTING_BRAKE = 0.5, 0.75

LASER_REACH, LASER_RADIUS = 25.0, 2.0  # the first times `laser_length`
FROZEN_STEPS = 200

_CORNERS = ((-HALF_AREA, -HALF_AREA), (HALF_AREA, -HALF_AREA), (HALF_AREA, HALF_AREA), (-HALF_AREA, HALF_AREA))
_IN_SIGHT = grid.REACH + FOOD_RADIUS


class FoodCollectorScene(Scene):
    """`--agents N` (or the environment parameter `agents`) agents in the one area; default 5.

    Environment parameters, read at each episode's beginning: `laser_length` and `agent_scale`, both 1. In the example
    the first changes only how far the laser is drawn; here, also how far it freezes.
    """

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._default_agents = int(option(arguments, "--agents", str(AGENTS)))
        self._vector_writer = SensorWriter({VECTOR_SENSOR: 4})
        self._area = _Area(world, agents=0, vector_writer=self._vector_writer)

    def reset(self) -> None:
        """New food, and new episodes for all agents, which ask at once."""
        agents = int(self.world.parameter("agents", self._default_agents))
        self._area = _Area(self.world, agents, self._vector_writer)
        for agent in self._area.agents:
            agent.ask()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Play until the agents decide anew; until then each repeats its action."""
        area = self._area
        for agent, action in zip(area.agents, actions.get(BEHAVIOR.name, ()), strict=False):
            agent.decide(action.continuous_actions, action.discrete_actions)
        infos = self.world.infos
        while not infos:
            area.steps += 1
            for agent in area.agents:
                agent.act()
            # One after the other has acted: where an episode's end puts an agent must not change what others see at it.
            if area.steps % MAX_STEP == 0:
                for agent in area.agents:
                    agent.end()
                for agent in area.agents:
                    agent.begin_episode()
            if area.steps % DECISION_PERIOD == 0:
                for agent in area.agents:
                    agent.ask()

    def sketch(self) -> Sketch:
        """The area from above: green food, red food, and lasers as they freeze."""
        sheet = Sketch(2 * HALF_AREA, 2 * HALF_AREA)
        sheet.left = sheet.bottom = HALF_AREA
        sheet.rectangle(-HALF_AREA, -HALF_AREA, 2 * HALF_AREA, 2 * HALF_AREA, GROUND)
        for food in self._area.food:
            sheet.circle(food.x, food.z, 1.2 * FOOD_RADIUS, GREEN if food.kind == grid.FOOD else RED)
        for agent in self._area.agents:
            agent.sketch(sheet)
        return sheet


@dataclass(slots=True)
class _Food:
    """A piece of food."""

    x: float
    z: float
    kind: int


class _Area:
    """The area: its food and its agents. `steps`: academy steps since it was made."""

    def __init__(self, world: World, agents: int, vector_writer: SensorWriter) -> None:
        self.world = world
        self.vector_writer = vector_writer
        self.steps = 0
        kinds = [grid.FOOD] * GOOD_FOOD + [grid.BAD_FOOD] * BAD_FOOD
        self.food = [_Food(*self.random_place(), kind) for kind in kinds]
        self.agents = [_Agent(self) for _ in range(agents)]

    def random_place(self) -> tuple[float, float]:
        """Where an agent or a piece of food may appear."""
        uniform = self.world.random.uniform
        return uniform(-SPAWN_RANGE, SPAWN_RANGE), uniform(-SPAWN_RANGE, SPAWN_RANGE)


class _Agent:
    """One agent."""

    def __init__(self, area: _Area) -> None:
        self._area = area
        self._world = area.world
        self.begin_episode()

    def begin_episode(self) -> None:
        """Somewhere else, at rest."""
        world = self._world
        self._id = world.new_episode_id()
        self._reward = 0.0
        self._action = (0.0, 0.0, 0.0, 0)
        self._frozen_until, self._shooting = -1, False
        self.x, self.z = self._area.random_place()
        self._face(radians(world.random.randrange(360)))
        self._velocity_x = self._velocity_z = 0.0
        self.half_size = HALF_AGENT * world.parameter("agent_scale", 1.0)
        self._laser_reach = LASER_REACH * world.parameter("laser_length", 1.0)

    @property
    def is_frozen(self) -> bool:
        """Whether a laser has hit it lately."""
        return self._area.steps <= self._frozen_until

    def decide(self, continuous: Sequence[float], discrete: Sequence[int]) -> None:
        """Take an action, to be repeated until the next: ahead, to the right, turn to the left; shoot."""
        ahead, right, turn = continuous
        self._action = _within_one(ahead), _within_one(right), _within_one(turn), discrete[0]

    def ask(self) -> None:
        """Ask for the next action."""
        self._world.request_decision(BEHAVIOR, self._id, self._observe(), self._reward)
        self._reward = 0.0

    def end(self) -> None:
        """The episode is over, because it has lasted long enough."""
        self._world.end_episode(BEHAVIOR, self._id, self._observe(), self._reward, interrupted=True)

    def act(self) -> None:
        """One academy step."""
        self._shooting = False
        if not self.is_frozen:
            self._obey()
        if self._velocity_x**2 + self._velocity_z**2 > FREE_SPEED**2:
            self._velocity_x *= BRAKE
            self._velocity_z *= BRAKE
        if self._shooting:
            self._shoot()
        if self._velocity_x or self._velocity_z:
            self._move()
        self._eat()

    def freeze(self) -> None:
        """A laser has hit it; one that is frozen already stays so no longer for it."""
        if not self.is_frozen:
            self._frozen_until = self._area.steps + FROZEN_STEPS

    def sketch(self, sheet: Sketch) -> None:
        """Larger than it is: the area is wide."""
        if self._shooting:
            end = self.x + self._laser_reach * self._ahead_x, self.z + self._laser_reach * self._ahead_z
            sheet.line((self.x, self.z), end, 0.6, ORANGE)
        sheet.agent(self.x, self.z, self._yaw, 1.5, LINE if self.is_frozen else BLUE)

    def _obey(self) -> None:
        ahead, right, turn, shoot = self._action
        push = PUSH
        if shoot:
            self._shooting = True
            push *= SHOOTING_PUSH
            self._velocity_x *= SHOOTING_BRAKE
            self._velocity_z *= SHOOTING_BRAKE
        self._velocity_x += push * (ahead * self._ahead_x + right * self._ahead_z)
        self._velocity_z += push * (ahead * self._ahead_z - right * self._ahead_x)
        if turn:
            self._face(self._yaw - TURN * turn)

    def _face(self, yaw: float) -> None:
        self._yaw = yaw
        self._ahead_x, self._ahead_z = sin(yaw), cos(yaw)

    def _move(self) -> None:
        speed = sqrt(self._velocity_x**2 + self._velocity_z**2)
        kept = DRAG * max(speed - FRICTION, 0.0) / speed
        self._velocity_x *= kept
        self._velocity_z *= kept
        self.x += self._velocity_x * STEP_SECONDS
        self.z += self._velocity_z * STEP_SECONDS
        limit = HALF_AREA - self.half_size
        if not -limit <= self.x <= limit:
            self.x, self._velocity_x = min(max(self.x, -limit), limit), 0.0
        if not -limit <= self.z <= limit:
            self.z, self._velocity_z = min(max(self.z, -limit), limit), 0.0

    def _eat(self) -> None:
        """Food that the agent touches is eaten, and lies elsewhere from then on."""
        x, z = self.x, self.z
        reach = self.half_size + FOOD_RADIUS
        reach_squared = reach * reach
        for food in self._area.food:
            gap_x = food.x - x
            if -reach < gap_x < reach and gap_x * gap_x + (food.z - z) ** 2 < reach_squared:
                self._reward += FOOD_REWARD if food.kind == grid.FOOD else BAD_FOOD_REWARD
                food.x, food.z = self._area.random_place()

    def _shoot(self) -> None:
        """Freeze whatever agent the laser, a thick ray, meets first; food is in its way too."""
        nearest, hit = inf, None
        for other in self._area.agents:
            if other is not self:
                distance = self._laser_distance(other.x, other.z, other.half_size)
                if distance < nearest:
                    nearest, hit = distance, other
        if hit is not None and all(
            self._laser_distance(food.x, food.z, FOOD_RADIUS) >= nearest for food in self._area.food
        ):
            hit.freeze()

    def _laser_distance(self, x: float, z: float, radius: float) -> float:
        """How far ahead the laser meets something, infinite when it does not. What it begins in, it does not meet."""
        right, ahead = self._seen_from_here(x, z)
        reach = LASER_RADIUS + radius
        if ahead <= 0 or abs(right) >= reach or right * right + ahead * ahead < reach * reach:
            return inf
        distance = ahead - sqrt(reach * reach - right * right)
        return distance if distance <= self._laser_reach else inf

    def _seen_from_here(self, x: float, z: float) -> tuple[float, float]:
        """How far to the right and how far ahead of the agent a place is."""
        gap_x, gap_z = x - self.x, z - self.z
        return gap_x * self._ahead_z - gap_z * self._ahead_x, gap_x * self._ahead_x + gap_z * self._ahead_z

    def _observe(self) -> bytes:
        ahead_x, ahead_z = self._ahead_x, self._ahead_z
        vector = pack(
            (
                self._velocity_x * ahead_z - self._velocity_z * ahead_x,
                self._velocity_x * ahead_x + self._velocity_z * ahead_z,
                float(self.is_frozen),
                float(self._shooting),
            )
        )
        return grid.observe(self._walls(), self._things()) + self._area.vector_writer.write((vector,))

    def _walls(self) -> Iterator[grid.Segment]:
        """The walls that are near enough to be seen, which most of the time is none."""
        gaps = (self.z + HALF_AREA, HALF_AREA - self.x, HALF_AREA - self.z, self.x + HALF_AREA)
        for side, gap in enumerate(gaps):
            if gap < grid.REACH:
                yield *self._seen_from_here(*_CORNERS[side]), *self._seen_from_here(*_CORNERS[(side + 1) % 4])

    def _things(self) -> Iterator[grid.Thing]:
        """What may be in sight: food and the other agents."""
        x, z = self.x, self.z
        for food in self._area.food:
            if -_IN_SIGHT < food.x - x < _IN_SIGHT and -_IN_SIGHT < food.z - z < _IN_SIGHT:
                yield *self._seen_from_here(food.x, food.z), FOOD_RADIUS, food.kind
        for other in self._area.agents:
            if other is not self:
                kind = grid.FROZEN_AGENT if other.is_frozen else grid.AGENT
                yield *self._seen_from_here(other.x, other.z), other.half_size, kind


def _within_one(value: float) -> float:
    return min(max(value, -1.0), 1.0)
