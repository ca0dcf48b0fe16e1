"""What can go wrong when a policy is served.

ServingError
├── RequestError               the caller can mend it; `status` and `code` of the answer
│   ├── InvalidRequestError    400: the message names the sensor, what was expected and what was given
│   ├── StaleStateError        400: a memory of another version or behavior
│   ├── NotAcceptableError     406: an answer was asked for in a format that is not written
│   └── UnsupportedMediaError  415: a format that is not read
└── InvalidArtifactError       the model cannot be served: the container fails
"""


class ServingError(Exception):
    """Base of all."""


class RequestError(ServingError):
    """What the caller sent cannot be answered."""

    status = 400
    code = "InvalidRequest"


class InvalidRequestError(RequestError):
    """The request does not fit the policy; the message names the sensor, and the shape that is right."""


class StaleStateError(RequestError):
    """A state token of another version or behavior: the agent's memory has to begin anew."""

    code = "StaleState"


class NotAcceptableError(RequestError):
    """`Accept` names none of the formats that are written."""

    status = 406
    code = "NotAcceptable"


class UnsupportedMediaError(RequestError):
    """`Content-Type` names none of the formats that are read."""

    status = 415
    code = "UnsupportedMediaType"


class InvalidArtifactError(ServingError):
    """The artifact is incomplete, altered, or no policy."""
