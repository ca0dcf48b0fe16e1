"""Quotas as they refuse: so many at once, and so many a second."""

from dataclasses import dataclass


@dataclass
class AtOnce:
    """So many instances may be in use. Counts refusals, and the use over time."""

    limit: int
    used: int = 0
    most: int = 0
    refused: int = 0
    seconds: float = 0.0
    """Of all instances together, since the beginning."""
    _since: float = 0.0

    def take(self, now: float) -> bool:
        """Take one; False: the quota is used up."""
        if self.used >= self.limit:
            self.refused += 1
            return False
        self._count(now)
        self.used += 1
        self.most = max(self.most, self.used)
        return True

    def give(self, now: float) -> None:
        """Give one back."""
        if self.used == 0:
            raise ValueError("more instances were given back than taken")
        self._count(now)
        self.used -= 1

    def _count(self, now: float) -> None:
        self.seconds += self.used * (now - self._since)
        self._since = now


@dataclass
class ASecond:
    """A token bucket: `rate` calls a second in the long run, `burst` at once."""

    rate: float
    burst: float
    refused: int = 0
    _tokens: float | None = None
    _since: float = 0.0

    def take(self, now: float) -> bool:
        """Take one; False: throttled."""
        known = self.burst if self._tokens is None else self._tokens
        self._tokens = min(self.burst, known + self.rate * (now - self._since))
        self._since = now
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        return True
