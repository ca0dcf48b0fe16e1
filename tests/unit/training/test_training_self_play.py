"""Self-play: whose turn it is to learn, what the others play, and how ratings move."""

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from rl_src.training.errors import InvalidCheckpointError, InvalidTrainingConfigError
from rl_src.training.self_play.past_selves import SelfPlaySettings
from rl_src.training.self_play.turns import SelfPlay, expected_score, score


def policy(number: float) -> dict[str, np.ndarray]:
    return {"w": np.full(2, number, dtype=np.float32)}


def playing(game: SelfPlay, behavior: str, team: int) -> float | None:
    """The number of the policy that a team plays; None: what is being learned."""
    weights = game.weights(behavior, team)
    return None if weights is None else float(weights["w"][0])


def soccer(seed: int = 0, teams: int = 2, **settings: Any) -> SelfPlay:
    given = {"save_steps": 100, "swap_steps": 50, "team_change": 1_000_000, **settings}
    game = SelfPlay({"Striker": SelfPlaySettings(**given)}, seed)
    for team in range(teams):
        game.meet("Striker", team, policy(0))
    return game


def test_the_expected_score_is_elos():
    assert expected_score(1200, 1200) == 0.5
    assert expected_score(1600, 1200) == pytest.approx(10 / 11)
    assert expected_score(1200, 1600) == pytest.approx(1 / 11)
    assert expected_score(1613, 1609) == pytest.approx(0.506, abs=5e-4)  # a well-known worked example


def test_the_last_reward_tells_who_won():
    assert [score(value) for value in (0.3, 0.0, -2.0)] == [1.0, 0.5, 0.0]


def test_the_first_team_learns_and_the_others_begin_as_it():
    game = soccer()
    assert game.learning_team == 0
    assert (playing(game, "Striker", 0), playing(game, "Striker", 1)) == (None, 0.0)
    assert game.rating("Striker") == 1200


def test_the_pool_holds_the_last_selves_and_no_older_ones():
    game = soccer(window=3, play_against_latest_model_ratio=0.0)
    for number in range(1, 6):
        assert game.advance("Striker", learned=100, others=0, weights=policy(number)).saved
    assert drawn(game, 200) == {3.0, 4.0, 5.0}


def drawn(game: SelfPlay, times: int) -> set[float | None]:
    """What team 1 plays, over many swaps without learning."""
    found = set()
    for _ in range(times):
        turn = game.advance("Striker", learned=0, others=50, weights=policy(-1))
        assert turn.swapped == (("Striker", 0), ("Striker", 1))
        found.add(playing(game, "Striker", 1))
    return found


def test_saving_waits_for_the_learning_team_and_swapping_for_the_others():
    game = soccer()
    assert not game.advance("Striker", learned=99, others=49, weights=policy(1)).saved
    turn = game.advance("Striker", learned=1, others=0, weights=policy(2))
    assert (turn.saved, turn.swapped, turn.team_changed) == (True, (), False)
    turn = game.advance("Striker", learned=0, others=1, weights=policy(2))
    assert (turn.saved, bool(turn.swapped)) == (False, True)


def test_against_the_latest_always_means_what_was_learned_so_far():
    game = soccer(play_against_latest_model_ratio=1.0)
    for number in (1, 2, 3):
        game.advance("Striker", learned=10, others=50, weights=policy(number))
        assert playing(game, "Striker", 1) == number


def test_an_opponent_stays_what_it_was_until_the_next_swap():
    game = soccer(play_against_latest_model_ratio=1.0)
    own = policy(1)
    game.advance("Striker", learned=10, others=50, weights=own)
    own["w"][:] = 9
    game.advance("Striker", learned=10, others=0, weights=policy(5))
    assert playing(game, "Striker", 1) == 1.0


def test_the_share_of_the_latest_is_as_set():
    game = soccer(play_against_latest_model_ratio=0.25)
    game.advance("Striker", learned=10, others=0, weights=policy(7))  # not saved: the pool holds the first policy only
    met = []
    for _ in range(2000):
        game.advance("Striker", learned=0, others=50, weights=policy(7))
        met.append(playing(game, "Striker", 1))
    assert np.mean(np.array(met) == 7.0) == pytest.approx(0.25, abs=0.04)  # four standard errors


