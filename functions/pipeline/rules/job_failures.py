"""Which of the usual causes ended a job: from what SageMaker says of it, and the end of the job's log.

Our own containers say what is wrong as `[Code] cause Remedy: remedy` (container/failures.py), and that is taken as it
is. The rest is what happens before they run, around them, or to them. The first pattern that fits decides, so that what
is particular stands before what is general.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

CODED = re.compile(r"\[(?P<code>[A-Za-z0-9]+)\] (?P<cause>.*?) Remedy: (?P<remedy>.*)", re.DOTALL)
"""What `container/` writes to /opt/ml/output/failure, wherever SageMaker puts it into FailureReason."""

_EXIT_CODE = re.compile(r",? ?exit code: (?P<code>\d+)\s*$")
"""SageMaker appends it to what the container wrote."""

_QUOTED = 300


class JobFailure(NamedTuple):
    """A job's failure in words. `retryable`: the same again may go well."""

    code: str
    cause: str
    remedy: str
    retryable: bool = False


class _Known(NamedTuple):
    code: str
    pattern: str
    cause: str
    """`{line}` is the line that told it, `{what}` the pattern's group of that name."""
    remedy: str
    retryable: bool = False


_LARGER = "Choose a larger instances.instance_type, or a smaller environment.num_builds."
_AGAIN = "Start the run again."

_REASONS = (
    # SageMaker's own words in FailureReason (developer guide, "Troubleshooting"; API reference, DescribeTrainingJob).
    _Known(
        "Capacity",
        r"^CapacityError|Insufficient ?Capacity",
        "AWS has no machine of this type free: {line}",
        "Start the run again later, choose another instances.instance_type, or set instances.spot to the other value.",
        True,
    ),
    _Known("Platform", r"^InternalServerError|internal error", "SageMaker failed on its side: {line}", _AGAIN, True),
    _Known(
        "ImagePull",
        r"(?:CannotPullContainer|pull(?:ing)? (?:the )?(?:image|model container)|ECR image|RepositoryNotFound)",
        "The training image could not be fetched: {line}",
        "Push the image again, and look whether the stack's TrainingImageUri names it.",
    ),
    _Known(
        "StorageAccess",
        r"(?:AccessDenied|Access Denied|403 Forbidden|does not have permission)",
        "The job may not reach what it needs: {line}",
        "Deploy the stack again; if a policy of your organization or a bucket policy forbids it, allow the job's role.",
    ),
    _Known(
        "DiskFull",
        r"(?:No space left on device|Errno 28|disk (?:is )?full|out of disk space)",
        "The machine's disk is full: {line}",
        "Raise instances.volume_size_gb.",
    ),
    _Known(
        "NoData",
        r"(?:No S3 objects found|NoSuchKey|DataNotFound|not found in S3)",
        "What the job was to read is gone: {line}",
        "Upload the build again and start a new run.",
    ),
)

