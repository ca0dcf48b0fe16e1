"""What moves in SoccerTwos: four agents and a ball, circles on a field with walls around and a goal at each end.

Kinematics of our own. Metres; speeds in metres an academy step (0.02 s); yaw in whole degrees, clockwise from z. The
field's length lies along x: blue defends the end where x is negative.
"""

from math import cos, hypot, radians, sin
from random import Random

HALF_LENGTH, HALF_WIDTH, HALF_GOAL = 15.0, 7.5, 3.0
AGENT_RADIUS = BALL_RADIUS = 0.5

RUN = 0.14
SIDEWAYS = 0.3  # part of it
GRIP = 0.2  # how much of the wish becomes speed each academy step
TURN_DEGREES = 2  # an academy step
KICK = 0.3  # what the ball gains from an agent that runs forward into it
ROLLING = 0.985  # speed that the ball keeps each academy step
BOUNCE = 0.7  # speed that the ball keeps at a wall

START_X, START_SPREAD = 8.0, 5.0
START_Z = (-2.0, 2.0)
START_YAW = (80, 100)
BALL_SPREAD = 2.5

_FORWARD = [(sin(radians(yaw)), cos(radians(yaw))) for yaw in range(360)]


class Player:
    """One agent's body."""

    def __init__(self, team: int, start_z: float) -> None:
        self.team = team
        self.start_z = start_z
        self.action: tuple[int, ...] = (0, 0, 0)
        self.x = self.z = self.speed_x = self.speed_z = 0.0
        self.yaw = 0
        self.touches = 0
        self.at_ball = False

    def place(self, numbers: Random) -> None:
        """Go to a start in the own half, facing the opponents."""
        sign = -1 if self.team == 0 else 1
        self.x = sign * START_X + numbers.uniform(-START_SPREAD, START_SPREAD)
        self.z = self.start_z
        self.yaw = -sign * numbers.randint(*START_YAW) % 360
        self.speed_x = self.speed_z = 0.0
        self.action, self.touches, self.at_ball = (0, 0, 0), 0, False

    def take_touches(self) -> int:
        """How often it has run into the ball since the last call."""
        touches, self.touches = self.touches, 0
        return touches

    def move(self) -> None:
        """Turn and run as the action says; the field's edge holds it."""
        forward, side, turn = self.action
        if turn:
            self.yaw = (self.yaw + (-TURN_DEGREES if turn == 1 else TURN_DEGREES)) % 360
        wish_x = wish_z = 0.0
        ahead_x, ahead_z = _FORWARD[self.yaw]
        if side:  # as in the example, a step to the side replaces one forward or back
            pace = RUN * SIDEWAYS if side == 1 else -RUN * SIDEWAYS
            wish_x, wish_z = ahead_z * pace, -ahead_x * pace
        elif forward:
            pace = RUN if forward == 1 else -RUN
            wish_x, wish_z = ahead_x * pace, ahead_z * pace
        self.speed_x += (wish_x - self.speed_x) * GRIP
        self.speed_z += (wish_z - self.speed_z) * GRIP
        self.x += self.speed_x
        self.z += self.speed_z
        self.stay_inside()

    def stay_inside(self) -> None:
        """Back from the walls; goals are closed to agents."""
        limit_x, limit_z = HALF_LENGTH - AGENT_RADIUS, HALF_WIDTH - AGENT_RADIUS
        self.x = min(max(self.x, -limit_x), limit_x)
        self.z = min(max(self.z, -limit_z), limit_z)


class Field:
    """Four players, two a team, and the ball."""

    def __init__(self, numbers: Random) -> None:
        self._numbers = numbers
        self.players = [Player(team, start_z) for team in (0, 1) for start_z in START_Z]
        self._pairs = [(one, other) for index, one in enumerate(self.players) for other in self.players[:index]]
        self.ball_x = self.ball_z = self.ball_speed_x = self.ball_speed_z = 0.0

    def kick_off(self) -> None:
        """All to their starts."""
        for player in self.players:
            player.place(self._numbers)
        self.ball_x = self._numbers.uniform(-BALL_SPREAD, BALL_SPREAD)
        self.ball_z = self._numbers.uniform(-BALL_SPREAD, BALL_SPREAD)
        self.ball_speed_x = self.ball_speed_z = 0.0

    def move(self) -> int | None:
        """One academy step; the team that scored in it."""
        for player in self.players:
            player.move()
        for one, other in self._pairs:
            _part(one, other)
        for player in self.players:
            self._meet_ball(player)
        return self._roll()

    def _meet_ball(self, player: Player) -> None:
        gap_x, gap_z = self.ball_x - player.x, self.ball_z - player.z
        reach = AGENT_RADIUS + BALL_RADIUS
        if gap_x * gap_x + gap_z * gap_z >= reach * reach:
            player.at_ball = False
            return
        distance = hypot(gap_x, gap_z)
        normal_x, normal_z = (gap_x / distance, gap_z / distance) if distance else _FORWARD[player.yaw]
        self.ball_x, self.ball_z = player.x + normal_x * reach, player.z + normal_z * reach
        approach = (player.speed_x - self.ball_speed_x) * normal_x + (player.speed_z - self.ball_speed_z) * normal_z
        push = max(approach, 0.0)
        if not player.at_ball:  # the example kicks as a collision begins, and only who runs forward kicks
            player.at_ball = True
            player.touches += 1
            push += KICK if player.action[0] == 1 else 0.0
        self.ball_speed_x += push * normal_x
        self.ball_speed_z += push * normal_z

    def _roll(self) -> int | None:
        self.ball_x += self.ball_speed_x
        self.ball_z += self.ball_speed_z
        self.ball_speed_x *= ROLLING
        self.ball_speed_z *= ROLLING
        if abs(self.ball_x) > HALF_LENGTH and abs(self.ball_z) < HALF_GOAL:
            return 0 if self.ball_x > 0 else 1
        limit_x, limit_z = HALF_LENGTH - BALL_RADIUS, HALF_WIDTH - BALL_RADIUS
        if abs(self.ball_x) > limit_x and abs(self.ball_z) >= HALF_GOAL:
            self.ball_x = limit_x if self.ball_x > 0 else -limit_x
            self.ball_speed_x *= -BOUNCE
        if abs(self.ball_z) > limit_z:
            self.ball_z = limit_z if self.ball_z > 0 else -limit_z
            self.ball_speed_z *= -BOUNCE
        return None


def _part(one: Player, other: Player) -> None:
    """Two agents that overlap give way, half each."""
    gap_x, gap_z = other.x - one.x, other.z - one.z
    reach = 2 * AGENT_RADIUS
    if gap_x * gap_x + gap_z * gap_z >= reach * reach:
        return
    distance = hypot(gap_x, gap_z)
    normal_x, normal_z = (gap_x / distance, gap_z / distance) if distance else (1.0, 0.0)
    give = (reach - distance) / 2
    one.x, one.z = one.x - normal_x * give, one.z - normal_z * give
    other.x, other.z = other.x + normal_x * give, other.z + normal_z * give
    one.stay_inside()
    other.stay_inside()
