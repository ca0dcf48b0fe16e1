"""Stretches of episodes, cut into sequences for a policy with memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PADDING = -1


def sequence_rows(lengths: Sequence[int], length: int) -> NDArray[np.int64]:
    """Which rows make which sequence.

    Args:
        lengths: rows of each stretch; the stretches lie one behind the other.
        length: of the longest sequence.

    Returns:
        [S, T], T being `length`, or the longest stretch where that is shorter: row numbers, `PADDING` behind the end
        of a stretch. Every row comes once; no sequence crosses from one stretch into another.
    """
    length = min(length, max(lengths, default=length))
    pieces, start = [], 0
    for rows in lengths:
        padded = -(-rows // length) * length
        numbers = np.full(padded, PADDING, dtype=np.int64)
        numbers[:rows] = np.arange(start, start + rows)
        pieces.append(numbers.reshape(-1, length))
        start += rows
    return np.concatenate(pieces) if pieces else np.empty((0, length), dtype=np.int64)