_LOG = (
    # Words of torch, Linux, Python, Unity and the dynamic loader, as they stand in a job's log.
    _Known(
        "GpuOutOfMemory",
        r"(?:CUDA out of memory|CUDNN_STATUS_ALLOC_FAILED|OutOfMemoryError: CUDA)",
        "The GPU ran out of memory: {line}",
        "Lower hyperparameters.minibatch_size or the network's size, or choose a larger GPU.",
    ),
    _Known(
        "OutOfMemory",
        r"(?:MemoryError|Cannot allocate memory|Out of memory|oom-kill|std::bad_alloc|^Killed$)",
        "The job ran out of memory: {line}",
        _LARGER,
    ),
    _Known(
        "DiskFull",
        r"(?:No space left on device|Errno 28)",
        "The machine's disk is full: {line}",
        "Raise instances.volume_size_gb.",
    ),
    _Known(
        "MissingLibrary",
        r"error while loading shared libraries: (?P<what>[^:\s]+)",
        "The library {what} is missing on the training machine.",
        "Put it into the build's folder, or build without the plug-in that needs it.",
    ),
    _Known(
        "WrongPlatform",
        r"(?:Exec format error|cannot execute binary file)",
        "The program is not for Linux on x86-64: {line}",
        "In Unity choose Linux and x86_64 as target, and zip the folder.",
    ),
    _Known(
        "NoDisplay",
        r"(?:Failed to create .*graphics|Failed to initialize graphics|No supported renderers|unable to open display)",
        "The build wants a display: {line}",
        "Set environment.graphics to true, or remove the cameras and effects that need one.",
    ),
    _Known(
        "NoAgents",
        r"(?:Couldn't connect to trainer|no behaviou?rs?|never connected)",
        "The build did not take part in training: {line}",
        "Add ML-Agents with an agent whose behavior type is Default, and build again.",
    ),
    _Known(
        "NonFinite",
        r"(?:NaN|non-finite|not finite)",
        "Numbers stopped being finite: {line}",
        "Look for divisions by zero in rewards and observations; lower hyperparameters.lr.",
    ),
    _Known(
        "BuildException",
        r"(?P<what>\w*(?:NullReference|MissingReference|IndexOutOfRange|Argument)\w*Exception\b.*)",
        "The game threw an exception: {what}",
        "Mend it where the log says, and build again.",
    ),
    _Known(
        "BuildCrashed",
        r"(?:Segmentation fault|SIGSEGV|Caught fatal signal|Aborted \(core dumped\)|=+ OUTPUTTING STACK TRACE)",
        "The build crashed: {line}",
        "Play it on a Linux desktop first; the log holds its last words.",
    ),
)

_EXITS = {
    # 128 + signal (POSIX shells); SIGKILL inside a job is the kernel's out-of-memory killer.
    137: JobFailure("OutOfMemory", "The job was killed, most likely out of memory.", _LARGER),
    139: JobFailure("BuildCrashed", "The job crashed (SIGSEGV).", "See the job's log in CloudWatch Logs."),
    143: JobFailure("Interrupted", "The job was asked to end (SIGTERM) and did.", _AGAIN, True),
}

RETRYABLE = frozenset(
    {known.code for known in (*_REASONS, *_LOG) if known.retryable}
    | {failure.code for failure in _EXITS.values() if failure.retryable}
)
"""Codes of failures of which the same again may go well."""


def is_explained(reason: str) -> bool:
    """Whether the container has said what is wrong, so that nobody needs to look into the log."""
    return CODED.search(reason) is not None


def job_failure(reason: str, log: str = "") -> JobFailure:
    """What ended a job.

    Args:
        reason: SageMaker's FailureReason; may be empty.
        log: the end of the job's log; may be empty.
    """
    if match := CODED.search(reason):
        remedy = _EXIT_CODE.sub("", match["remedy"]).strip()
        return JobFailure(match["code"], match["cause"], remedy, match["code"] in RETRYABLE)
    ended = _EXIT_CODE.search(reason)
    by_exit = _EXITS.get(int(ended["code"])) if ended else None
    return (
        _found(_REASONS, reason.splitlines())
        or _found(_LOG, reason.splitlines())
        or _coded_in(log)
        or _found(_LOG, log.splitlines()[::-1])  # what was said last is nearest to the end
        or by_exit
        or _unknown(_EXIT_CODE.sub("", reason).strip(), log)
    )


def _coded_in(log: str) -> JobFailure | None:
    """The container prints its failure, too; SageMaker may cut FailureReason short."""
    lines = [line for line in log.splitlines() if CODED.search(line)]
    return job_failure(lines[-1]) if lines else None


def _found(table: tuple[_Known, ...], lines: Sequence[str]) -> JobFailure | None:
    for known in table:
        for line in lines:
            if match := re.search(known.pattern, line):
                told = {"line": line, **match.groupdict()}
                words = {name: _shortened(text.strip()) for name, text in told.items()}
                return JobFailure(known.code, known.cause.format(**words), known.remedy, known.retryable)
    return None


def _unknown(reason: str, log: str) -> JobFailure:
    said = [line.strip() for line in log.splitlines() if line.strip()]
    last = f" The last line of its log: {_shortened(said[-1])}" if said else ""
    cause = (reason or "The job failed without saying why.") + last
    return JobFailure("", cause, "See the job's log in CloudWatch Logs.")


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]} …"
