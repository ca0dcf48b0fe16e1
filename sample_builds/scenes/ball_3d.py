"""3DBall, ML-Agents' first example: each agent is a platform that tilts about two axes and keeps a ball on it.

Documented mean return of a solved policy: 100. How it comes to that: an agent decides at every fifth academy step and
repeats its action until then. At each academy step the example calls SetReward(0.1), which *replaces* what was set
since the last decision, so that the wire carries 0.1 a decision, not 0.5. An episode has at most 5000 academy steps =
1000 decisions, 1000 x 0.1 = 100; it is then interrupted. A ball that falls replaces the reward by -1 and terminates.

An episode may end at any academy step: its end goes out at once, alone or with those of other agents, and the next
episode's first decision comes at the next fifth step. In between the agent idles with zero actions, for which that
first decision carries a reward of 0.1 that nobody has earned. As mlagents' own trainer does, leave it out: the return
of a perfect episode is then 100 exactly, whenever it began.

(com.unity.ml-agents Examples/3DBall: Ball3DAgent.cs, 3DBall.prefab; Examples/SharedAssets: ProjectSettingsOverrides.cs;
Runtime: Academy.EnvironmentStep, Agent. The dynamics here are of our own: metres, seconds, y is up. The platform is a
gimbal, turned about its x axis and then about its z axis through its middle, 2.5 m below its face. The ball slides
without friction and does not bounce. The face reaches as far as the ball may go.)
"""

from collections.abc import Mapping, Sequence
from math import cos, radians, sin
from typing import Any

from sample_builds.player.command_line import option
from sample_builds.player.scene import Behavior, Scene, World
from sample_builds.player.sketch import BLUE, GROUND, LINE, RED, Sketch
from sample_builds.scenes.rays import SensorWriter, pack

BEHAVIOR = Behavior("3DBall?team=0", continuous_size=2)
SENSOR = "VectorSensor_size8"
"""Rotation of the platform (z and x of its quaternion), position of the ball seen from the platform's middle, velocity
of the ball: 2 + 3 + 3 numbers."""

AGENTS = 12
STEP_REWARD, FALL_REWARD = 0.1, -1.0
DECISION_PERIOD = 5
MAX_STEP = 5000

STEP_SECONDS = 0.02
TURN = radians(2.0)  # an academy step, for an action of 1
ROTATION_LIMIT = 0.25  # of z and x of the quaternion; about 29 degrees
START_TILT = radians(10.0)
START_HEIGHT, START_HALF_WIDTH = 4.0, 1.5
FACE_HEIGHT = 2.5
_DRAWN_COLUMNS, _DRAWN_PLATFORMS, _DRAWN_WIDTH, _DRAWN_HEIGHT = 4, 12, 9.0, 7.0

REACH = 3.0
"""A ball that is farther than this to the side has fallen."""


