"""SoccerTwos: two against two; `SoccerTwos?team=0` (blue) and `SoccerTwos?team=1` (purple) for self-play.

Observations: two ray sensors, stacked three deep with the newest last: 11 rays forward and 3 backward, each with six
tags, a miss and a distance = 264 and 72 numbers. The tags are ordered by whose eyes it is: ball, own goal, opponents'
goal, wall, team mate, opponent.

Rewards belong to the team (SimpleMultiAgentGroup): who scores gets 1 - academy steps / `max_environment_steps`, the
other team -1, and all four agents terminate; without a goal until then, all four are interrupted. An agent that touches
the ball gets 0.2 * `ball_touch` (an environment parameter, 0) for itself. Agents decide at every fifth academy step and
a goal may fall at any: the next decisions come in the message of the end, or in the one after it.

(com.unity.ml-agents Examples/Soccer: AgentSoccer.cs, SoccerEnvController.cs, SoccerFieldTwos.prefab; Runtime:
StackingSensor.cs, SimpleMultiAgentGroup.cs. What moves is in soccer_field.py.)
"""

from collections.abc import Mapping, Sequence
from math import cos, inf, radians, sin, sqrt
from typing import Any

from sample_builds.player.scene import Behavior, Scene, World
from sample_builds.player.sketch import BLUE as BLUE_COLOR
from sample_builds.player.sketch import GROUND, INK, LINE, Sketch
from sample_builds.player.sketch import PURPLE as PURPLE_COLOR
from sample_builds.scenes.rays import SensorWriter, pack, ray_degrees
from sample_builds.scenes.soccer_field import (
    AGENT_RADIUS,
    BALL_RADIUS,
    HALF_GOAL,
    HALF_LENGTH,
    HALF_WIDTH,
    Field,
    Player,
)

BRANCHES = (3, 3, 3)
"""Forward and back; step right and left; turn left and right."""
BLUE, PURPLE = 0, 1
BEHAVIORS = tuple(Behavior(f"SoccerTwos?team={team}", discrete_branches=BRANCHES) for team in (BLUE, PURPLE))
GROUP_IDS = (1, 2)
"""One group a team; ML-Agents counts from 1, as 0 means none."""

DECISION_PERIOD = 5
MAX_ENVIRONMENT_STEPS = 25000
CONCEDED_REWARD = -1.0
TOUCH_REWARD = 0.2

TAGS = ("ball", "own goal", "opponents' goal", "wall", "team mate", "opponent")
BALL, OWN_GOAL, OPPONENTS_GOAL, WALL, TEAM_MATE, OPPONENT = range(len(TAGS))
STACK = 3
RAY_LENGTH = 20.0
CAST_RADIUS = 0.5
"""Rays are as thick as this: ML-Agents casts spheres."""
FORWARD_RAYS = ray_degrees(rays_per_direction=5, max_degrees=60.0)
BACKWARD_RAYS = [180.0 + degrees for degrees in ray_degrees(rays_per_direction=1, max_degrees=45.0)]

_RAY_SIZE = len(TAGS) + 2
_FORWARD_BYTES = len(FORWARD_RAYS) * _RAY_SIZE * 4
_NO_RAYS = [0.0] * ((len(FORWARD_RAYS) + len(BACKWARD_RAYS)) * _RAY_SIZE)
_DIRECTIONS = [
    [(sin(radians(yaw + ray)), cos(radians(yaw + ray))) for ray in FORWARD_RAYS + BACKWARD_RAYS] for yaw in range(360)
]
_WALL_X, _WALL_Z = HALF_LENGTH - CAST_RADIUS, HALF_WIDTH - CAST_RADIUS
_PLAYER_REACH_SQUARED = (AGENT_RADIUS + CAST_RADIUS) ** 2
_BALL_REACH_SQUARED = (BALL_RADIUS + CAST_RADIUS) ** 2


