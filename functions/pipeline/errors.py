"""The exception tree. State machine `Retry` and `Catch` go by these names.

PipelineError
├── InputError                       the user can mend it; never retried
│   ├── InvalidRequestError          a request, or gamedojo.json in a zip, breaks its contract
│   ├── BuildRejectedError           the object cannot be trained on (no zip, no executable, …)
│   ├── BuildNotFoundError           the named object does not exist
│   ├── EnvironmentNotMirroredError  the named environment of a registry is not in the bucket
│   ├── RunNotFoundError
│   ├── ReportNotFoundError          the run was not evaluated, or not yet
│   ├── PolicyNotFoundError
│   ├── PolicyAsleepError            its idle endpoint was taken down
│   ├── ConflictError                it does not go together with how the run or policy stands
│   ├── IdempotencyKeyReusedError    the key of another request
│   ├── UnsupportedMediaTypeError    a body in a format that is not read
│   ├── InvalidObservationError      an observation does not fit the policy's spec
│   └── StaleStateError              an agent's memory, kept by the caller, is of another version of its policy
├── TransientError                   worth another try after a pause; Retry lists these
│   ├── ThrottledError
│   ├── ServiceUnavailableError
│   ├── CapacityError                ResourceLimitExceeded: queue, do not fail
│   ├── LeaseHeldError               another run is deploying this policy
│   ├── ModelNotReadyError           the endpoint is there but does not serve yet
│   └── NotYetConsistentError        a resource that was just created is not visible yet
└── StepFailedError                  a job or endpoint ended badly; final for this attempt
    ├── TrainingFailedError
    ├── EvaluationFailedError
    ├── DeploymentFailedError
    ├── VerificationFailedError      the endpoint answers otherwise than the evaluation did
    ├── ArtifactInvalidError         model.tar.gz is incomplete or altered
    ├── ModelError                   the endpoint's container failed on a request
    ├── DeadlineExceededError        our own bound on a wait
    ├── ExecutionEndedError          the execution ended beside FinishRun
    └── RunEndedError                a state found that its run is over: it was cancelled
"""

from typing import ClassVar, Final

_LONGEST_CAUSE: Final = 4000
"""Names of a zip or a request stand in causes, and the state machine ends a run without FinishRun above 256 KiB."""


class PipelineError(Exception):
    """Base of all. `cause` is for a game developer; `remedy` says what to do."""

    default_remedy: ClassVar[str] = "See the run's log for details."

    def __init__(self, cause: str, remedy: str | None = None) -> None:
        self.cause = cause if len(cause) <= _LONGEST_CAUSE else f"{cause[:_LONGEST_CAUSE]} …"
        self.remedy = remedy if remedy is not None else self.default_remedy
        super().__init__(f"{self.cause} Remedy: {self.remedy}")

    @classmethod
    def code(cls) -> str:
        """The stable code shown to users: the class name without its Error suffix."""
        return cls.__name__.removesuffix("Error")


class InputError(PipelineError):
    """The user can mend it; never retried."""


class InvalidRequestError(InputError):
    """A request, or gamedojo.json in a zip, breaks its contract."""

    default_remedy = "Correct the named fields and send the request again."


class BuildRejectedError(InputError):
    """The object cannot be trained on."""

    default_remedy = "Upload a zip of a Linux x86-64 Unity build that contains ML-Agents."


class BuildNotFoundError(InputError):
    """The named object does not exist."""

    default_remedy = "Upload the build first and name its key exactly."


class EnvironmentNotMirroredError(InputError):
    """An environment of a registry is named that was not mirrored into the stack's bucket."""

    default_remedy = "Mirror it once, from a machine with internet or from a folder: gamedojo registry mirror."


class RunNotFoundError(InputError):
    """No run has this id."""

    default_remedy = "List the runs to find the id."


class ReportNotFoundError(InputError):
    """The run was not evaluated, or not yet."""

    default_remedy = "Wait for the run's evaluation to end; of a run that failed before, look at its cause."


class PolicyNotFoundError(InputError):
    """No policy of this name is in service."""

    default_remedy = "Train and deploy the policy first."


class ConflictError(InputError):
    """What is asked for does not go together with how things stand."""

    default_remedy = "Look at the run or policy, and ask for what is possible now."


class InvalidObservationError(InputError):
    """An observation does not fit the policy's spec."""

    default_remedy = "Send observations of the shapes in the policy's spec."


class IdempotencyKeyReusedError(InputError):
    """An `Idempotency-Key` came again with another request."""

    default_remedy = "Send another key with another request; the same key belongs to one request, word for word."


class UnsupportedMediaTypeError(InputError):
    """The body's `Content-Type` names a format that is not read."""

    default_remedy = "Send application/json, or application/msgpack to the predict API."


class StaleStateError(InputError):
    """An agent's memory is of another version of its policy, or of another behavior."""

    default_remedy = "Send null as the agent's state: its memory begins anew, as at an episode's start."


class TransientError(PipelineError):
    """Worth another try after a pause."""

    default_remedy = "Nothing to do: it is tried again."


class ThrottledError(TransientError):
    """AWS asked us to slow down."""


class ServiceUnavailableError(TransientError):
    """An AWS service failed on its side."""


class CapacityError(TransientError):
    """An account quota is used up for now (ResourceLimitExceeded)."""

    default_remedy = "Wait for other jobs to end, or ask AWS for a higher quota."


class LeaseHeldError(TransientError):
    """Another run is deploying this policy."""


class PolicyAsleepError(InputError):
    """The policy's idle endpoint was taken down."""

    default_remedy = "Wake it with the control API (POST /policies/{policy}/wake), and ask again in some minutes."


class ModelNotReadyError(TransientError):
    """The endpoint is there but does not serve yet."""


class NotYetConsistentError(TransientError):
    """A resource that was just created is not visible yet."""


class StepFailedError(PipelineError):
    """A job or endpoint ended badly; final for this attempt."""


class TrainingFailedError(StepFailedError):
    """The training job failed or was stopped."""


class EvaluationFailedError(StepFailedError):
    """The evaluation job failed or was stopped."""


class DeploymentFailedError(StepFailedError):
    """The endpoint did not come into service."""


class VerificationFailedError(StepFailedError):
    """The endpoint answers otherwise than the evaluation did."""


class ArtifactInvalidError(StepFailedError):
    """model.tar.gz is incomplete or altered."""


class ModelError(StepFailedError):
    """The endpoint's container failed on a request."""


class DeadlineExceededError(StepFailedError):
    """A wait took longer than our own bound."""


class ExecutionEndedError(StepFailedError):
    """The run's execution ended without FinishRun: stopped by somebody, timed out, or lost."""

    default_remedy = "Start the run again, unless it was stopped on purpose."


class RunEndedError(StepFailedError):
    """A state found that its run is over: somebody has cancelled it."""

    default_remedy = "Start a new run."
