"""The client plays the packed GridWorld: cameras, goal signals and masks; with a display and without."""

import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from rl_src.envs.client import Actions, BehaviorStep, UnityClient
from rl_src.envs.specs import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_grid_world import cells_in, choose

NAME = "GridWorld?team=0"
STAY = 0
IMAGE = (DimensionProperty.NONE, *[DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2)
UNITY_CAMERA = ["--camera", "unity"]
needs_xvfb = pytest.mark.skipif(
    shutil.which("Xvfb") is None and "CI" not in os.environ, reason="Xvfb is not installed (apt-get install xvfb)"
)


@pytest.fixture(scope="module")
def grid_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("GridWorld", tmp_path_factory.mktemp("grid_world"))


def choices(chosen: list[int]) -> dict[str, Actions]:
    return {NAME: Actions(np.zeros((len(chosen), 0), np.float32), np.array(chosen, np.int32).reshape(-1, 1))}


def play_on(client: UnityClient, step: BehaviorStep) -> BehaviorStep:
    pictures, signals = step.decisions.observations
    return client.step(choices([choose(*seen) for seen in zip(pictures, signals, strict=True)]))[NAME]


def test_the_spec_and_the_agents_are_those_documented(grid_world: Path) -> None:
    with UnityClient(grid_world, graphics=False) as client:
        decisions = client.reset()[NAME].decisions
        camera = ObservationSpec("CameraSensor", (3, 64, 84), IMAGE)
        goal = ObservationSpec("VectorSensor", (2,), (DimensionProperty.NONE,), is_goal=True)
        assert client.specs == {NAME: BehaviorSpec(NAME, (camera, goal), ActionSpec(0, (5,)))}
        assert [sensor.shape for sensor in decisions.observations] == [(9, 3, 64, 84), (9, 2)]
        assert len(set(decisions.agent_ids.tolist())) == 9


def test_a_script_that_sees_the_pictures_earns_the_documented_return(grid_world: Path) -> None:
    running: dict[int, float] = defaultdict(float)
    returns: list[float] = []
    with UnityClient(grid_world, seed=1, graphics=False) as client:
        step = client.reset()[NAME]
        while len(returns) < 200:
            for agent_id, reward in zip(step.decisions.agent_ids.tolist(), step.decisions.rewards, strict=True):
                running[agent_id] += float(reward)
            for agent_id, reward in zip(step.terminals.agent_ids.tolist(), step.terminals.rewards, strict=True):
                returns.append(running.pop(agent_id) + float(reward))
            assert not step.terminals.truncated.any()
            step = play_on(client, step)
            assert len(step.decisions) == 9
    assert np.mean(returns) > 0.8
    assert min(returns) > 0.8


def test_masks_leave_out_ways_into_walls(grid_world: Path) -> None:
    with UnityClient(grid_world, seed=2, graphics=False) as client:
        step = client.reset()[NAME]
        for _ in range(40):
            mask = step.decisions.action_mask
            assert mask is not None
            for picture, allowed in zip(step.decisions.observations[0], mask, strict=True):
                agent = cells_in(picture)[0]
                assert agent is not None
                x, z = agent
                assert allowed.tolist() == [True, z < 4, z > 0, x > 0, x < 4]
            step = play_on(client, step)


def test_who_stays_is_interrupted(grid_world: Path) -> None:
    with UnityClient(grid_world, graphics=False) as client:
        first = client.reset()[NAME].decisions.agent_ids.tolist()
        for _ in range(99):
            step = client.step(choices([STAY] * 9))[NAME]
            assert step.decisions.rewards == pytest.approx(np.full(9, -0.01))
        step = client.step(choices([STAY] * 9))[NAME]
        assert step.terminals.agent_ids.tolist() == first
        assert step.terminals.truncated.all()
        assert step.terminals.rewards == pytest.approx(np.full(9, -0.01))
        assert len(step.decisions) == 9


def test_pictures_are_the_same_compressed_or_not(grid_world: Path) -> None:
    def pictures(*arguments: str) -> np.ndarray:
        with UnityClient(grid_world, seed=3, arguments=arguments, graphics=False) as client:
            return client.reset()[NAME].decisions.observations[0].copy()

    assert np.array_equal(pictures(), pictures("--uncompressed"))


def test_parameters_and_arguments_reach_the_scene(grid_world: Path) -> None:
    with UnityClient(grid_world, arguments=["--agents", "3"], graphics=False) as client:
        assert len(client.reset()[NAME].decisions) == 3
        step = client.reset(parameters={"agents": 30, "gridSize": 3, "numPlusGoals": 0, "numExGoals": 0})[NAME]
        mask = step.decisions.action_mask
        assert mask is not None
        assert set((~mask).sum(axis=1).tolist()) == {0, 1, 2}
        assert not ((step.decisions.observations[0][:, 1] > 0.6) & (step.decisions.observations[0][:, 0] < 0.3)).any()


def test_without_graphics_a_unity_camera_sees_black(grid_world: Path) -> None:
    with UnityClient(grid_world, arguments=UNITY_CAMERA, graphics=False) as client:
        assert not client.reset()[NAME].decisions.observations[0].any()


@needs_xvfb
@pytest.mark.parametrize("graphics", [True, None])
def test_on_a_display_a_unity_camera_sees(
    grid_world: Path, monkeypatch: pytest.MonkeyPatch, graphics: bool | None
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with UnityClient(grid_world, arguments=UNITY_CAMERA, graphics=graphics) as client:
        pictures = client.reset()[NAME].decisions.observations[0]
        assert all(None not in cells_in(picture) for picture in pictures)


def test_without_a_display_a_unity_camera_ends_before_it_connects(
    grid_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":99999")
    log = tmp_path / "player.log"
    command = [str(grid_world), "--mlagents-port", "9", "-logFile", str(log), *UNITY_CAMERA]
    assert subprocess.run(command, timeout=60, check=False).returncode == 1
    lines = log.read_text().splitlines()
    assert lines[-1] == "No supported renderers found, exiting"
    assert not any("trainer" in line for line in lines)
