"""docs/request.schema.json: as the contract is, and of one mind with it."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.contracts.request import TrainingRequest
from pipeline.contracts.schema import request_schema, request_schema_text
from pipeline.contracts.validation import InvalidDocumentError
from pipeline.rules.run_options import read_request

DOCS = Path(__file__).parents[3] / "docs"
_BLOCKS = re.findall(r"```json\n(.*?)```", (DOCS / "requests.md").read_text("utf-8"), re.DOTALL)
EXAMPLES = [example for block in _BLOCKS if "code" not in (example := json.loads(block))]
"""The examples of requests; an answer's has a code."""

BUILD = {"build": {"key": "uploads/1/Game.zip"}}


def accepted_by_schema(document: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(request_schema()).is_valid(document))


def accepted_by_contract(document: dict[str, Any]) -> bool:
    try:
        read_request(TrainingRequest, json.dumps(document))
    except InvalidDocumentError:
        return False
    return True


def test_the_published_schema_is_the_contracts():
    """If this fails: `make schema`, and look at the difference."""
    assert (DOCS / "request.schema.json").read_text(encoding="utf-8") == request_schema_text()


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(request_schema())


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_in_the_documents_is_accepted(example):
    assert accepted_by_schema(BUILD | example)
    assert accepted_by_contract(BUILD | example)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hyperparameters": {"lr": 1, "lr_schedule": "constant"}},
        {"hyperparameters": {"rl.training.config.lr": 0.001, "rl.training.run": "PPO"}},
        {"mlagents": "behaviors: {Ball: {}}"},
        {"mlagents": {"behaviors": {"Ball": {"max_steps": 5}}}},
        {"network": {"memory": {"size": 64}}, "curiosity": {"kind": "icm"}, "self_play": None},
        {"environment": {"parameters": {"wind": {"sampler_type": "gaussian", "sampler_parameters": {}}}}},
        {"behaviors": {"Ball": {"stop": {"env_steps": 5}}}},
    ],
)
def test_what_both_accept(options):
    assert accepted_by_schema(BUILD | options)
    assert accepted_by_contract(BUILD | options)


@pytest.mark.parametrize(
    "options",
    [
        {"sead": 1},
        {"seed": -1},
        {"seed": "1"},
        {"hyperparameters": {"lr": 0}},
        {"hyperparameters": {"lr": "0.1"}},
        {"hyperparameters": {"learning_rate": 0.1}},
        {"network": {"activation": "elu"}},
        {"network": {"hidden_sizes": []}},
        {"curiosity": {"kind": "gail"}},
        {"environment": {"parameters": {"wind": {"sampler_type": "beta", "sampler_parameters": {}}}}},
        {"endpoint": {"memory_size_mb": 1000}},
        {"instances": {"instance_type": "m5.large"}},
        {"policy": "My Policy"},
        {"build": {}},
        {"mlagents": 3},
    ],
)
def test_what_both_refuse(options):
    assert not accepted_by_schema(BUILD | options)
    assert not accepted_by_contract(BUILD | options)


def test_a_request_must_name_its_build():
    assert not accepted_by_schema({})
