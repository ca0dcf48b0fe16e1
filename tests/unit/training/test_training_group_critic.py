"""The centralised critic: neither padding nor order matters, an own action is not known, others' are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_src.envs.specs import ActionSpec, DimensionProperty, ObservationSpec
from rl_src.training.networks.action_distribution import action_size
from rl_src.training.networks.group_critic import Entities, GroupCritic
from rl_src.training.settings.config import ResolvedNetwork

SENSORS = (
    ObservationSpec("vector", (3,)),
    ObservationSpec("entities", (4, 2), (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE)),
    ObservationSpec("picture", (1, 6, 6)),
)
HYBRID = ActionSpec(2, (2, 3))
AGENTS = 6


def critic(actions: ActionSpec = HYBRID, seed: int = 0) -> GroupCritic:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        made = GroupCritic(SENSORS, actions, ResolvedNetwork((12,), "tanh", False))
        torch.nn.init.normal_(made.head.bias)
        return made


def entities(made: GroupCritic, seed: int = 1, changed: int | None = None, acted: bool = True) -> Entities:
    """Of `AGENTS` agents; `changed`: one that acts otherwise."""
    rng = torch.Generator().manual_seed(seed)
    observations = [torch.randn((AGENTS, *item.shape), generator=rng) for item in SENSORS]
    actions = torch.zeros(AGENTS, action_size(made.action_spec))
    if changed is not None:
        actions[changed] += 1
    with torch.no_grad():
        return made.encode(observations, actions, torch.full((AGENTS,), acted))


def judged(made: GroupCritic, given: Entities, rows: list[list[int]], own: int) -> tuple[list[float], list[float]]:
    members = torch.tensor(rows)
    with torch.no_grad():
        return made.values(given, members).tolist(), made.baselines(given, members, members == own).tolist()


def flat(pair: tuple[list[float], list[float]]) -> list[float]:
    return [*pair[0], *pair[1]]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(AGENTS)), st.integers(1, AGENTS), st.integers(0, 4), st.randoms())
def test_neither_padding_nor_order_changes_anything(order, count, padding, random):
    made = critic()
    group = order[:count]
    padded = [*group, *[-1] * padding]
    random.shuffle(padded)
    given_entities = entities(made)
    plain = judged(made, given_entities, [sorted(group)], group[0])
    assert flat(judged(made, given_entities, [padded], group[0])) == pytest.approx(flat(plain), abs=1e-5)


def test_gatherings_do_not_look_at_each_other():
    made = critic()
    given_entities = entities(made)
    together = judged(made, given_entities, [[0, 1, 2], [0, 3, -1]], 0)
    for number, alone in enumerate(([0, 1, 2], [0, 3])):
        apart = judged(made, given_entities, [alone], 0)
        assert [together[0][number], together[1][number]] == pytest.approx(flat(apart), abs=1e-5)


def test_a_baseline_knows_what_others_do_and_not_what_its_own_agent_does():
    made = critic()
    rows = [[0, 1, 2]]
    value, baseline = judged(made, entities(made), rows, own=0)
    assert judged(made, entities(made, changed=0), rows, own=0) == (value, baseline)
    same_value, other_baseline = judged(made, entities(made, changed=1), rows, own=0)
    assert same_value == value  # a gathering's value is that before anybody acts
    assert abs(other_baseline[0] - baseline[0]) > 1e-4


def test_who_does_nobody_knows_what_counts_by_what_it_sees():
    made = critic()
    unknown = entities(made, acted=False)
    assert torch.equal(unknown.acted, unknown.seen)
    assert judged(made, entities(made, changed=1, acted=False), [[0, 1]], 0) == judged(made, unknown, [[0, 1]], 0)


def test_how_many_there_are_matters_even_if_they_are_all_alike():
    made = critic()
    given_entities = entities(made)
    alike = Entities(given_entities.seen[:1].expand(3, -1), given_entities.acted[:1].expand(3, -1))
    one, _ = judged(made, alike, [[0, -1, -1]], 0)
    three, _ = judged(made, alike, [[0, 1, 2]], 0)
    assert abs(one[0] - three[0]) > 1e-3


def test_values_and_baselines_are_the_same_in_one_pass():
    made = critic()
    given_entities, members = entities(made), torch.tensor([[0, 1, 2], [3, 4, -1]])
    own = torch.tensor([[False, True, False], [True, False, False]])
    with torch.no_grad():
        apart = made.values(given_entities, members), made.baselines(given_entities, members, own)
        torch.testing.assert_close(made.values_and_baselines(given_entities, members, own), apart)


def test_padding_learns_nothing():
    made = critic()
    given_entities = entities(made)
    seen = given_entities.seen.clone().requires_grad_(True)
    members = torch.tensor([[2, 4, -1, -1]])
    made.values(Entities(seen, given_entities.acted), members).sum().backward()
    assert seen.grad is not None
    assert np.flatnonzero(seen.grad.abs().sum(dim=1).numpy()).tolist() == [2, 4]


def test_a_new_scale_changes_no_prediction_of_either():
    made = critic()
    given_entities, members = entities(made), torch.tensor([[0, 1, 2]])
    with torch.no_grad():
        before = [made.in_reward_units(item) for item in (made.values(given_entities, members),)]
        before.append(made.in_reward_units(made.baselines(given_entities, members, members == 1)))
        made.update_scale(torch.tensor([100.0, 300.0, -50.0]))
        after = [made.in_reward_units(made.values(given_entities, members))]
        after.append(made.in_reward_units(made.baselines(given_entities, members, members == 1)))
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-4)
    assert float(made.deviation) == pytest.approx(np.std([100.0, 300.0, -50.0]), rel=1e-4)


@pytest.mark.parametrize("actions", [ActionSpec(2, ()), ActionSpec(0, (3,)), HYBRID])
def test_all_kinds_of_actions_are_taken(actions):
    made = critic(actions)
    assert len(flat(judged(made, entities(made), [[0, 1], [1, -1]], own=1))) == 4