class Ball3DScene(Scene):
    """`--agents N` (or the environment parameter `agents`) platforms; default 12.

    Environment parameters, read at each episode's beginning: `gravity` (9.81 m/s²) and `scale` (1 = a ball of 0.5 m
    radius). `mass` may be set as in the example; it changes nothing, because nothing here depends on a ball's mass.
    """

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._default_agents = int(option(arguments, "--agents", str(AGENTS)))
        self._writer = SensorWriter({SENSOR: 8})
        self._platforms: list[_Platform] = []
        self._academy_steps = 0

    def reset(self) -> None:
        """Begin new episodes on all platforms; every agent asks at once."""
        agents = int(self.world.parameter("agents", self._default_agents))
        self._platforms = [_Platform(self.world, self._writer) for _ in range(agents)]
        self._academy_steps = 0
        for platform in self._platforms:
            platform.ask()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Play until an episode ends or the agents decide anew; until then each repeats its action."""
        # All agents ask together, so that the order of the requests is that of the platforms.
        for platform, action in zip(self._platforms, actions.get(BEHAVIOR.name, ()), strict=False):
            platform.decide(*action.continuous_actions)
        infos = self.world.infos
        while not infos:
            for platform in self._platforms:
                platform.act()
            self._academy_steps += 1
            if self._academy_steps % DECISION_PERIOD == 0:
                for platform in self._platforms:
                    platform.ask()

    def sketch(self) -> Sketch:
        """The first platforms, side by side, each seen from the front."""
        drawn = self._platforms[:_DRAWN_PLATFORMS]
        columns = min(len(drawn), _DRAWN_COLUMNS)
        rows = -(-len(drawn) // _DRAWN_COLUMNS)
        sheet = Sketch(columns * _DRAWN_WIDTH, rows * _DRAWN_HEIGHT)
        for number, platform in enumerate(drawn):
            sheet.left = (number % columns + 0.5) * _DRAWN_WIDTH
            sheet.bottom = (rows - 1 - number // columns) * _DRAWN_HEIGHT
            platform.sketch(sheet)
        return sheet


class _Platform:
    """One platform, turned by `_roll` about z and by `_pitch` about x (radians), and its ball, at `_x`, `_y`, `_z`."""

    def __init__(self, world: World, writer: SensorWriter) -> None:
        self._world = world
        self._writer = writer
        self._begin_episode()

    def _begin_episode(self) -> None:
        world = self._world
        uniform = world.random.uniform
        self._id = world.new_episode_id()
        self._steps, self._reward = 0, 0.0
        self._roll_turn = self._pitch_turn = 0.0
        self._set_tilt(roll=uniform(-START_TILT, START_TILT), pitch=uniform(-START_TILT, START_TILT))
        self._x, self._z = (uniform(-START_HALF_WIDTH, START_HALF_WIDTH) for _ in range(2))
        self._y = START_HEIGHT
        self._velocity_x = self._velocity_y = self._velocity_z = 0.0
        self._fall_per_step = world.parameter("gravity", 9.81) * STEP_SECONDS
        self._rest_height = FACE_HEIGHT + world.parameter("scale", 1.0) / 2

    def decide(self, action_z: float, action_x: float) -> None:
        """Take an action, to be repeated until the next: turns about z and x, within [-1, 1]."""
        self._roll_turn = TURN * min(max(action_z, -1.0), 1.0)
        self._pitch_turn = TURN * min(max(action_x, -1.0), 1.0)

    def ask(self) -> None:
        """Ask for the next action."""
        self._world.request_decision(BEHAVIOR, self._id, self._observe(), self._reward)
        self._reward = 0.0

    def act(self) -> None:
        """One academy step: the agent turns the platform, then the ball moves."""
        self._steps += 1
        self._turn()
        if abs(self._x) > REACH or abs(self._z) > REACH:
            self._reward = FALL_REWARD
            self._end(interrupted=False)
        else:
            self._reward = STEP_REWARD
            if self._steps >= MAX_STEP:
                self._end(interrupted=True)
        self._move_ball()

    def _end(self, *, interrupted: bool) -> None:
        self._world.end_episode(BEHAVIOR, self._id, self._observe(), self._reward, interrupted=interrupted)
        self._begin_episode()

    def _turn(self) -> None:
        """Turn the platform, unless it is at its limit on that side."""
        z, x = self._rotation
        roll_turn, pitch_turn = self._roll_turn, self._pitch_turn
        if not -ROTATION_LIMIT < z < ROTATION_LIMIT and z * roll_turn > 0:
            roll_turn = 0.0
        if not -ROTATION_LIMIT < x < ROTATION_LIMIT and x * pitch_turn > 0:
            pitch_turn = 0.0
        if roll_turn or pitch_turn:
            self._set_tilt(self._roll + roll_turn, self._pitch + pitch_turn)

    def _set_tilt(self, roll: float, pitch: float) -> None:
        """Also what follows from it: z and x of the platform's quaternion, and the normal of its face."""
        self._roll, self._pitch = roll, pitch
        sin_roll, cos_roll = sin(roll / 2), cos(roll / 2)
        sin_pitch, cos_pitch = sin(pitch / 2), cos(pitch / 2)
        self._rotation = sin_roll * cos_pitch, cos_roll * sin_pitch
        # (0, 1, 0) turned about z, then about x, by the double angles.
        slant = 1 - 2 * sin_roll * sin_roll
        self._up = -2 * sin_roll * cos_roll, slant * (1 - 2 * sin_pitch * sin_pitch), slant * 2 * sin_pitch * cos_pitch

    def _move_ball(self) -> None:
        velocity_x, velocity_y, velocity_z = self._velocity_x, self._velocity_y - self._fall_per_step, self._velocity_z
        x = self._x + velocity_x * STEP_SECONDS
        y = self._y + velocity_y * STEP_SECONDS
        z = self._z + velocity_z * STEP_SECONDS
        up_x, up_y, up_z = self._up
        gap = x * up_x + y * up_y + z * up_z - self._rest_height
        if gap < 0.0:
            x, y, z = x - gap * up_x, y - gap * up_y, z - gap * up_z
            approach = velocity_x * up_x + velocity_y * up_y + velocity_z * up_z
            if approach < 0.0:
                velocity_x -= approach * up_x
                velocity_y -= approach * up_y
                velocity_z -= approach * up_z
        self._x, self._y, self._z = x, y, z
        self._velocity_x, self._velocity_y, self._velocity_z = velocity_x, velocity_y, velocity_z

    def sketch(self, sheet: Sketch) -> None:
        """From the front: what turns about z turns in the picture; towards us is larger."""
        across_x, across_y = cos(self._roll), sin(self._roll)
        left = (-REACH * across_x - FACE_HEIGHT * across_y, -REACH * across_y + FACE_HEIGHT * across_x)
        right = (REACH * across_x - FACE_HEIGHT * across_y, REACH * across_y + FACE_HEIGHT * across_x)
        sheet.line((0.0, 0.0), (-FACE_HEIGHT * across_y, FACE_HEIGHT * across_x), 0.4, GROUND)
        sheet.line(left, right, 0.35 + abs(self._pitch), LINE)
        radius = self._rest_height - FACE_HEIGHT
        is_lost = abs(self._x) > REACH or abs(self._z) > REACH
        sheet.circle(self._x, self._y + radius * 0.3, radius * (1.0 - 0.12 * self._z), RED if is_lost else BLUE)

    def _observe(self) -> bytes:
        return self._writer.write(
            (pack((*self._rotation, self._x, self._y, self._z, self._velocity_x, self._velocity_y, self._velocity_z)),)
        )
