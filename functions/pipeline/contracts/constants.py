"""Words and numbers of the contracts, for those that begin before pydantic could be imported."""

JSON = "application/json"
MSGPACK = "application/msgpack"

MAX_DIMENSIONS = 8
"""Of a tensor."""

LEAST_DIVISOR = 1e-30
"""Of a tensor: a smaller one would make numbers that float32 cannot hold of almost any."""

POLICY_NAME_PATTERN = r"^[a-z0-9](-?[a-z0-9]){0,39}$"
"""Lower-case letters, digits and single hyphens, at most 40: leaves room for prefix, suffix and version within the
63 characters of a SageMaker name (botocore: `EndpointName`, `^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`)."""
