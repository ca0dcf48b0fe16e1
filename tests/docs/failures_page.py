"""docs/failures.md, made from what the code says of each failure: `make failures`.

    .venv/bin/python -m tests.docs.failures_page > docs/failures.md

It stands with the tests, since no room of the code may know the pipeline, the containers and the learning code at once.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipeline import errors
from pipeline.rules import job_failures
from rl_src.envs.errors import UnityEnvironmentError
from rl_src.training.errors import TrainingError
from rl_src.training.progress.health import RULES

HEAD = """# Failures

<!-- Written by `make failures` from what the code says of each failure. -->

A run that fails says so in its record (`failure`): a stable `code`, the state, the cause, a remedy, and whether the
same again may go well (`retryable`). The notification, `gamedojo watch` and the dashboard show the same words. Secrets
that a log may hold (keys, tokens, signatures of URLs) are made unreadable first.
[Troubleshooting](troubleshooting.md) starts from what you see; this page lists the codes. Where a run says more than
this page does, the cause is one of its own.

What is transient (throttling, a service that fails, a Lambda whose process ends) is tried again by the state machine
and never shown. A used-up quota is waited for: 40 tries, up to 15 minutes apart. [faults.md](faults.md) shows what
became of every call that went wrong in `make test-faults`.
"""

BY_CONTAINER = {
    "BuildHostLost": ("A host that played builds was lost, and could not be replaced.", "A redrive starts it again."),
    "ClusterNotStarted": ("Ray did not start on a host of a job of several.", "More memory, or one instance."),
    "HeadLost": ("The first host, which trains, was lost.", "See its log; a redrive goes on from the checkpoint."),
    "HeadUnreachable": ("The first host could not be joined.", "See its log."),
    "HostNotFound": ("A host's name has no address.", "Start the run again."),
    "HostsMissing": ("Some hosts did not join in time.", "See their logs."),
    "InvalidArtifact": ("The artifact to begin with, or to evaluate, cannot be used.", "Train it again."),
    "InvalidHosts": ("The job's hosts are not told.", "A job that is started by hand must name them."),
    "InvalidHyperparameters": ("The job was told something that is no setting.", "Correct the named hyperparameters."),
    "MissingChannel": ("A channel of the job holds no file, or several.", "Give it the one that is named."),
    "UnknownOrigin": (
        "The artifact to begin with is not the one that the earlier run recorded, or there is no record.",
        "Look who replaced it; train the earlier run again.",
    ),
    "BehaviorMissing": (
        "The build has shown no agent of a behavior that was trained.",
        "Train and evaluate on the same build, with the same arguments and environment parameters.",
    ),
    "EvaluationFailed": ("The build has agents of a behavior that was not trained.", "Evaluate on the same build."),
    "Stopped": ("The evaluation was stopped.", "Start it again."),
}
"""Codes that a container gives at one place of its code, where cause and remedy say more."""

NOT_SHOWN = {
    errors.ConflictError,
    errors.IdempotencyKeyReusedError,
    errors.InvalidObservationError,
    errors.ModelError,
    errors.PolicyAsleepError,
    errors.PolicyNotFoundError,
    errors.ReportNotFoundError,
    errors.RunNotFoundError,
    errors.StaleStateError,
    errors.UnsupportedMediaTypeError,
}
"""What only the APIs answer; errors.md has it."""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *_ends_of_jobs(), *_builds(), *_training(), *_container(), *_pipeline(), *_warnings()])


def subclasses(base: type) -> list[type]:
    """All below `base` that stand in its own module, by name: which others are loaded is chance."""
    found = {one for direct in base.__subclasses__() for one in (direct, *subclasses(direct))}
    return sorted((one for one in found if one.__module__ == base.__module__), key=lambda one: one.__name__)


def _ends_of_jobs() -> Iterator[str]:
    yield from (
        "## What ended a job",
        "",
        "A job that could write something says its own code (below). Of one that could not, the code is read from",
        "SageMaker's reason and the end of its log. `…` stands for the line that told it.",
        "",
        "| code | what it means | what to do | the same again |",
        "|---|---|---|---|",
    )
    known = [(one.code, one.cause, one.remedy) for one in (*job_failures._REASONS, *job_failures._LOG)]
    known += [(one.code, one.cause, one.remedy) for one in job_failures._EXITS.values()]
    told: set[tuple[str, str]] = set()
    for code, cause, remedy in sorted(known, key=lambda one: one[0]):
        if (code, remedy) not in told:
            told.add((code, remedy))
            again = "may go well" if code in job_failures.RETRYABLE else ""
            yield f"| `{code}` | {cause.format(line='…', what='…')} | {_shown(remedy)} | {again} |"
    yield ""


def _builds() -> Iterator[str]:
    yield "## The build"
    yield ""
    yield "Told by the job that plays it, with the end of the player's log where there is one."
    yield ""
    yield from _table(subclasses(UnityEnvironmentError), lambda one: one.default_remedy)


def _training() -> Iterator[str]:
    yield "## The training"
    yield ""
    yield from _table(subclasses(TrainingError), lambda one: one.default_remedy)


def _container() -> Iterator[str]:
    yield "## The job's own surroundings"
    yield ""
    yield "| code | what it means | what to do |"
    yield "|---|---|---|"
    for code, (cause, remedy) in sorted(BY_CONTAINER.items()):
        yield f"| `{code}` | {cause} | {remedy} |"
    yield ""


def _pipeline() -> Iterator[str]:
    yield "## The pipeline"
    yield ""
    yield "Steps between the jobs. `Internal` is a fault on our side: see the log of the step."
    yield ""
    shown = (*subclasses(errors.InputError), *subclasses(errors.StepFailedError))
    yield from _table([one for one in shown if one not in NOT_SHOWN], lambda one: one.default_remedy)


def _warnings() -> Iterator[str]:
    yield "## Warnings of a training"
    yield ""
    yield "They end no run. They stand in the training's log and its metrics, each once until it has cleared."
    yield ""
    yield "| code | what to do | with SAC |"
    yield "|---|---|---|"
    for rule in sorted(RULES, key=lambda rule: rule.code):
        yield f"| `{rule.code}` | {rule.remedy} | {rule.remedy_for_sac or ''} |"
    yield ""


def _table(kinds: Iterable[type], remedy: Callable[[Any], str]) -> Iterator[str]:
    yield "| code | what it means | what to do |"
    yield "|---|---|---|"
    for kind in kinds:
        meaning = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
        yield f"| `{kind.__name__.removesuffix('Error')}` | {meaning} | {_shown(remedy(kind))} |"
    yield ""


def _shown(text: str) -> str:
    """`<Name>` would be taken for a tag."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    sys.stdout.write(page())
