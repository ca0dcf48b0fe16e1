"""What a view is."""

from types import TracebackType
from typing import Protocol, Self

from gamedojo.errors import GamedojoError
from gamedojo.models import MetricsSeries, Run


class WatchView(Protocol):
    """Shows the records of runs. A context manager: leaving it leaves the terminal in order."""

    wants_series: bool
    """Whether `learn` is of use."""

    def show(self, run: Run) -> None:
        """Take in the next record of a run."""

    def learn(self, series: MetricsSeries) -> None:
        """Take in the series of a run that was shown before; it replaces an earlier one."""

    def trouble(self, error: GamedojoError | None) -> None:
        """The API is out of reach; None: it is back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
