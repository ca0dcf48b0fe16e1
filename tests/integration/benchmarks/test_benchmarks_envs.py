"""Each contestant that needs no environment of its own plays a short game. Nothing here looks at the time."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.envs.runs import Cell, contestants, run, seconds_per_exchange
from benchmarks.envs.slow_builds import measure_group

CELLS = [Cell.vector(2, 8), Cell.images(2, "png"), Cell.images(2, "floats")]
OWN = contestants(with_peers=False)


@pytest.mark.parametrize("contestant", OWN, ids=lambda one: one.name)
def test_a_contestant_plays(contestant) -> None:
    assert seconds_per_exchange(contestant, Cell.vector(30, 8), 0.05) > 0


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.title)
def test_our_client_plays_every_kind_of_cell(cell) -> None:
    ours = next(one for one in OWN if one.name == "ours")
    shares = run(ours, cell, ("--shares", "--seconds", "0.05"))
    assert 0 < shares["decoding"] < 1
    assert (shares["pictures"] > 0) == ("png" in cell.title)
    assert run(ours, cell, ("--exchanges", "60"))["exchanges"] >= 48


def test_the_png_library_plays_alone() -> None:
    decoder = replace(OWN[2], name="decoder")
    assert seconds_per_exchange(decoder, Cell.images(2, "png"), 0.05) > 0


def test_slow_builds_are_played_side_by_side(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.envs.slow_builds.SECONDS", 0.3)
    ours, ceiling = measure_group(2)
    assert ours > 0
    assert ceiling > 0


def test_what_went_wrong_is_told(tmp_path: Path) -> None:
    cell = Cell("no such option", 1, ("--agents", "many"))
    with pytest.raises(RuntimeError, match="ours, no such option"):
        run(OWN[2], cell, ("--seconds", "0.05"))
