"""A clock on which nothing takes time but what says so."""

import heapq
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count

Process = Generator[float, None, None]
"""Yields the seconds until it goes on."""


@dataclass
class Clock:
    """Plays processes side by side, in the order of their moments; of equals, who was there first."""

    now: float = 0.0
    _due: list[tuple[float, int, Process]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    def begin(self, process: Process, moment: float) -> None:
        """Let a process begin at a moment, in seconds; not before now."""
        heapq.heappush(self._due, (max(moment, self.now), next(self._order), process))

    def play(self) -> None:
        """Until every process has ended."""
        while self._due:
            self.now, _, process = heapq.heappop(self._due)
            pause = next(process, None)
            if pause is not None:
                self.begin(process, self.now + pause)
