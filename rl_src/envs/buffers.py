"""Memory for observations, allocated once.

A batch of images is close to a megabyte; memory of that size goes back to the system when it is freed, and every
exchange would fetch it anew, page by page. So arrays are lent, and lent again as soon as nobody holds them any more.
Whoever keeps an array keeps it for good: nothing writes to it while it is referred to.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np

from rl_src.envs.batches import FloatArray

_SMALL_BYTES = 64 * 1024
"""Below, the allocator's own free lists are as quick."""

_MOST_KEPT = 4


class ObservationBuffers:
    """Arrays [rows, *shape] of float32 for one sensor; their contents are left over from before."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._row_bytes = 4 * math.prod(self._shape)
        self._kept: list[FloatArray] = []

    def take(self, rows: int) -> FloatArray:
        """An array that is referred to nowhere else."""
        if rows * self._row_bytes < _SMALL_BYTES:
            return np.empty((rows, *self._shape), np.float32)
        for position in range(len(self._kept)):
            if _references(self._kept, position) == _UNUSED and len(self._kept[position]) >= rows:
                return self._kept[position][:rows]
        self._kept = [np.empty((rows, *self._shape), np.float32), *self._kept[: _MOST_KEPT - 1]]
        # A view, never the array itself: views count as references to the array that owns the memory.
        return self._kept[0][:rows]


def _references(arrays: list[FloatArray], position: int) -> int:
    return sys.getrefcount(arrays[position])


_UNUSED = _references([np.empty(0, np.float32)], 0)
"""What CPython counts for an array that only the list holds."""
