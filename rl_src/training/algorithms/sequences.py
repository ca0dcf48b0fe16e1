"""Stretches of episodes, cut into sequences of one length for a policy with memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PADDING = -1


def sequence_rows(lengths: Sequence[int], length: int) -> NDArray[np.int64]:
    """Which rows make which sequence.

    Args:
        lengths: rows of each stretch; the stretches lie one behind the other.
        length: T, of each sequence.

    Returns:
        [S, T]: row numbers, `PADDING` behind the end of a stretch. Every row comes once; no sequence crosses from one
        stretch into another.
    """
    pieces, start = [], 0
    for rows in lengths:
        padded = -(-rows // length) * length
        numbers = np.full(padded, PADDING, dtype=np.int64)
        numbers[:rows] = np.arange(start, start + rows)
        pieces.append(numbers.reshape(-1, length))
        start += rows
    return np.concatenate(pieces) if pieces else np.empty((0, length), dtype=np.int64)
