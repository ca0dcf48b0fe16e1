"""A run's states grouped into the steps that a person follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from gamedojo.models import HistoryEntry, Run

StepStatus = Literal["done", "active", "failed", "cancelled", "skipped", "pending"]

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Admit the run", ("Accepted", "AdmitRun")),
    ("Inspect the build", ("InspectBuild",)),
    ("Train", ("StartTraining", "CheckTraining")),
    ("Extract the checkpoint", ("ExtractCheckpoint",)),
    ("Evaluate", ("StartEvaluation", "CheckEvaluation")),
    ("Decide on promotion", ("DecidePromotion",)),
    ("Deploy the endpoint", ("DeployEndpoint", "CheckEndpoint")),
    ("Verify the endpoint", ("VerifyEndpoint",)),
    ("Finish", ("FinishRun",)),
)
"""The way of a run; `Accepted` is what the API says before the first state has begun.

A state that is not named here (a newer stack's) becomes a step of its own."""

_OCCASIONAL = {"TakeTurn": "Wait for its turn"}
"""States that are steps only in a run that was held up by them."""


@dataclass(frozen=True)
class Step:
    """One line of the list: what it is, how it stands, how long it took (None: not entered)."""

    label: str
    status: StepStatus
    seconds: float | None = None


def steps_of(run: Run, now: datetime | None = None) -> tuple[Step, ...]:
    """The run's steps in order, each with its status and duration up to `now`."""
    now = now or datetime.now(UTC)
    layout = _layout(run)
    labels = [label for label, _ in layout]
    step_of_state = {state: label for label, states in layout for state in states}
    present = step_of_state.get(run.state, "")
    entered = _entered(run.history, step_of_state)
    failed = step_of_state.get(run.failure.state, present) if run.failure else ""
    reached = max((labels.index(label) for label in [*entered, present] if label), default=-1)
    return tuple(
        Step(
            label=label,
            status=_status(
                run, label, failed, is_present=label == present, is_entered=_was_entered(label, entered, index, reached)
            ),
            seconds=_seconds(label, entered, run.finished_at or now),
        )
        for index, label in enumerate(labels)
    )


def present_step(run: Run) -> str:
    """The label of the step that the run is in; its bare state where there is none, as of one that is over."""
    return next((step.label for step in steps_of(run) if step.status == "active"), run.state)


def is_training(run: Run) -> bool:
    """True while the training job is to get on."""
    return not run.is_final and present_step(run) == "Train"


def has_trained(run: Run) -> bool:
    """True once the training job has ended well."""
    return any(step.label == "Train" and step.status == "done" for step in steps_of(run))


def _layout(run: Run) -> list[tuple[str, tuple[str, ...]]]:
    """The known steps, and unknown states of the run's history where they came."""
    layout = list(STEPS)
    position = 0
    for state in [*(entry.state for entry in run.history), run.state]:
        where = next((index for index, (_, states) in enumerate(layout) if state in states), None)
        if where is None and state:
            where = position + 1
            layout.insert(where, (_OCCASIONAL.get(state, state), (state,)))
        position = position if where is None else where
    return layout


def _entered(history: Sequence[HistoryEntry], step_of_state: dict[str, str]) -> dict[str, datetime]:
    """When each step was first entered, in time order."""
    entered: dict[str, datetime] = {}
    for entry in sorted(history, key=lambda entry: entry.at):
        entered.setdefault(step_of_state[entry.state], entry.at)
    return entered


def _was_entered(label: str, entered: dict[str, datetime], index: int, reached: int) -> bool:
    """Without a history, everything before the present state was passed through."""
    return label in entered if entered else index <= reached


def _status(run: Run, label: str, failed: str, *, is_present: bool, is_entered: bool) -> StepStatus:
    if run.has_failed and label == failed:
        return "failed"
    if run.was_cancelled and is_present:
        return "cancelled"
    if run.is_final:
        return "done" if is_entered else "skipped"
    if is_present:
        return "active"
    return "done" if is_entered else "pending"


def _seconds(label: str, entered: dict[str, datetime], end: datetime) -> float | None:
    """From the step's start to the start of the next one."""
    if label not in entered:
        return None
    following = [at for at in entered.values() if at > entered[label]]
    return max(0.0, (min(following, default=end) - entered[label]).total_seconds())
