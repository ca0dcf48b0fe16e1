"""The base of all contracts."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from pipeline.contracts.constants import POLICY_NAME_PATTERN

PolicyName = Annotated[str, StringConstraints(pattern=POLICY_NAME_PATTERN, max_length=40)]
RUN_ID_PATTERN = r"^[a-z0-9](-?[a-z0-9]){0,49}$"
RunId = Annotated[str, StringConstraints(pattern=RUN_ID_PATTERN, max_length=50)]


class Contract(BaseModel):
    """Unknown fields are refused, types are not guessed, values do not change after reading."""

    # defer_build: built at its first use. A process needs few of the contracts that it imports, and a cold start waits.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, defer_build=True)
