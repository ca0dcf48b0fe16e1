"""No transition is lost or doubled: what the client hands on equals the build's own ledger, in any order of events."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.specs import BehaviorSpec

STEPS = 60


def random_actions(spec: BehaviorSpec, agents: int, numbers: np.random.Generator) -> Actions:
    branches = spec.actions.discrete_branches
    discrete = [numbers.integers(0, branch, agents) for branch in branches]
    return Actions(
        numbers.normal(size=(agents, spec.actions.continuous_size)).astype(np.float32),
        np.stack(discrete, axis=1).astype(np.int32) if discrete else np.zeros((agents, 0), np.int32),
    )


def record(name: str, batch: Any, row: int) -> dict[str, Any]:
    return {
        "behavior": name,
        "id": int(batch.agent_ids[row]),
        "reward": float(batch.rewards[row]),
        "observations": [sensor[row].ravel().tolist() for sensor in batch.observations],
        "group_id": int(batch.group_ids[row]),
        "group_reward": float(batch.group_rewards[row]),
    }


def observed(name: str, step: BehaviorStep) -> list[dict[str, Any]]:
    """A step in the ledger's words."""
    found = []
    decisions, terminals = step.decisions, step.terminals
    for row in range(len(terminals)):
        interrupted = bool(terminals.truncated[row])
        found.append({"event": "terminal", **record(name, terminals, row), "interrupted": interrupted})
    for row in range(len(decisions)):
        allowed = [] if decisions.action_mask is None else decisions.action_mask[row].tolist()
        found.append({"event": "decision", **record(name, decisions, row), "allowed": allowed})
    return found


def play(program: Path, arguments: list[str], ledger: Path, seed: int, resets: int = 2) -> list[dict[str, Any]]:
    """Play at random; everything that the client was told and sent, in order."""
    numbers = np.random.default_rng(seed)
    story: list[dict[str, Any]] = []
    with UnityClient(program, arguments=[*arguments, "--ledger", str(ledger)], seed=seed) as client:
        for _ in range(resets):
            story.append({"event": "reset"})
            steps = client.reset()
            for number in range(STEPS):
                for name, step in steps.items():
                    story += observed(name, step)
                if number == STEPS - 1:
                    break
                actions = {
                    name: random_actions(client.specs[name], len(step.decisions), numbers)
                    for name, step in steps.items()
                    if len(step.decisions)
                }
                for name, own in actions.items():
                    for row, agent_id in enumerate(steps[name].decisions.agent_ids):
                        action = {"continuous": own.continuous[row].tolist(), "discrete": own.discrete[row].tolist()}
                        story.append({"event": "action", "behavior": name, "id": int(agent_id), **action})
                steps = client.step(actions)
    return story


def in_common_words(entries: list[dict[str, Any]], branches: dict[str, list[int]]) -> list[str]:
    """Entries in an order that does not depend on how behaviors are grouped within one exchange."""
    lines = []
    for entry in entries:
        known = dict(entry)
        if "disallowed" in known:
            masked = known.pop("disallowed")
            known["allowed"] = [not item for item in masked] or [True] * sum(branches[known["behavior"]])
        lines.append(json.dumps(known, sort_keys=True))
    return lines


def assert_same_story(told: list[dict[str, Any]], ledger: Path, specs: list[dict[str, Any]]) -> None:
    written = [json.loads(line) for line in ledger.read_text().splitlines()]
    branches = {spec["name"]: spec["branches"] for spec in specs}
    assert sorted(in_common_words(told, branches)) == sorted(in_common_words(written, branches))
    for spec in specs:
        # Terminals before decisions within an exchange, otherwise in the order of events: one agent's story is exact.
        ids = {entry["id"] for entry in written if entry.get("behavior") == spec["name"]}
        for agent_id in ids:
            mine = [entry for entry in told if entry.get("id") == agent_id and entry["behavior"] == spec["name"]]
            its = [entry for entry in written if entry.get("id") == agent_id and entry["behavior"] == spec["name"]]
            assert in_common_words(mine, branches) == in_common_words(its, branches)


DEFAULT = [
    {"name": "Walker?team=0", "branches": []},
    {"name": "Guard?team=1", "branches": [3, 2]},
    {"name": "Mixed?team=0", "branches": [200, 2]},
]


@pytest.mark.parametrize("seed", range(4))
def test_every_event_arrives_once(chaos: Path, tmp_path: Path, seed: int) -> None:
    told = play(chaos, [], tmp_path / "ledger", seed)
    kinds = {entry["event"] for entry in told}
    assert kinds == {"reset", "action", "decision", "terminal"}
    assert {entry["behavior"] for entry in told if "behavior" in entry} == {spec["name"] for spec in DEFAULT}
    assert_same_story(told, tmp_path / "ledger", DEFAULT)


def test_behaviors_appear_when_their_first_agent_does(chaos: Path) -> None:
    with UnityClient(chaos, seed=1) as client:
        client.reset()
        assert set(client.specs) == {"Walker?team=0"}
        steps: Any = {}
        while len(client.specs) < 3:
            agents = {name: len(step.decisions) for name, step in steps.items()}
            steps = client.step(
                {
                    name: random_actions(client.specs[name], count, np.random.default_rng(0))
                    for name, count in (agents or {"Walker?team=0": client._deciding["Walker?team=0"]}).items()
                    if count
                }
            )
        assert client.specs["Guard?team=1"].team_id == 1


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
behaviors = st.fixed_dictionaries(
    {
        "observations": st.lists(shapes, min_size=1, max_size=3),
        "continuous": st.integers(0, 3),
        "branches": st.lists(st.integers(1, 300), max_size=3),
        "agents": st.integers(1, 4),
        "from_step": st.integers(0, 5),
    }
).filter(lambda spec: spec["continuous"] or spec["branches"])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(specs=st.lists(behaviors, min_size=1, max_size=3), seed=st.integers(0, 2**31 - 1))
def test_any_specs_any_order(chaos: Path, tmp_path: Path, specs: list[dict[str, Any]], seed: int) -> None:
    named = [{"name": f"Behavior{index}?team={index}", **spec} for index, spec in enumerate(specs)]
    ledger = tmp_path / "ledger"
    told = play(chaos, ["--spec", json.dumps(named)], ledger, seed, resets=1)
    assert_same_story(told, ledger, named)
