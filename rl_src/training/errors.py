"""What ends a training besides the build's own failures (`rl_src.envs.errors`).

TrainingError
├── UnsupportedBehaviorError     the build asks for something that is not trained yet
├── InvalidTrainingConfigError   settings that contradict each other or the build's specs
├── LearnerLostError             the process that learns has ended
├── TrainingDivergedError        loss or gradients are not finite any more
├── InvalidCheckpointError       a checkpoint that is incomplete, or of another behavior or network
├── InvalidDemonstrationError    a recording that cannot be read, or of another behavior
└── OnnxExportError              the exported policy does not answer as the trained one does

Each has `code`, `cause` and `remedy`, as the environment's errors have.
"""

from typing import Any, ClassVar


class TrainingError(Exception):
    """Base of all. `cause` is for a game developer; `remedy` says what to do."""

    default_remedy: ClassVar[str] = "See the job's log for details."

    def __init__(self, cause: str, remedy: str | None = None) -> None:
        self.cause = cause
        self.remedy = remedy if remedy is not None else self.default_remedy
        super().__init__(f"{cause} Remedy: {self.remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors of the learner's process travel to the trainer's."""
        return type(self), (self.cause, self.remedy), self.__dict__

    @property
    def code(self) -> str:
        """The stable code shown to users: the class name without its Error suffix."""
        return type(self).__name__.removesuffix("Error")


class UnsupportedBehaviorError(TrainingError):
    """The build asks for something that is not trained yet."""

    default_remedy = "Train a scene whose agents share one behavior name."


class InvalidTrainingConfigError(TrainingError):
    """Settings that contradict each other or the build's specs."""

    default_remedy = "Correct the named settings, or leave them out to have them derived."


class LearnerLostError(TrainingError):
    """The process that learns has ended."""

    default_remedy = "It may have run out of memory: use a smaller train_batch_size, or an instance with more of it."


class TrainingDivergedError(TrainingError):
    """Loss or gradients are not finite any more."""

    default_remedy = "Use a smaller lr, or scale the rewards down to single digits."


class InvalidCheckpointError(TrainingError):
    """A checkpoint that is incomplete, or of another behavior or network."""

    default_remedy = "Remove the checkpoint to start afresh, or continue with the settings that it was made with."


class InvalidDemonstrationError(TrainingError):
    """A recording that cannot be read, or of another behavior."""

    default_remedy = "Record it again with ML-Agents' Demonstration Recorder, in the scene that the build was made of."


class OnnxExportError(TrainingError):
    """The exported policy does not answer as the trained one does."""

    default_remedy = "This is a fault of the exporter: report it with the behavior's observation and action specs."
