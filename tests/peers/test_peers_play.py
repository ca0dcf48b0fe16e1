"""The unmodified `mlagents_envs` 1.1.0 plays every sample build, and sees what our client sees."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_src.envs.client import UnityClient
from sample_builds.catalog import SAMPLE_BUILDS
from tests.peers.our_client import replay
from tests.peers.reference import Builds, play
from tests.peers.sessions import ACTIONS, DECISIONS, EXCHANGE, RESET, TERMINALS, Session, differences

SEED = 7
PROBE = 1.5
"""Of an environment parameter that no scene knows: the build must take it all the same."""


@dataclass(frozen=True)
class Documented:
    """What the examples' documentation says of one behavior, and what a build is known to do.

    `shapes`: of the observations. `agents`: how many decide at once, at most. `masks`: whether choices are disallowed.
    `groups`: the group ids, 0 for agents without one.
    """

    build: str
    shapes: tuple[tuple[int, ...], ...]
    continuous: int
    branches: tuple[int, ...]
    agents: int
    masks: bool = False
    groups: tuple[int, ...] = (0,)


BEHAVIORS = {
    "Basic?team=0": Documented("Basic", ((20,),), 0, (3,), 1),
    "3DBall?team=0": Documented("3DBall", ((8,),), 2, (), 12),
    "GridWorld?team=0": Documented("GridWorld", ((3, 64, 84), (2,)), 0, (5,), 9, masks=True),
    "BigWallJump?team=0": Documented("WallJump", ((35,), (35,), (4,)), 0, (3, 3, 3, 2), 1),
    "SmallWallJump?team=0": Documented("WallJump", ((35,), (35,), (4,)), 0, (3, 3, 3, 2), 1),
    "SoccerTwos?team=0": Documented("SoccerTwos", ((264,), (72,)), 0, (3, 3, 3), 2, groups=(1,)),
    "SoccerTwos?team=1": Documented("SoccerTwos", ((264,), (72,)), 0, (3, 3, 3), 2, groups=(2,)),
    "Hallway?team=0": Documented("Hallway", ((30,),), 0, (4,), 1),
    "GridFoodCollector?team=0": Documented("FoodCollector", ((6, 40, 40), (4,)), 3, (2,), 5),
    "Walker?team=0": Documented("Chaos", ((3,), (2, 4)), 2, (), 3, groups=(0, 1)),
    "Guard?team=1": Documented("Chaos", ((5,),), 0, (3, 2), 2, masks=True, groups=(0, 2)),
    "Mixed?team=0": Documented("Chaos", ((1, 2, 3), (1,)), 1, (200, 2), 2, masks=True, groups=(0, 3)),
}
STEPS = {"FoodCollector": 1010, "Hallway": 700, "SoccerTwos": 600, "WallJump": 1600}
"""To play after each of two resets, where episodes are too long for 200 to see the end of one."""


@pytest.fixture(scope="session")
def folder(build: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"played-{build}")


@pytest.fixture(scope="session")
def session(build: str, folder: Path, builds: Builds) -> Session:
    arguments = ["--steps", str(STEPS.get(build, 200)), "--parameter", f"probe={PROBE}"]
    if build == "Chaos":
        arguments += ["--build-argument=--ledger", f"--build-argument={folder / 'ledger'}"]
    return play(builds.program(build), folder, *arguments, seed=SEED)


def test_every_build_is_documented_here() -> None:
    assert {documented.build for documented in BEHAVIORS.values()} == {*SAMPLE_BUILDS} - {"Faulty"}


def test_it_reads_the_documented_specifications(build: str, session: Session) -> None:
    assert {*session.behaviors} == {name for name, known in BEHAVIORS.items() if known.build == build}
    for name, spec in session.behaviors.items():
        known = BEHAVIORS[name]
        assert tuple(tuple(sensor["shape"]) for sensor in spec["observations"]) == known.shapes
        assert (spec["continuous"], tuple(spec["branches"])) == (known.continuous, known.branches)


def test_it_meets_the_documented_agents_in_their_groups(session: Session) -> None:
    for name in session.behaviors:
        decided, ended = session.table(name, DECISIONS), session.table(name, TERMINALS)
        assert np.unique(decided[EXCHANGE], return_counts=True)[1].max() == BEHAVIORS[name].agents
        assert tuple(np.unique(decided["group_ids"])) == BEHAVIORS[name].groups
        assert bool(ended["group_rewards"].any()) == (BEHAVIORS[name].groups != (0,))


def test_masks_are_told_and_can_be_obeyed(session: Session) -> None:
    for name, spec in session.behaviors.items():
        if not spec["branches"]:
            continue
        disallowed = session.table(name, DECISIONS)["disallowed"]
        assert disallowed.any() == BEHAVIORS[name].masks
        starts = np.cumsum([0, *spec["branches"][:-1]])
        assert not np.logical_and.reduceat(disallowed, starts, axis=1).any(), "a branch with no choice left"


def test_episodes_end_and_no_id_is_used_twice(session: Session) -> None:
    for name in session.behaviors:
        ended = session.table(name, TERMINALS)
        assert len(ended["agent_ids"]) > 0
        assert len(np.unique(ended["agent_ids"])) == len(ended["agent_ids"])
        for agent_id, exchange in zip(ended["agent_ids"], ended[EXCHANGE], strict=True):
            decided = session.table(name, DECISIONS)
            assert (decided[EXCHANGE][decided["agent_ids"] == agent_id] < exchange).all()


def test_a_reset_begins_all_episodes_anew(session: Session) -> None:
    again = session.commands.index(RESET, 1)
    for name in session.behaviors:
        decided = session.table(name, DECISIONS)
        before, after = (
            decided["agent_ids"][decided[EXCHANGE] < again],
            decided["agent_ids"][decided[EXCHANGE] >= again],
        )
        assert not np.intersect1d(before, after).size


def test_side_channels_arrive_and_the_build_ends_by_itself(session: Session, folder: Path) -> None:
    log = (folder / "player.log").read_text().splitlines()
    assert "Engine: time_scale 20" in log
    assert "Environment parameter: probe" in log
    assert "Quitting: the trainer said goodbye" in log
    assert session.remarks["returncode"] == 0


def test_our_client_sees_the_same(build: str, builds: Builds, session: Session, tmp_path: Path) -> None:
    arguments = ["--ledger", str(tmp_path / "ledger")] if build == "Chaos" else []
    with UnityClient(
        builds.program(build), arguments=arguments, seed=SEED, parameters={"probe": PROBE}, graphics=False
    ) as client:
        ours = replay(client, session)
    assert list(differences(session, ours)) == []
    assert ours.remarks["statistics"] == session.remarks["statistics"]
    assert sum(session.count(name, ACTIONS) for name in session.behaviors) > 0


def test_an_environment_parameter_changes_the_scene(builds: Builds, tmp_path: Path) -> None:
    session = play(builds.program("Basic"), tmp_path, "--steps", "5", "--parameter", "agents=5", seed=SEED)
    assert len(session.rows("Basic?team=0", DECISIONS, 0)["agent_ids"]) == 5


def test_chaos_the_reference_saw_what_the_ledger_holds(builds: Builds, tmp_path: Path) -> None:
    arguments = ["--build-argument=--ledger", f"--build-argument={tmp_path / 'ledger'}", "--steps", "150"]
    for seed in range(3):
        session = play(builds.program("Chaos"), tmp_path, *arguments, seed=seed)
        written = [json.loads(line) for line in (tmp_path / "ledger").read_text().splitlines()]
        told = list(_story(session))
        assert {entry["event"] for entry in told} == {"reset", "decision", "terminal", "action"}
        assert sorted(map(_line, told)) == sorted(_line(entry, session.behaviors) for entry in written)


def _story(session: Session) -> Any:
    """A session in the ledger's words."""
    for _ in range(session.commands.count(RESET)):
        yield {"event": "reset"}
    for name in session.behaviors:
        decided, ended = session.table(name, DECISIONS), session.table(name, TERMINALS)
        for row in range(session.count(name, TERMINALS)):
            yield {"event": "terminal", **_report(name, ended, row), "interrupted": bool(ended["interrupted"][row])}
        for row in range(session.count(name, DECISIONS)):
            masked = decided["disallowed"][row].tolist() if "disallowed" in decided else []
            yield {"event": "decision", **_report(name, decided, row), "disallowed": masked}
        yield from _acts(session, name)