class SoccerTwosScene(Scene):
    """One field with four agents. Environment parameters: `max_environment_steps` (25000), `ball_touch` (0)."""

    def __init__(self, world: World, arguments: Sequence[str]) -> None:
        super().__init__(world, arguments)
        self._field = Field(world.random)
        self._agents = [_Agent(world, self._field, player) for player in self._field.players]
        self._academy_steps = self._match_steps = 0

    def reset(self) -> None:
        """Kick off; every agent asks at once."""
        self._academy_steps = 0
        self._kick_off()
        self._ask()

    def step(self, actions: Mapping[str, Sequence[Any]]) -> None:
        """Play until the match ends or agents decide anew; until then each agent repeats its action."""
        for team, behavior in enumerate(BEHAVIORS):
            own = [agent for agent in self._agents if agent.player.team == team]
            protos = actions.get(behavior.name)
            if protos:  # none after a message of ends only
                for agent, proto in zip(own, protos, strict=True):
                    agent.player.action = tuple(proto.discrete_actions)
        while not self.world.infos:
            self._act()
            self._academy_steps += 1
            if self._academy_steps % DECISION_PERIOD == 0:
                self._ask()

    def _kick_off(self) -> None:
        self._match_steps = 0
        self._max_steps = int(self.world.parameter("max_environment_steps", MAX_ENVIRONMENT_STEPS))
        self._touch_reward = TOUCH_REWARD * self.world.parameter("ball_touch", 0.0)
        self._field.kick_off()
        for agent in self._agents:
            agent.begin_episode()

    def sketch(self) -> Sketch:
        """The field from above, blue's goal on the left."""
        sheet = Sketch(2 * (HALF_LENGTH + 1.5), 2 * (HALF_WIDTH + 0.5))
        sheet.left, sheet.bottom = HALF_LENGTH + 1.5, HALF_WIDTH + 0.5
        sheet.rectangle(-HALF_LENGTH, -HALF_WIDTH, 2 * HALF_LENGTH, 2 * HALF_WIDTH, GROUND)
        sheet.line((0.0, -HALF_WIDTH), (0.0, HALF_WIDTH), 0.1, LINE)
        sheet.rectangle(-HALF_LENGTH - 1, -HALF_GOAL, 1.0, 2 * HALF_GOAL, BLUE_COLOR)
        sheet.rectangle(HALF_LENGTH, -HALF_GOAL, 1.0, 2 * HALF_GOAL, PURPLE_COLOR)
        for agent in self._agents:
            me = agent.player
            color = PURPLE_COLOR if me.team == PURPLE else BLUE_COLOR
            sheet.agent(me.x, me.z, radians(me.yaw), AGENT_RADIUS, color)
        sheet.circle(self._field.ball_x, self._field.ball_z, BALL_RADIUS, INK)
        return sheet

    def _ask(self) -> None:
        for agent in self._agents:
            agent.ask()

    def _act(self) -> None:
        self._match_steps += 1
        scored = self._field.move()
        for agent in self._agents:
            agent.reward += self._touch_reward * agent.player.take_touches()
        if scored is not None:
            self._end_with_goal(scored)
        elif self._match_steps >= self._max_steps > 0:
            for agent in self._agents:
                agent.end(0.0, interrupted=True)
            self._kick_off()

    def _end_with_goal(self, scored: int) -> None:
        won = 1.0 - self._match_steps / self._max_steps if self._max_steps > 0 else 1.0
        for agent in self._agents:
            agent.end(won if agent.player.team == scored else CONCEDED_REWARD)
        self._kick_off()


