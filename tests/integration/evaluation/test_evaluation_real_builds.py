"""Evaluations of real builds by ONNX policies whose returns are known by arithmetic, or that play by chance."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.evaluation import EvaluationReport, ParityRecord
from rl_src.evaluation.action_use import MAX_CHOICES
from rl_src.evaluation.errors import EvaluationError
from rl_src.evaluation.evaluate import EvaluationConfig, evaluate
from tests.fakes.played_policies import Load, chance_policies, loader, write_controller, write_counting_policy
from tests.fakes.sample_players import unpacked

LEFT, RIGHT = 1, 2
BASIC_SIZE, BASIC_CHOICES = 20, 3


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Basic", tmp_path_factory.mktemp("basic"))


def run(config: EvaluationConfig, load: Load) -> tuple[EvaluationReport, ParityRecord]:
    """Through the contracts, as the container hands them on."""
    report, parity = evaluate(config, load, "game-1", lambda: False)
    return EvaluationReport.model_validate(report, strict=False), ParityRecord.model_validate(parity, strict=False)


def figures(report: EvaluationReport) -> list[dict[str, Any]]:
    return [item.model_dump() for item in report.behaviors]


@pytest.mark.parametrize("num_builds", [1, 3])
def test_a_memory_begins_at_zero_in_every_episode_and_is_carried_through_it(
    basic: Path, tmp_path: Path, num_builds: int
) -> None:
    # From 10, two steps left and then nine right to the goal at 17: 11 decisions, of which the last earns 1 - 0.01.
    write_counting_policy(tmp_path / "Basic.onnx", BASIC_SIZE, BASIC_CHOICES, [LEFT, LEFT, RIGHT])
    config = EvaluationConfig(basic, episodes=8, num_builds=num_builds, success_returns={"Basic": 0.9})
    report, parity = run(config, loader({"Basic": tmp_path / "Basic.onnx"}))
    found = report.behaviors[0].deterministic
    assert (found.episodes, found.mean_length, found.max_length) == (8, 11, 11)
    assert (found.mean_return, found.std_return) == (pytest.approx(0.89), pytest.approx(0, abs=1e-6))
    assert found.success is not None
    assert (found.success.rate, found.success.ci95_low) == (0, 0)
    assert found.action_use is not None
    assert found.action_use.discrete == ((0, pytest.approx(2 / 11, abs=1e-6), pytest.approx(9 / 11, abs=1e-6)),)
    assert (report.num_builds, report.builds_restarted, found.teams) == (num_builds, 0, ())

    pair = parity.pairs[0]
    assert pair.memory is not None
    assert pair.memory_out is not None
    # The decisions 1, 2, 3, 5 and 9 of an episode, which are the same in all episodes of this policy.
    assert [memory[0] for memory in pair.memory] == [0, 1, 2, 4, 8]
    assert [memory[0] for memory in pair.memory_out] == [1, 2, 3, 5, 9]
    assert [choice for (choice,) in pair.discrete] == [LEFT, LEFT, RIGHT, RIGHT, RIGHT]


def test_a_threshold_that_every_episode_reaches_is_certain_only_so_far(basic: Path, tmp_path: Path) -> None:
    write_counting_policy(tmp_path / "Basic.onnx", BASIC_SIZE, BASIC_CHOICES, [RIGHT])
    config = EvaluationConfig(basic, episodes=10, success_returns={"Basic": 0.92})
    report, _ = run(config, loader({"Basic": tmp_path / "Basic.onnx"}))
    success = report.behaviors[0].deterministic.success
    assert success is not None
    assert (success.rate, success.ci95_high) == (1, pytest.approx(1))
    assert success.ci95_low == pytest.approx(10 / (10 + 1.959963984540054**2))


@pytest.mark.parametrize("num_builds", [1, 3])
def test_a_seed_repeats_sampled_actions_too(basic: Path, tmp_path: Path, num_builds: int) -> None:
    load = chance_policies(basic, tmp_path)
    config = EvaluationConfig(basic, episodes=30, seed=5, num_builds=num_builds)
    (one, one_parity), (two, two_parity) = run(config, load), run(config, load)
    assert figures(one) == figures(two)
    assert one_parity == two_parity
    assert one.behaviors[0].stochastic is not None
    assert one.behaviors[0].stochastic.std_return > 0, "nothing was left to chance"
    other, _ = run(EvaluationConfig(basic, episodes=30, seed=6, num_builds=num_builds), load)
    assert figures(other) != figures(one)


def test_builds_side_by_side_do_not_play_the_same_episodes(basic: Path, tmp_path: Path) -> None:
    load = chance_policies(basic, tmp_path)
    alone, _ = run(EvaluationConfig(basic, episodes=5, seed=5), load)
    three, _ = run(EvaluationConfig(basic, episodes=15, seed=5, num_builds=3), load)
    assert alone.behaviors[0].stochastic is not None
    assert three.behaviors[0].stochastic is not None
    lengths = alone.behaviors[0].stochastic.mean_length, three.behaviors[0].stochastic.mean_length
    assert lengths[0] != lengths[1], "three builds of one seed would have the same mean as one"


def test_every_behavior_is_judged_with_masks_and_every_kind_of_action(tmp_path: Path) -> None:
    chaos = unpacked("Chaos", tmp_path)
    load = chance_policies(chaos, tmp_path / "models", behaviors=3)
    report, parity = run(EvaluationConfig(chaos, episodes=6, num_builds=2), load)
    policies = load()
    assert {item.behavior for item in report.behaviors} == {"Walker", "Guard", "Mixed"} == set(policies)
    for item in report.behaviors:
        policy, found = policies[item.behavior], item.deterministic
        assert found.episodes >= 6
        assert found.action_use is not None
        assert found.return_histogram is not None
        assert sum(found.return_histogram.counts) == found.episodes
        assert [len(shares) for shares in found.action_use.discrete] == [
            min(MAX_CHOICES, width) for width in policy.discrete_branches
        ]
        assert [len(shares) for shares in found.action_use.continuous] == [20] * policy.continuous_size
        told = [shares for shares in found.action_use.discrete if len(shares) < MAX_CHOICES]
        for shares in (*told, *found.action_use.continuous):
            assert sum(shares) == pytest.approx(1, abs=1e-4)
    for pair in parity.pairs:
        policy = policies[pair.behavior]
        observations = [np.asarray(sensor, np.float32) for sensor in pair.observations]
        masks = None if pair.action_masks is None else np.asarray(pair.action_masks, np.float32)
        continuous, discrete = policy.act(observations, masks)
        assert discrete.tolist() == pair.discrete
        np.testing.assert_allclose(continuous, pair.continuous)
        assert (masks is not None) == bool(policy.discrete_branches)
    masked = [np.asarray(pair.action_masks) for pair in parity.pairs if pair.action_masks is not None]
    assert any((masks == 0).any() for masks in masked), "no mask was recorded that forbids anything"


def test_a_controller_keeps_the_ball_until_max_step(tmp_path: Path) -> None:
    ball = unpacked("3DBall", tmp_path)
    # The proportional-derivative controller of tests/fakes/scripted_ball_3d.py, which is linear, as a matrix.
    weights = np.zeros((8, 2), np.float32)
    weights[[0, 2, 5], 0] = 6 * np.asarray([-2, 0.2, 0.25])
    weights[[1, 4, 7], 1] = 6 * np.asarray([-2, -0.2, -0.25])
    write_controller(tmp_path / "3DBall.onnx", weights)
    report, parity = run(
        EvaluationConfig(ball, episodes=12, success_returns={"3DBall": 95.0}),
        loader({"3DBall": tmp_path / "3DBall.onnx"}),
    )
    found = report.behaviors[0].deterministic
    assert found.success is not None
    assert found.success.rate == 1
    assert found.truncated_episodes == found.episodes >= 12
    assert found.cut_off_episodes == 0
    # Long episodes of ever new observations: the record must not be of the first ones only.
    assert len(parity.pairs[0].continuous) == 64


def test_teams_of_one_behavior_count_together_and_are_told_apart(tmp_path: Path) -> None:
    soccer = unpacked("SoccerTwos", tmp_path)
    report, _ = run(EvaluationConfig(soccer, episodes=8), chance_policies(soccer, tmp_path / "models"))
    for item in report.behaviors:
        for found in (item.deterministic, item.stochastic):
            assert found is not None
            assert [team.team for team in found.teams] == [0, 1]
            assert sum(team.episodes for team in found.teams) == found.episodes
            assert all(team.won + team.drawn + team.lost == team.episodes for team in found.teams)


def test_a_policy_whose_behavior_never_appears_is_told(
    basic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_src.evaluation.rollouts.ABSENT_AFTER", 20)
    for name in ("Basic", "Other"):
        write_counting_policy(tmp_path / f"{name}.onnx", BASIC_SIZE, BASIC_CHOICES, [RIGHT])
    load = loader({name: tmp_path / f"{name}.onnx" for name in ("Basic", "Other")})
    with pytest.raises(EvaluationError, match="behavior Other") as caught:
        run(EvaluationConfig(basic, episodes=1), load)
    assert caught.value.code == "BehaviorMissing"


def test_a_crash_costs_no_episode_and_is_told(tmp_path: Path) -> None:
    faulty = unpacked("Faulty", tmp_path)
    write_counting_policy(tmp_path / "Basic.onnx", BASIC_SIZE, BASIC_CHOICES, [RIGHT])
    config = EvaluationConfig(
        faulty, episodes=10, arguments=("--fault", "crash", "--after", "24", "--once", str(tmp_path / "once"))
    )
    report, _ = run(config, loader({"Basic": tmp_path / "Basic.onnx"}))
    found = report.behaviors[0].deterministic
    assert (found.episodes, found.mean_length) == (10, 7)
    assert found.mean_return == pytest.approx(0.93)
    assert report.builds_restarted == 1
    assert "BuildsRestarted" in [warning.code for warning in report.warnings]