def _report(name: str, table: Any, row: int) -> dict[str, Any]:
    sensors = sorted(column for column in table if column.startswith("observations_"))
    return {
        "behavior": name,
        "id": int(table["agent_ids"][row]),
        "reward": float(table["rewards"][row]),
        "observations": [table[sensor][row].ravel().tolist() for sensor in sensors],
        "group_id": int(table["group_ids"][row]),
        "group_reward": float(table["group_rewards"][row]),
    }


def _acts(session: Session, name: str) -> Any:
    """Actions bear no id; they answer the decisions of their exchange, in the same order."""
    acted = session.table(name, ACTIONS)
    for exchange in np.unique(acted[EXCHANGE]):
        asked, rows = session.rows(name, DECISIONS, exchange), session.rows(name, ACTIONS, exchange)
        for row, agent_id in enumerate(asked["agent_ids"]):
            action = {"continuous": rows["continuous"][row].tolist(), "discrete": rows["discrete"][row].tolist()}
            yield {"event": "action", "behavior": name, "id": int(agent_id), **action}


def _line(entry: dict[str, Any], behaviors: dict[str, Any] | None = None) -> str:
    """Comparable text. The ledger writes an empty list where nothing is masked; the client a row of False."""
    known = dict(entry)
    if behaviors is not None and known.get("disallowed") == []:
        known["disallowed"] = [False] * sum(behaviors[known["behavior"]]["branches"])
    return json.dumps(known, sort_keys=True)
