"""The base of all contracts."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

POLICY_NAME_PATTERN = r"^[a-z0-9](-?[a-z0-9]){0,39}$"
"""Lower-case letters, digits and single hyphens, at most 40: leaves room for prefix, suffix and version within the
63 characters of a SageMaker name (botocore: `EndpointName`, `^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`)."""

PolicyName = Annotated[str, StringConstraints(pattern=POLICY_NAME_PATTERN, max_length=40)]
RunId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](-?[a-z0-9]){0,49}$", max_length=50)]


class Contract(BaseModel):
    """Unknown fields are refused, types are not guessed, values do not change after reading."""

    # defer_build: built at its first use. A process needs few of the contracts that it imports, and a cold start waits.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, defer_build=True)