class _Agent:
    """What one player sees and reports."""

    def __init__(self, world: World, field: Field, player: Player) -> None:
        self.player = player
        self.reward = 0.0
        color = ("Blue", "Purple")[player.team]
        names = (f"StackingSensor_size{STACK}_{color}RayPerceptionSensor{side}" for side in ("", "Reverse"))
        sizes = (STACK * _RAY_SIZE * len(rays) for rays in (FORWARD_RAYS, BACKWARD_RAYS))
        self._writer = SensorWriter(dict(zip(names, sizes, strict=True)))
        self._world = world
        self._field = field
        self._others = [
            (other, TEAM_MATE if other.team == player.team else OPPONENT)
            for other in field.players
            if other is not player
        ]
        # Seen by whom: the goal at the end where x is positive is purple's.
        self._goals = (OPPONENTS_GOAL, OWN_GOAL) if player.team == BLUE else (OWN_GOAL, OPPONENTS_GOAL)

    def begin_episode(self) -> None:
        """A new id, and nothing seen before."""
        self._id = self._world.new_episode_id()
        self.reward = 0.0
        self._seen = [bytes(len(_NO_RAYS) * 4)] * STACK

    def ask(self) -> None:
        """Ask for the next action."""
        team = self.player.team
        self._world.request_decision(
            BEHAVIORS[team], self._id, self._observe(), self.reward, group_id=GROUP_IDS[team], group_reward=0.0
        )
        self.reward = 0.0

    def end(self, group_reward: float, *, interrupted: bool = False) -> None:
        """Report the end of the episode."""
        team = self.player.team
        self._world.end_episode(
            BEHAVIORS[team],
            self._id,
            self._observe(),
            self.reward,
            interrupted=interrupted,
            group_id=GROUP_IDS[team],
            group_reward=group_reward,
        )

    def _observe(self) -> bytes:
        self._seen = [*self._seen[1:], self._look()]
        forward = b"".join([frame[:_FORWARD_BYTES] for frame in self._seen])
        return self._writer.write((forward, b"".join([frame[_FORWARD_BYTES:] for frame in self._seen])))

    def _look(self) -> bytes:
        """What all rays hit now: the forward ones first."""
        me = self.player
        x, z = me.x, me.z
        things = self._things(x, z)
        goal_ahead, goal_behind = self._goals
        values = _NO_RAYS[:]
        at = 0
        for ahead_x, ahead_z in _DIRECTIONS[me.yaw]:
            # The walls: whichever side of the field the ray meets first.
            to_end = ((_WALL_X if ahead_x > 0 else -_WALL_X) - x) / ahead_x if ahead_x else inf
            to_side = ((_WALL_Z if ahead_z > 0 else -_WALL_Z) - z) / ahead_z if ahead_z else inf
            nearest, tag = to_side, WALL
            if to_end < to_side:
                nearest = to_end
                if abs(z + ahead_z * to_end) < HALF_GOAL:
                    tag = goal_ahead if ahead_x > 0 else goal_behind
            # Circles: where the ray comes nearer to the middle than the circle's radius.
            for gap_x, gap_z, distance_squared, reach_squared, its_tag in things:
                along = gap_x * ahead_x + gap_z * ahead_z
                if along > 0:
                    inside = reach_squared - distance_squared + along * along
                    if inside > 0:
                        distance = along - sqrt(inside)
                        if distance < nearest:
                            nearest, tag = distance, its_tag
            if nearest < RAY_LENGTH:
                values[at + tag] = 1.0
                values[at + _RAY_SIZE - 1] = nearest / RAY_LENGTH if nearest > 0 else 0.0
            else:
                values[at + _RAY_SIZE - 2] = values[at + _RAY_SIZE - 1] = 1.0
            at += _RAY_SIZE
        return pack(values)

    def _things(self, x: float, z: float) -> list[tuple[float, float, float, float, int]]:
        """Ball and other agents: gap along x and z, distance and reach (both squared), tag."""
        gap_x, gap_z = self._field.ball_x - x, self._field.ball_z - z
        things = [(gap_x, gap_z, gap_x * gap_x + gap_z * gap_z, _BALL_REACH_SQUARED, BALL)]
        for other, tag in self._others:
            gap_x, gap_z = other.x - x, other.z - z
            things.append((gap_x, gap_z, gap_x * gap_x + gap_z * gap_z, _PLAYER_REACH_SQUARED, tag))
        return things
