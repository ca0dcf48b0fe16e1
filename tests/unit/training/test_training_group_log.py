"""Who was in which group when, as the sampler tells it to a centralised critic."""

from itertools import pairwise

import numpy as np
import pytest

from rl_src.envs.batches import BehaviorStep, DecisionBatch, TerminalBatch
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.group_returns import NOBODY, NOTHING, Stretch, gather, stretch_of, team_rewards
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.sampling.groups import GROUP, GroupStretch
from rl_src.training.sampling.sampler import BehaviorSampler
from rl_src.training.settings.config import ResolvedNetwork
from tests.fakes.group_scenes import DragonScene

BEHAVIOR = BehaviorSpec("Team?team=0", (ObservationSpec("nothing", (1,)),), ActionSpec(0, (2,)))


def sampler(behavior: BehaviorSpec = BEHAVIOR, keeps_groups: bool = True) -> BehaviorSampler:
    network = PolicyNetwork(
        behavior.observations, behavior.actions, ResolvedNetwork((4,), "tanh", False), with_critic=False
    )
    return BehaviorSampler(behavior, network.eval(), [0], keeps_groups=keeps_groups)


def columns(agents: dict[int, float], group: int, own: float) -> dict:
    count = len(agents)
    return {
        "agent_ids": np.array(list(agents), dtype=np.int64),
        "observations": (np.zeros((count, 1), dtype=np.float32),),
        "rewards": np.full(count, own, dtype=np.float32),
        "group_ids": np.full(count, group, dtype=np.int64),
        "group_rewards": np.array(list(agents.values()), dtype=np.float32),
    }


def test_a_groups_episode_returns_its_reward_once_and_all_own_rewards():
    game = Game()
    game.tell({1: 0, 2: 0})
    game.play({2: 0.5}, {1: 0.25}, own=2)  # the one that left was told only what came before
    game.play({2: 1, 3: 0}, own=1)  # one joins
    game.play({}, {2: 4, 3: 4}, own=0)
    _, finished = game.sampler.take()
    assert [(item.episode_return, item.length) for item in finished] == [(0.5 + 1 + 4 + 2 + 2 + 1, 3)]
    assert game.sampler.take()[1] == []


class Game:
    """Says what a build would: agents that wait and agents that end, each with what the group earned."""

    def __init__(self, keeps_groups: bool = True) -> None:
        self.sampler = sampler(keeps_groups=keeps_groups)

    def tell(
        self,
        waits: dict[int, float],
        ends: dict[int, float] | None = None,
        *,
        group: int = 7,
        scene: int = 0,
        own: float = 0.0,
    ) -> None:
        """`own`: what each agent earned on its own."""
        gone = TerminalBatch(**columns(ends or {}, group, own), truncated=np.zeros(len(ends or {}), dtype=bool))
        waiting = DecisionBatch(**columns(waits, group, own), action_mask=None)
        self.sampler.receive(scene, scene, BEHAVIOR.name, BehaviorStep(waiting, gone))

    def play(self, waits: dict[int, float], ends: dict[int, float] | None = None, **more: float) -> None:
        self.sampler.decide()
        self.tell(waits, ends, **more)

    def take(self) -> dict[int, GroupStretch]:
        """By agent's key."""
        return {int(episode.id_, 16): episode.custom_data[GROUP] for episode in self.sampler.take()[0]}


def test_an_agent_that_ends_before_its_group_is_told_from_those_that_end_with_it():
    game = Game()
    game.tell({1: 0, 2: 0})
    game.play({2: 0.5}, {1: 0.25})
    game.play({}, {2: 1})
    found = game.take()
    assert [found[agent].group_goes_on for agent in (1, 2)] == [True, False]
    assert [found[agent].moments.tolist() for agent in (1, 2)] == [[0, 1], [0, 1, 2]]
    assert [found[agent].group_rewards.tolist() for agent in (1, 2)] == [[0.25], [0.5, 1]]
    assert found[1].group == found[2].group


def test_a_group_that_begins_again_at_once_has_ended():
    game = Game()
    game.tell({1: 0, 2: 0})
    game.play({3: 0, 4: 0}, {1: 1, 2: 1})
    found = game.take()
    assert not found[1].group_goes_on
    assert not found[2].group_goes_on


def test_an_agent_that_comes_back_finds_its_group_as_it_was():
    game = Game()
    game.tell({1: 0, 2: 0})
    game.play({2: 0, 3: 0}, {1: 0})  # the same body, with a new id
    game.play({}, {2: 0, 3: 0})
    found = game.take()
    assert [found[agent].group_goes_on for agent in (1, 2, 3)] == [True, False, False]


def test_agents_without_a_group_have_one_each_and_scenes_share_none():
    game = Game()
    game.tell({1: 0, 2: 0}, group=0)
    game.tell({1: 0, 2: 0}, group=7, scene=1)
    game.tell({1: 0, 2: 0}, group=7, scene=2)
    game.sampler.decide()
    for scene, group in ((0, 0), (1, 7), (2, 7)):
        game.tell({}, {1: 0, 2: 0}, group=group, scene=scene)
    found = game.take()
    assert len({item.group for item in found.values()}) == 4
    assert not any(item.group_goes_on for item in found.values())


