"""Who may train now and who waits: one document for the whole stack, and what a run is told of it."""

from pydantic import Field

from pipeline.contracts.base import Contract, RunId


class Waiting(Contract):
    """A run that waits for its turn. Times are seconds since 1970."""

    run_id: RunId
    priority: int
    since: int
    seen: int = Field(description="when it asked last")


class Turns(Contract):
    """The runs whose turn it is, and those that wait."""

    holders: tuple[RunId, ...] = ()
    waiting: tuple[Waiting, ...] = ()


class Turn(Contract):
    """TakeTurn's word; `granted` is what the Choice reads."""

    granted: bool
    wait_seconds: int = Field(ge=1)
    asks: int = Field(default=0, ge=0, description="how often the run has asked in vain; the next answer counts on")
