"""What can go wrong when a policy is served.

ServingError
├── InvalidRequestError    the caller can mend it: 400
└── InvalidArtifactError   the model cannot be served: the container fails
"""


class ServingError(Exception):
    """Base of both."""


class InvalidRequestError(ServingError):
    """The request does not fit the policy; the message names the sensor, and the shape that is right."""


class InvalidArtifactError(ServingError):
    """The artifact is incomplete, altered, or no policy."""