def test_teams_take_turns():
    game = soccer(teams=3, team_change=300)
    order = []
    for number in range(1, 10):
        turn = game.advance("Striker", learned=150, others=0, weights=policy(number))
        assert turn.team_changed == (number % 2 == 0)
        order.append(game.learning_team)
    assert order == [0, 1, 1, 2, 2, 0, 0, 1, 1]


def test_the_new_learner_goes_on_with_what_was_learned_and_the_old_one_plays_an_opponent():
    game = soccer(team_change=100, save_steps=100, play_against_latest_model_ratio=0.0)
    turn = game.advance("Striker", learned=100, others=0, weights=policy(1))
    assert turn.team_changed
    assert turn.saved
    assert set(turn.swapped) == {("Striker", 0), ("Striker", 1)}
    assert game.learns("Striker", 1)
    assert playing(game, "Striker", 1) is None
    assert playing(game, "Striker", 0) in {0.0, 1.0}


def test_a_single_team_never_changes():
    game = soccer(teams=1, team_change=10)
    assert not game.advance("Striker", learned=100, others=0, weights=policy(1)).team_changed
    assert game.learning_team == 0


def hide_and_seek() -> SelfPlay:
    settings = SelfPlaySettings(save_steps=100, team_change=200, swap_steps=50, play_against_latest_model_ratio=0.0)
    game = SelfPlay({"Hider": settings, "Seeker": settings}, seed=0)
    game.meet("Hider", 0, policy(10))
    game.meet("Seeker", 1, policy(20))
    return game


def test_two_behaviors_learn_in_turns():
    game = hide_and_seek()
    assert (game.learns("Hider", 0), game.learns("Seeker", 1)) == (True, False)
    game.advance("Seeker", learned=0, others=200, weights=policy(20))
    turn = game.advance("Hider", learned=200, others=0, weights=policy(11))
    assert turn.team_changed
    assert set(turn.swapped) == {("Hider", 0), ("Seeker", 1)}
    assert (game.learns("Hider", 0), game.learns("Seeker", 1)) == (False, True)
    assert playing(game, "Hider", 0) in {10.0, 11.0}
    assert playing(game, "Seeker", 1) is None


def test_a_win_moves_both_ratings_by_the_surprise():
    game = hide_and_seek()
    game.finish("Hider", 0, 1.0)
    assert game.rating("Hider") == 1200.5  # K is 1, and half a point was expected
    expected = expected_score(1200.5, 1199.5)
    game.finish("Hider", 0, -1.0)
    assert game.rating("Hider") == pytest.approx(1200.5 - expected)


def test_draws_between_equals_and_episodes_of_the_others_move_nothing():
    game = hide_and_seek()
    game.finish("Hider", 0, 0.0)
    game.finish("Seeker", 1, 1.0)
    assert (game.rating("Hider"), game.rating("Seeker")) == (1200, 1200)


def test_beating_a_copy_of_oneself_moves_nothing():
    game = soccer(play_against_latest_model_ratio=1.0)
    for _ in range(10):
        game.finish("Striker", 0, 1.0)
    assert game.rating("Striker") == 1200


def test_the_stronger_learner_rises_until_its_lead_explains_its_wins():
    """Against one past self, with three wins in four: the lead at which 0.75 is expected is 400 log10(3) = 191."""
    game = soccer(play_against_latest_model_ratio=0.0, k_factor=4.0)
    game.advance("Striker", learned=0, others=50, weights=policy(0))  # team 1 gets the first self out of the pool
    for _ in range(1000):
        for reward in (1.0, 1.0, -1.0, 1.0):
            game.finish("Striker", 0, reward)
    lead = game.rating("Striker") - (2400 - game.rating("Striker"))  # the sum of the two ratings stays
    assert lead == pytest.approx(190.8, abs=8)


