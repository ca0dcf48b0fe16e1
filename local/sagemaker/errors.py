"""What the service answers when it cannot do what is asked; codes and words are those of AWS.

ApiError                      -> an answer of the API
├── ValidationError           400 ValidationException (control plane) or ValidationError (runtime)
├── SerializationError        400 a member of the wrong JSON type
├── UnknownOperationError     400
├── NotImplementedLocallyError 501 a real feature that is not here: said loudly, never ignored
├── ResourceNotFoundError     400 ResourceNotFound (modelled)
├── ResourceInUseError        400 ResourceInUse (modelled)
├── ResourceLimitExceededError 400 ResourceLimitExceeded (modelled)
├── ThrottlingError           429 a serverless endpoint beyond its MaxConcurrency
├── RateExceededError         400 ThrottlingException of the control plane
├── AccessDeniedError         400 AccessDeniedException
├── ObjectNotFoundError       400 application-autoscaling: no such target or policy
├── ContentTooLargeError      413
├── ModelError                424 the container failed
├── ServiceUnavailableError   503 no process of the endpoint is healthy
└── InternalError             500
ConfigError                   the service's own config is wrong
JobFailedError                a training job cannot go on; its text becomes FailureReason
LostConnectionError           the fault plan: the client gets no answer
DeploymentFailedError         an endpoint's process did not come up; its text becomes FailureReason
"""

from typing import Any, ClassVar


class ApiError(Exception):
    """Base of all answers; `extra` are members beside the message."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extra = extra


class ValidationError(ApiError):
    """The request breaks the model, or names what is not there."""

    code = "ValidationException"
    status = 400


class SerializationError(ApiError):
    """A member has the wrong JSON type."""

    code = "SerializationException"
    status = 400


class UnknownOperationError(ApiError):
    """SageMaker has no such operation."""

    code = "UnknownOperationException"
    status = 400


class NotImplementedLocallyError(ApiError):
    """SageMaker has it, this service does not."""

    code = "NotImplementedLocally"
    status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not implemented by the local service.")


class ResourceNotFoundError(ApiError):
    """A training job that does not exist."""

    code = "ResourceNotFound"
    status = 400


class ResourceInUseError(ApiError):
    """A name that is taken."""

    code = "ResourceInUse"
    status = 400


class ResourceLimitExceededError(ApiError):
    """A service quota is used up."""

    code = "ResourceLimitExceeded"
    status = 400


class ThrottlingError(ApiError):
    """A serverless endpoint beyond its MaxConcurrency."""

    code = "ThrottlingException"
    status = 429


class RateExceededError(ApiError):
    """Too many calls of an operation."""

    code = "ThrottlingException"
    status = 400


class AccessDeniedError(ApiError):
    """The caller may not do this."""

    code = "AccessDeniedException"
    status = 400


class ObjectNotFoundError(ApiError):
    """A scalable target or scaling policy that does not exist."""

    code = "ObjectNotFoundException"
    status = 400


class ContentTooLargeError(ApiError):
    """A body beyond the real-time limit; SageMaker sends no error type with it, so clients see the code 413."""

    code = ""
    status = 413


class ModelError(ApiError):
    """The container answered with an error, or not at all."""

    code = "ModelError"
    status = 424


class ServiceUnavailableError(ApiError):
    """No process of the endpoint is healthy."""

    code = "ServiceUnavailable"
    status = 503


class InternalError(ApiError):
    """A fault of this service."""


class ConfigError(Exception):
    """The service's own config is wrong."""


class JobFailedError(Exception):
    """A training job cannot go on; the text becomes FailureReason."""


class LostConnectionError(Exception):
    """The fault plan breaks the connection: the client gets no answer."""


class DeploymentFailedError(Exception):
    """An endpoint's process did not come up; the text becomes FailureReason."""
