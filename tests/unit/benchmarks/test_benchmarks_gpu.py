"""What `make bench-gpu` says where there is no GPU, and how its goals are judged. No figure is measured here."""

import sys

import pytest
import torch

from benchmarks import report
from benchmarks.gpu import __main__ as bench
from benchmarks.gpu.cells import BEHAVIOR, EPOCHS, Cell
from benchmarks.gpu.ours import config_of


def test_without_a_gpu_it_says_so_measures_nothing_and_fails(monkeypatch, capsys):
    before = report.RESULTS.read_bytes()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu"])
    assert bench.main() == bench.NO_GPU != 0
    assert "finds no GPU on this machine" in capsys.readouterr().err
    assert report.RESULTS.read_bytes() == before


@pytest.mark.parametrize(("ours", "reached"), [([50.0, 70.0, 40.0], True), ([49.0, 70.0, 40.0], False)])
def test_the_goal_is_half_of_the_bare_loop_by_the_median_round(ours, reached):
    cell = Cell("cuda", 1024, 16_384)
    rates = {"ours": ours, "bare loop": [100.0] * 3, "bare loop, one CNN": [200.0] * 3, "ours, CPU": [10.0] * 3}
    (goal,) = bench.goals_of({cell: rates})
    assert goal.name == "1,024, float32: 0.5 of the bare loop"
    assert goal.reached is reached
    table, _ = bench.body_of({cell: rates}).split("\n\n", 1)
    assert "x CPU" in table.splitlines()[0]


@pytest.mark.parametrize("cell", [*bench.CELLS, bench.CPU_CELL])
def test_what_is_measured_is_what_a_request_would_be_resolved_to(cell):
    resolved = config_of(cell)
    settings = resolved.ppo
    assert (settings.device, settings.precision) == (cell.device, cell.precision)
    assert (settings.minibatch_size, settings.train_batch_size, settings.num_epochs) == (
        cell.minibatch,
        cell.batch,
        EPOCHS,
    )
    assert resolved.network.image_encoder == "nature_cnn"
    assert BEHAVIOR.observations[0].is_image