def test_with_several_opponents_the_sum_of_ratings_stays_too():
    settings = SelfPlaySettings(k_factor=30)
    game = SelfPlay(dict.fromkeys(("A", "B", "C"), settings), seed=0)
    for team, name in enumerate(("A", "B", "C")):
        game.meet(name, team, policy(team))
    game.finish("A", 0, 1.0)
    assert [game.rating(name) for name in ("A", "B", "C")] == [1215.0, 1192.5, 1192.5]


def test_partners_of_the_learners_team_are_no_opponents():
    game = SelfPlay({name: SelfPlaySettings() for name in ("Striker", "Goalie", "Rival")}, seed=0)
    game.meet("Striker", 0, policy(1))
    game.meet("Goalie", 0, policy(2))
    game.meet("Rival", 1, policy(3))
    assert game.learns("Goalie", 0)
    game.finish("Striker", 0, 1.0)
    assert [game.rating(name) for name in ("Striker", "Goalie", "Rival")] == [1200.5, 1200.0, 1199.5]


def test_a_past_self_keeps_its_rating_when_it_falls_out_of_the_pool_while_it_plays():
    game = soccer(window=1, play_against_latest_model_ratio=0.0, k_factor=100.0)
    game.advance("Striker", learned=0, others=50, weights=policy(0))
    game.advance("Striker", learned=100, others=0, weights=policy(1))  # the window holds one: the first self is out
    assert playing(game, "Striker", 1) == 0.0
    game.finish("Striker", 0, 1.0)
    game.advance("Striker", learned=0, others=50, weights=policy(1))
    assert playing(game, "Striker", 1) == 1.0
    before = game.rating("Striker")
    game.finish("Striker", 0, 1.0)  # the self that was saved at 1200 has not lost to anyone yet
    assert game.rating("Striker") - before == pytest.approx(100 * (1 - expected_score(1250, 1200)))


def play_on(game: SelfPlay, steps: int) -> list[Any]:
    seen: list[Any] = []
    for number in range(steps):
        turn = game.advance("Striker", learned=40, others=30, weights=policy(100 + number))
        game.finish("Striker", game.learning_team or 0, [1.0, 0.0, -1.0][number % 3])
        seen.append((turn, playing(game, "Striker", 0), playing(game, "Striker", 1), game.rating("Striker")))
    return seen


def test_a_seed_repeats_and_another_one_differs():
    settings = {"team_change": 400, "k_factor": 16.0}
    assert play_on(soccer(1, **settings), 60) == play_on(soccer(1, **settings), 60)
    assert play_on(soccer(1, **settings), 60) != play_on(soccer(2, **settings), 60)


@pytest.mark.parametrize("steps", [0, 1, 7, 23])
def test_a_resumed_training_goes_on_exactly(steps):
    settings = {"team_change": 400, "k_factor": 16.0, "window": 3}
    whole = soccer(5, **settings)
    play_on(whole, steps)
    state, arrays = whole.state()
    resumed = soccer(99, **settings)
    resumed.set_state(json.loads(json.dumps(state)), load(save(arrays)))
    for team in (0, 1):
        resumed.meet("Striker", team, policy(-1))  # as the build announces its teams again
    assert play_on(resumed, 60) == play_on(whole, 60)


def test_a_state_of_another_training_is_refused():
    state, arrays = hide_and_seek().state()
    with pytest.raises(InvalidCheckpointError, match="self-play state does not fit"):
        soccer().set_state(state, arrays)
    with pytest.raises(InvalidCheckpointError, match="self-play state does not fit"):
        hide_and_seek().set_state(state, {})


@pytest.mark.parametrize(
    "settings",
    [
        {"save_steps": 0},
        {"swap_steps": -1},
        {"window": 0},
        {"team_change": 0},
        {"play_against_latest_model_ratio": 1.1},
    ],
)
def test_impossible_settings_are_refused_by_name(settings):
    (name,) = settings
    with pytest.raises(InvalidTrainingConfigError, match=f"self_play.{name}"):
        SelfPlaySettings(**settings)


def test_defaults_are_those_of_ml_agents():
    settings = SelfPlaySettings()
    assert (settings.save_steps, settings.steps_to_team_change, settings.swap_steps) == (20_000, 100_000, 2_000)
    assert (settings.window, settings.play_against_latest_model_ratio, settings.initial_elo) == (10, 0.5, 1200)
