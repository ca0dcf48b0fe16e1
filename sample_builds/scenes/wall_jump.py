"""WallJump: an agent on a platform must get past a wall to the goal; over a high wall, a block serves as a step.

The agent changes its behavior with the wall: `SmallWallJump` when there is none or a low one, `BigWallJump` when it is
high. Which it is, each episode's beginning decides (1 of 5 none, 1 of 5 low, 3 of 5 high). Documented mean return of a
solved policy: 0.8 for both.

Observations: the documented 74 numbers = two ray sensors of 35 (7 rays, each with the tags wall, goal and block, a miss
and a distance), the second of which looks over low walls, and a vector of 4 (position / 20, grounded). The example's
prefab stacks each of them 6 times; the documents do not, and neither does this scene.

Rewards: -0.0005 an academy step; 1 at the goal and -1 after a fall *replace* what was collected since the last
decision (the example calls SetReward). Episodes are interrupted after 5000 academy steps. Agents decide at every fifth
academy step and an episode may end at any: the next decision comes in the message of the end, or in the one after it.

(com.unity.ml-agents Examples/WallJump: WallJumpAgent.cs, WallJumpArea.prefab; Runtime: Academy.EnvironmentStep, Agent.
The dynamics here are kinematic and of our own: metres, academy steps of 0.02 s; y is up, z leads from the start to the
goal, yaw turns clockwise from z. A low border keeps agent and block from falling off to the left and right, without
which an agent that explores by chance hardly ever comes to the other side.)
"""

from collections.abc import Mapping, Sequence
from math import cos, inf, radians, sin, sqrt
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World
from sample_builds.player.sketch import BLUE, GREEN, INK, LINE, ORANGE, Sketch
from sample_builds.scenes.rays import SensorWriter, pack, ray_degrees

BRANCHES = (3, 3, 3, 2)
"""Forward and back; turn left and right; step left and right; jump."""
SMALL_WALL = Behavior("SmallWallJump?team=0", discrete_branches=BRANCHES)
BIG_WALL = Behavior("BigWallJump?team=0", discrete_branches=BRANCHES)

STEP_REWARD, GOAL_REWARD, FALL_REWARD = -0.0005, 1.0, -1.0
DECISION_PERIOD = 5
MAX_STEP = 5000

HALF_PLATFORM = 10.0
START_Z, START_HALF_WIDTH = -7.0, 9.0
GOAL_Z = 5.0
HALF_AGENT = 0.5
HALF_WALL = 0.5
HALF_BLOCK, BLOCK_HEIGHT = 1.5, 2.0
BLOCK_SPAWN_X, BLOCK_SPAWN_Z = (-7.0, 7.0), (-4.5, -3.5)

RUN = 0.3  # metres an academy step
SIDEWAYS, AIRBORNE = 0.6, 0.5  # parts of it
TURN_DEGREES = 6  # an academy step
JUMP_HEIGHT = 2.75
GRAVITY = 0.012  # metres an academy step, each academy step
JUMP_SPEED = sqrt(2 * GRAVITY * JUMP_HEIGHT)

RAY_LENGTH = 20.0
RAY_DEGREES = ray_degrees(rays_per_direction=3, max_degrees=90.0)
TAGS = ("wall", "goal", "block")
GOAL_HEIGHT = 5.0
# Height above the agent's middle where rays begin, and how much they rise to their end.
LEVEL_RAYS, OFFSET_RAYS = (0.0, 0.0), (2.5, 2.5)

_DRAWN_AREAS = 4

_RAY_SIZE = len(TAGS) + 2
_SENSORS = {
    "OffsetRayPerceptionSensor": len(RAY_DEGREES) * _RAY_SIZE,
    "RayPerceptionSensor": len(RAY_DEGREES) * _RAY_SIZE,
    "VectorSensor_size4": 4,
}
_DIRECTIONS = [
    [(sin(radians(yaw + ray)), cos(radians(yaw + ray))) for ray in RAY_DEGREES] for yaw in range(0, 360, TURN_DEGREES)
]
_NO_RAYS = [0.0] * (len(RAY_DEGREES) * _RAY_SIZE)


