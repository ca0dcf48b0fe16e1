"""Sequences: every row once, in order, none across two stretches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rl_src.training.algorithms.sequences import PADDING, sequence_rows


def test_stretches_are_cut_and_padded():
    assert sequence_rows([3, 2, 4], 2).tolist() == [[0, 1], [2, PADDING], [3, 4], [5, 6], [7, 8]]
    assert sequence_rows([], 4).shape == (0, 4)


def test_sequences_are_no_longer_than_the_longest_stretch():
    assert sequence_rows([3, 2], 8).tolist() == [[0, 1, 2], [3, 4, PADDING]]


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(1, 12))
def test_every_row_comes_once_and_stays_with_its_stretch(lengths, length):
    rows = sequence_rows(lengths, length)
    found = rows[rows != PADDING]
    assert found.tolist() == list(range(sum(lengths)))
    stretch = np.repeat(np.arange(len(lengths)), lengths)
    for sequence in rows:
        real = sequence[sequence != PADDING]
        assert len(real) > 0
        assert len({*stretch[real].tolist()}) == 1
        assert (sequence[len(real) :] == PADDING).all()
    assert rows.shape[1] == min(length, max(lengths, default=length))