def test_a_batch_goes_on_where_the_one_before_was_cut():
    game = Game()
    game.tell({1: 0, 2: 0})
    game.play({1: 1, 2: 1})
    assert [item.moments.tolist() for item in game.take().values()] == [[0, 1]] * 2
    game.play({2: 2}, {1: 2})
    game.play({2: 3})
    found = game.take()
    assert found[1].moments.tolist() == [1, 2]
    assert found[1].group_goes_on
    assert found[2].moments.tolist() == [1, 2, 3]
    assert found[2].group_rewards.tolist() == [2, 3]


def test_a_decision_without_outcome_waits_for_the_next_batch():
    game = Game()
    game.tell({1: 0}, scene=0)
    game.tell({1: 0}, scene=1)
    game.play({1: 1}, scene=0)
    game.sampler.decide()  # scene 1 has not answered yet
    game.tell({1: 2}, scene=0)
    assert [item.moments.tolist() for item in game.take().values()] == [[0, 1, 2]]
    game.play({1: 3}, scene=1)
    game.tell({1: 4}, scene=0)
    taken = {key >> 32: item for key, item in game.take().items()}
    assert [taken[scene].moments.tolist() for scene in (0, 1)] == [[2, 3], [0, 3]]
    assert [taken[scene].group_rewards.tolist() for scene in (0, 1)] == [[4], [3]]


def test_a_scene_that_breaks_takes_only_its_own_agents_along():
    game = Game()
    for scene in (0, 1):
        game.tell({1: 0, 2: 0}, scene=scene)
    game.sampler.decide()
    game.tell({2: 0}, {1: 0}, scene=0)
    game.tell({2: 0}, {1: 0}, scene=1)
    game.sampler.abandon(0)
    game.play({}, {2: 1}, scene=1)
    found = game.take()
    assert sorted((key >> 32, key & 0xFFFF) for key in found) == [(0, 1), (1, 1), (1, 2)]
    assert found[1].group_goes_on


def test_nothing_is_kept_where_nobody_asks():
    game = Game(keeps_groups=False)
    game.tell({1: 0})
    game.play({}, {1: 1})
    (episode,) = game.sampler.take()[0]
    assert GROUP not in episode.custom_data


@pytest.mark.parametrize("seed", range(5))
def test_however_agents_come_and_go_each_decision_has_its_gathering(seed):
    """Agents of two groups skip, end, and begin anew, at random; batches end anywhere."""
    game, rng = Game(), np.random.default_rng(seed)
    playing: dict[int, set[int]] = {1: set(), 2: set()}
    number = decided = 0
    for _ in range(150):
        for group, agents in playing.items():
            ends = {agent: float(rng.normal()) for agent in sorted(agents) if rng.random() < 0.2}
            agents.difference_update(ends)
            while len(agents) < 4 and rng.random() < 0.7:
                number += 1
                agents.add(number)
            waits = {agent: float(rng.normal()) for agent in sorted(agents) if rng.random() < 0.6}
            game.tell(waits, ends, group=group, own=float(rng.normal()))
        if rng.random() < 0.15 and game.sampler.decisions:
            episodes = game.sampler.take()[0]
            decided += sum(map(len, episodes))
            check_gatherings([stretch_of(item) for item in episodes])
        game.sampler.decide()
    assert decided > 300


def check_gatherings(stretches: list[Stretch]) -> None:
    found = gather(stretches)
    sights = [len(item) + 1 for item in stretches]
    group = np.repeat([item.part.group for item in stretches], sights)
    agent = np.repeat(np.arange(len(stretches)), sights)
    for members in found.members:
        there = members[members != NOBODY]
        assert len({*group[there]}) == 1
        assert len({*agent[there]}) == len(there)
    own = found.members[found.of_decision] == found.decisions[:, None]
    assert (own.sum(axis=1) == 1).all()
    goes_on = found.following != NOTHING
    assert (found.moments[found.following[goes_on]] > found.moments[found.of_decision[goes_on]]).all()
    assert np.isfinite(team_rewards(stretches)).all()


@pytest.mark.parametrize("seed", range(3))
def test_whole_games_are_told_without_gaps(seed):
    """Batches of any size: together they hold each decision once, and as many groups' ends as the scene counted."""
    scene, own, rng = DragonScene(rooms=3, seed=seed), sampler(DragonScene.behavior), np.random.default_rng(seed)
    scene.send_reset()
    name = scene.behavior.name
    taken: dict[int, list[GroupStretch]] = {}
    ended_with_group, counted, returns = set(), 0, []
    for _ in range(300):
        own.receive(0, 0, name, scene.receive()[name])
        if rng.random() < 0.2:
            counted = len(scene.escapes)
            episodes, finished = own.take()
            returns += [item.episode_return for item in finished]
            for episode in episodes:
                part, key = episode.custom_data[GROUP], int(episode.id_, 16)
                taken.setdefault(key, []).append(part)
                if episode.is_done and not part.group_goes_on:
                    ended_with_group.add((part.group, int(part.moments[-1])))
        ((_, actions),) = own.decide()
        scene.send_step({name: actions})
    for parts in taken.values():
        moments = [part.moments.tolist() for part in parts]
        assert all(one[-1] == other[0] for one, other in pairwise(moments))
        whole = [moments[0][0], *(moment for piece in moments for moment in piece[1:])]
        assert whole == list(range(whole[0], whole[-1] + 1))
        assert not any(part.group_goes_on for part in parts[:-1])
    assert len(ended_with_group) == counted > 50
    assert returns == [float(escaped) for escaped in scene.escapes[:counted]]