class WallJumpScene(Scene):
    """`--agents N` platforms side by side, one agent on each; default 1, as in the table of the examples.

    Environment parameters, read at each episode's beginning: `no_wall_height` (0), `small_wall_height` (4),
    `big_wall_min_height` and `big_wall_max_height` (8). As in the example they scale a wall whose middle lies on the
    ground: it stands half as high. Jumping alone reaches 2.75 m, from the block 4.75 m.
    """

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        writer = SensorWriter(_SENSORS)
        self._areas = [_Area(world, writer) for _ in range(int(option(arguments, "--agents", "1")))]
        self._academy_steps = 0

    def reset(self) -> None:
        """Begin new episodes on all platforms; every agent asks at once."""
        self._academy_steps = 0
        for area in self._areas:
            area.begin_episode()
        self._ask()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Play until an episode ends or agents decide anew; until then each agent repeats its action."""
        unread = {name: iter(protos) for name, protos in actions.items()}
        for area in self._areas:
            if area.waiting and area.behavior.name in unread:
                area.action = tuple(next(unread[area.behavior.name]).discrete_actions)
            area.waiting = False
        while not self.world.infos:
            for area in self._areas:
                area.act()
            self._academy_steps += 1
            if self._academy_steps % DECISION_PERIOD == 0:
                self._ask()

    def sketch(self) -> Sketch:
        """The first platforms, one above the other, each seen from the side."""
        drawn = self._areas[:_DRAWN_AREAS]
        sheet = Sketch(2 * HALF_PLATFORM + 2, 8.0 * len(drawn))
        for number, area in enumerate(drawn):
            sheet.left, sheet.bottom = HALF_PLATFORM + 1, 8.0 * number + 1
            area.sketch(sheet)
        return sheet

    def _ask(self) -> None:
        for area in self._areas:
            area.ask()


class _Area:
    """One platform: agent, wall and block."""

    def __init__(self, world: World, writer: SensorWriter) -> None:
        self._world = world
        self._writer = writer
        self.behavior = SMALL_WALL
        self.action: tuple[int, ...] = (0, 0, 0, 0)
        self.waiting = False

    def begin_episode(self) -> None:
        """Draw the wall, and with it the behavior; agent and block go to where they start."""
        numbers = self._world.random
        self._id = self._world.new_episode_id()
        self.action, self._reward, self._steps = (0, 0, 0, 0), 0.0, 0
        self._x, self._y, self._z = numbers.uniform(-START_HALF_WIDTH, START_HALF_WIDTH), 0.0, START_Z
        self._yaw, self._rise, self._grounded = 0, 0.0, True
        self._block_x, self._block_z = numbers.uniform(*BLOCK_SPAWN_X), numbers.uniform(*BLOCK_SPAWN_Z)
        self.behavior, height = self._draw_wall()
        self._wall = height / 2

    def ask(self) -> None:
        """Ask for the next action."""
        self._world.request_decision(self.behavior, self._id, self._observe(), self._reward)
        self._reward, self.waiting = 0.0, True

    def act(self) -> None:
        """One academy step."""
        self._reward += STEP_REWARD
        self._steps += 1
        self._move()
        if abs(self._z) > HALF_PLATFORM or abs(self._block_z) > HALF_PLATFORM:
            self._reward = FALL_REWARD
            self._end()
        elif self._steps >= MAX_STEP:
            self._end(interrupted=True)
        elif self._grounded and self._z >= GOAL_Z:
            self._reward = GOAL_REWARD
            self._end()

    def _end(self, *, interrupted: bool = False) -> None:
        self._world.end_episode(self.behavior, self._id, self._observe(), self._reward, interrupted=interrupted)
        self.begin_episode()

    def _draw_wall(self) -> tuple[Behavior, float]:
        """Behavior and the wall's scale."""
        parameter, draw = self._world.parameter, self._world.random.randrange(5)
        if draw == 0:
            return SMALL_WALL, parameter("no_wall_height", 0.0)
        if draw == 1:
            return SMALL_WALL, parameter("small_wall_height", 4.0)
        lowest, highest = parameter("big_wall_min_height", 8.0), parameter("big_wall_max_height", 8.0)
        return BIG_WALL, lowest + self._world.random.random() * (highest - lowest)

    def _move(self) -> None:
        forward, turn, side, jump = self.action
        if turn:
            self._yaw = (self._yaw + (-TURN_DEGREES if turn == 1 else TURN_DEGREES)) % 360
        if jump and self._grounded:
            self._rise = JUMP_SPEED
        self._walk(forward, side)
        floor = self._floor(self._x, self._z)
        self._rise -= GRAVITY
        self._y += self._rise
        self._grounded = self._y <= floor
        if self._grounded:
            self._y, self._rise = floor, 0.0

    def _walk(self, forward: int, side: int) -> None:
        # As in the example, a step to the side replaces one forward or back.
        if not (forward or side):
            return
        ahead_x, ahead_z = _DIRECTIONS[self._yaw // TURN_DEGREES][0]
        pace = RUN if self._grounded else RUN * AIRBORNE
        if side:
            pace *= -SIDEWAYS if side == 1 else SIDEWAYS
            self._walk_along(ahead_z * pace, -ahead_x * pace)
        else:
            pace = pace if forward == 1 else -pace
            self._walk_along(ahead_x * pace, ahead_z * pace)

    def _walk_along(self, move_x: float, move_z: float) -> None:
        # One axis after the other, so that agents slide along what stops them.
        if abs(self._x + move_x) <= HALF_PLATFORM - HALF_AGENT and self._is_free(
            self._x + move_x, self._z, move_x, 0.0
        ):
            self._x += move_x
        if self._is_free(self._x, self._z + move_z, 0.0, move_z):
            self._z += move_z

    def _is_free(self, x: float, z: float, move_x: float, move_z: float) -> bool:
        """Can the agent go to `x`, `z`? Pushes the block when that is what stands there."""
        if self._y < self._wall and abs(z) < HALF_WALL + HALF_AGENT:
            return False
        if self._y >= BLOCK_HEIGHT or not self._is_over_block(x, z):
            return True
        pushed_x, pushed_z = self._block_x + move_x, self._block_z + move_z
        at_wall = self._wall > 0 and abs(pushed_z) < HALF_WALL + HALF_BLOCK
        if at_wall or abs(pushed_x) > HALF_PLATFORM - HALF_BLOCK:
            return False
        self._block_x, self._block_z = pushed_x, pushed_z
        return True

    def _floor(self, x: float, z: float) -> float:
        """The height of what is below."""
        floor = 0.0
        if abs(z) < HALF_WALL + HALF_AGENT:
            floor = self._wall
        if self._is_over_block(x, z):
            floor = max(floor, BLOCK_HEIGHT)
        # The side of a thing is no floor: what is above the agent does not carry it.
        return floor if floor <= self._y else 0.0

    def _is_over_block(self, x: float, z: float) -> bool:
        reach = HALF_BLOCK + HALF_AGENT
        return abs(x - self._block_x) < reach and abs(z - self._block_z) < reach

    def sketch(self, sheet: Sketch) -> None:
        """From the side: the goal is on the right."""
        sheet.rectangle(-HALF_PLATFORM, -0.5, 2 * HALF_PLATFORM, 0.5, LINE)
        sheet.rectangle(GOAL_Z, 0.0, HALF_PLATFORM - GOAL_Z, 0.4, GREEN)
        sheet.rectangle(self._block_z - HALF_BLOCK, 0.0, 2 * HALF_BLOCK, BLOCK_HEIGHT, ORANGE)
        if self._wall > 0:
            sheet.rectangle(-HALF_WALL, 0.0, 2 * HALF_WALL, self._wall, INK)
        sheet.rectangle(self._z - HALF_AGENT, self._y, 2 * HALF_AGENT, 2 * HALF_AGENT, BLUE)

    def _observe(self) -> bytes:
        hits = [self._hits(direction) for direction in _DIRECTIONS[self._yaw // TURN_DEGREES]]
        middle = self._y + HALF_AGENT
        vector = pack((self._x / 20, (middle + HALF_AGENT) / 20, self._z / 20, float(self._grounded)))
        return self._writer.write((self._rays(hits, middle, OFFSET_RAYS), self._rays(hits, middle, LEVEL_RAYS), vector))

    def _hits(self, direction: tuple[float, float]) -> list[tuple[float, int, float]]:
        """Distance, tag and height of what stands in one direction, from the nearest on."""
        ahead_x, ahead_z = direction
        found = []
        for tag, plane, height in ((0, -HALF_WALL if self._z < 0 else HALF_WALL, self._wall), (1, GOAL_Z, GOAL_HEIGHT)):
            if (plane - self._z) * ahead_z > 0:
                distance = (plane - self._z) / ahead_z
                if distance <= RAY_LENGTH and abs(self._x + distance * ahead_x) <= HALF_PLATFORM:
                    found.append((distance, tag, height))
        distance = self._to_block(ahead_x, ahead_z)
        if distance <= RAY_LENGTH:
            found.append((distance, 2, BLOCK_HEIGHT))
        found.sort()
        return found

    def _to_block(self, ahead_x: float, ahead_z: float) -> float:
        """The distance to the block's nearest side in a direction, infinite when it is not there."""
        nearest, farthest = 0.0, inf
        for gap, ahead in ((self._block_x - self._x, ahead_x), (self._block_z - self._z, ahead_z)):
            if abs(ahead) < 1e-9:
                if abs(gap) > HALF_BLOCK:
                    return inf
                continue
            enter, leave = sorted(((gap - HALF_BLOCK) / ahead, (gap + HALF_BLOCK) / ahead))
            nearest, farthest = max(nearest, enter), min(farthest, leave)
        return nearest if nearest <= farthest else inf

    @staticmethod
    def _rays(hits: Sequence[Sequence[tuple[float, int, float]]], middle: float, sensor: tuple[float, float]) -> bytes:
        """What one sensor says of each ray's hits: of those that are higher than the ray, the nearest."""
        offset, climb = sensor
        values = _NO_RAYS[:]
        for ray, things in enumerate(hits):
            at = ray * _RAY_SIZE
            for distance, tag, height in things:
                if middle + offset + climb * distance / RAY_LENGTH < height:
                    values[at + tag] = 1.0
                    values[at + _RAY_SIZE - 1] = distance / RAY_LENGTH
                    break
            else:
                values[at + _RAY_SIZE - 2] = values[at + _RAY_SIZE - 1] = 1.0
        return pack(values)
