"""The policy in service plays beside the new one: alone with the same seeds, or as its opponent."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.evaluation import EvaluationReport, IncumbentComparison
from rl_src.evaluation.comparison import Incumbent
from rl_src.evaluation.evaluate import EvaluationConfig, evaluate
from rl_src.serving.onnx_policy import OnnxPolicy
from tests.fakes.played_policies import write_chance_policy, write_counting_policy, write_scoring_policy
from tests.fakes.sample_players import unpacked
from tests.fakes.scripted_soccer import chasing_scores

LEFT, RIGHT = 1, 2
SOCCER_BRANCHES = (3, 3, 3)
SERVED = "served-0123456789ab"

Load = Callable[[], Mapping[str, OnnxPolicy]]


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("Basic", tmp_path_factory.mktemp("basic"))


@pytest.fixture(scope="module")
def soccer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("SoccerTwos", tmp_path_factory.mktemp("soccer"))


def mover(folder: Path, moves: list[int], behavior: str = "Basic", size: int = 20) -> Load:
    path = folder / f"{behavior}-{size}-{'-'.join(map(str, moves))}.onnx"
    write_counting_policy(path, size, 3, moves)
    return lambda: {behavior: OnnxPolicy.load(path)}


def chaser(folder: Path) -> Load:
    weights, bias = chasing_scores()
    write_scoring_policy(folder / "chaser.onnx", weights, bias, SOCCER_BRANCHES)
    return lambda: {"SoccerTwos": OnnxPolicy.load(folder / "chaser.onnx")}


def idler(folder: Path) -> Load:
    """Stands where it is."""
    bias = np.zeros(9)
    bias[[0, 3, 6]] = 1
    write_scoring_policy(folder / "idler.onnx", [np.zeros((264, 9)), np.zeros((72, 9))], bias, SOCCER_BRANCHES)
    return lambda: {"SoccerTwos": OnnxPolicy.load(folder / "idler.onnx")}


def compare(config: EvaluationConfig, candidate: Load, incumbent: Incumbent | Load) -> IncumbentComparison:
    """Through the contract, as the container hands it on."""
    served = incumbent if isinstance(incumbent, Incumbent) else Incumbent(SERVED, incumbent)
    report, _ = evaluate(config, candidate, "game-1", lambda: False, served)
    found = EvaluationReport.model_validate(report, strict=False).incumbent
    assert found is not None
    return found


@pytest.mark.parametrize("num_builds", [1, 2])
def test_the_policy_in_service_is_played_as_often_on_the_same_build(
    basic: Path, tmp_path: Path, num_builds: int
) -> None:
    # Two steps to the left before the nine to the right: 0.89 in place of 0.93.
    config = EvaluationConfig(basic, episodes=6, num_builds=num_builds)
    found = compare(config, mover(tmp_path, [RIGHT]), mover(tmp_path, [LEFT, LEFT, RIGHT]))
    assert found.run_id == SERVED
    assert found.result is not None
    assert (found.result.episodes, found.result.mean_return) == (6, pytest.approx(0.89))
    certain = (found.result.difference.ci95_low, found.result.difference.mean, found.result.difference.ci95_high)
    assert certain == pytest.approx((0.04, 0.04, 0.04), abs=1e-5)
    (behavior,) = found.result.behaviors
    assert (behavior.behavior, behavior.opposed) == ("Basic", False)


def test_a_policy_is_as_good_as_itself(basic: Path, tmp_path: Path) -> None:
    """Sampled actions play no part in it, and the same seeds give the same episodes."""
    write_chance_policy(tmp_path / "Basic.onnx", [(20,)], 0, [3])
    load: Load = lambda: {"Basic": OnnxPolicy.load(tmp_path / "Basic.onnx")}  # noqa: E731  a fixture of one line
    found = compare(EvaluationConfig(basic, episodes=6), load, load)
    assert found.result is not None
    assert found.result.difference.mean == 0


def test_opponents_are_told_apart_where_each_plays_all_teams_alike(soccer: Path, tmp_path: Path) -> None:
    # Short matches: those who stand still play each of theirs to the end.
    config = EvaluationConfig(soccer, episodes=40, parameters={"max_environment_steps": 300})
    good, bad = chaser(tmp_path), idler(tmp_path)
    better, worse = compare(config, good, bad), compare(config, bad, good)
    assert better.result is not None
    assert worse.result is not None
    (behavior,) = better.result.behaviors
    assert behavior.opposed
    # Two rounds of 40 episodes or a few more; half of the players of each are the incumbent's.
    assert 40 <= better.result.episodes <= 48
    assert better.result.difference.ci95_low > 0
    # The same two games: who is called the candidate changes the sign alone.
    assert worse.result.difference.mean == pytest.approx(-better.result.difference.mean)
    assert worse.result.difference.ci95_high == pytest.approx(-better.result.difference.ci95_low)


def test_an_opponent_of_oneself_is_no_better(soccer: Path, tmp_path: Path) -> None:
    load = chaser(tmp_path)
    found = compare(EvaluationConfig(soccer, episodes=8), load, load)
    assert found.result is not None
    assert found.result.difference.mean == pytest.approx(0)
    assert found.result.difference.ci95_low <= 0 <= found.result.difference.ci95_high


@pytest.mark.parametrize(
    ("behavior", "size", "why"),
    [
        ("Basic", 21, "observations of its behavior Basic are [[21]], the new policy's [[20]]"),
        ("Other", 20, "no policy for the behavior Basic, only for Other"),
    ],
)
def test_a_policy_of_another_game_is_not_played(
    basic: Path, tmp_path: Path, behavior: str, size: int, why: str
) -> None:
    found = compare(
        EvaluationConfig(basic, episodes=2), mover(tmp_path, [RIGHT]), mover(tmp_path, [RIGHT], behavior, size)
    )
    assert found.result is None
    assert found.not_comparable is not None
    assert why in found.not_comparable


def test_a_policy_that_cannot_be_read_is_told_of(basic: Path, tmp_path: Path) -> None:
    broken = Incumbent(None, None, "its artifact cannot be used: no manifest")
    found = compare(EvaluationConfig(basic, episodes=2), mover(tmp_path, [RIGHT]), broken)
    assert (found.run_id, found.result) == (None, None)
    assert found.not_comparable == "its artifact cannot be used: no manifest"
