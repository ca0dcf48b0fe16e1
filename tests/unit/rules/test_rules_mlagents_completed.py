"""Trainer files beside what ML-Agents 1.1.0 makes of them: both must mean the same to us.

tests/data/mlagents_trainer_files.json holds random files, and each as `RunOptions.from_dict(file).as_dict()` of
`mlagents.trainers.settings` completes it: with every default written out, and the default settings laid under each
behavior. So what we take for ML-Agents' defaults is held against its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.rules.mlagents_settings import read_trainer_file

PAIRS = json.loads((Path(__file__).parents[2] / "data" / "mlagents_trainer_files.json").read_text(encoding="utf-8"))


def meaning(document: dict[str, Any]) -> dict[str, Any]:
    """The options but for goal conditioning, which we leave open where the file does."""
    options, _ = read_trainer_file(document)
    for part in (options, *options.get("behaviors", {}).values()):
        part.get("network", {}).pop("goal_conditioning", None)
    return options


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_a_file_means_what_ml_agents_makes_of_it(number):
    assert meaning(PAIRS[number]["file"]) == meaning(PAIRS[number]["completed"])


def test_the_pairs_have_what_is_easily_got_wrong():
    text = json.dumps([pair["file"] for pair in PAIRS])
    for name in ("default_settings", "learning_rate_schedule", "encoding_size", "self_play", "memory", "curriculum"):
        assert name in text
