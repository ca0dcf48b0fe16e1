"""The JSON Schema of a training request, made from its contract: `make schema` writes docs/request.schema.json.

The schema says what the contract's types say. What a contract checks across fields (that a lesson before the last one
ends, say) it does not: the API's word is the last.
"""

import json
import sys
from typing import Any

from pipeline.contracts.request import TrainingRequest

_FLAT: dict[str, Any] = {
    "description": "the same by the names of SageMaker RL: rl.training.config.*, rl.training.stop.*, rl.training.run",
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"pattern": r"^rl\.training\."},
}


def request_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the body of `POST /training-runs`."""
    schema = TrainingRequest.model_json_schema()
    with_flat_hyperparameters(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def with_flat_hyperparameters(schema: dict[str, Any]) -> None:
    """Let a request's schema take the names of SageMaker RL too; they are made others before the contract reads."""
    properties = schema["properties"]
    properties["hyperparameters"] = {"anyOf": [properties["hyperparameters"], _FLAT]}


def request_schema_text() -> str:
    """As it lies in docs/."""
    return json.dumps(request_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(request_schema_text())
