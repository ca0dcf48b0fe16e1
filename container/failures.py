"""Every failure as the text that SageMaker shows: `[Code] cause Remedy: remedy`."""

from typing import Protocol, runtime_checkable

_RESERVED = " Remedy: "


class ContainerError(Exception):
    """A failure of the job itself: its channels, its configuration."""

    def __init__(self, code: str, cause: str, remedy: str) -> None:
        self.code = code
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{cause} Remedy: {remedy}")


@runtime_checkable
class Explained(Protocol):
    """An error that says what is wrong and what to do: those of envs, training, evaluation and this container."""

    code: str
    cause: str
    remedy: str


def failure_text(error: BaseException, limit: int) -> str:
    """The failure file's content. A long cause (a player's log, say) is cut so that the remedy still fits."""
    if isinstance(error, MemoryError):
        code, cause, remedy = "OutOfMemory", "The job ran out of memory.", "Choose an instance type with more memory."
    elif isinstance(error, Explained):
        code, cause, remedy = error.code, error.cause, error.remedy
    else:
        code, cause = "Internal", f"{type(error).__name__}: {error}"
        remedy = "This is a fault on our side: see the job's log."
    room = limit - len(f"[{code}] ") - len(_RESERVED) - len(remedy)
    if len(cause) > room:
        cause = cause[: max(0, room - 2)] + " …"
    return f"[{code}] {cause}{_RESERVED}{remedy}"
