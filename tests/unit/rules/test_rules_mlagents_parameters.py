"""Environment parameters of ML-Agents trainer files."""

import pytest
import yaml

from pipeline.contracts.job import Environment
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.rules.mlagents_settings import read_trainer_file


def read(text: str):
    document = {"behaviors": {"Ball": {}}, "environment_parameters": yaml.safe_load(text)}
    options, notes = read_trainer_file(document)
    environment = read_document(Environment, options["environment"])
    return environment.model_dump(mode="json")["parameters"], {note.setting for note in notes}


def problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        read(text)
    return {problem.field.removeprefix("environment_parameters."): problem.message for problem in caught.value.problems}


def test_numbers_stay_floats():
    parameters, notes = read("{gravity: 9, scale: 2e-1}")
    assert parameters == {"gravity": 9.0, "scale": 0.2}
    assert all(isinstance(value, float) for value in parameters.values())
    assert notes == set()


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("uniform", "{min_value: 1, max_value: 2}", {"min_value": 1.0, "max_value": 2.0}),
        ("uniform", "{}", {"min_value": 0.0, "max_value": 1.0}),
        ("gaussian", "{mean: 4, st_dev: .3}", {"mean": 4.0, "st_dev": 0.3}),
        ("multirangeuniform", "{intervals: [[7, 10], [15, 20]]}", {"intervals": [[7.0, 10.0], [15.0, 20.0]]}),
    ],
)
def test_samplers(kind, written, expected):
    parameters, _ = read(f"mass: {{sampler_type: {kind}, sampler_parameters: {written}}}")
    assert parameters == {"mass": {"sampler_type": kind, "sampler_parameters": expected}}


CURRICULUM = """
wall:
  curriculum:
    - name: low
      completion_criteria: {measure: progress, behavior: Ball, signal_smoothing: true, min_lesson_length: 100,
                            threshold: 0.1}
      value: {sampler_type: uniform, sampler_parameters: {min_value: 0.0, max_value: 4.0}}
    - name: high
      value: 8.0
"""


def test_a_curriculum():
    parameters, notes = read(CURRICULUM)
    low, high = parameters["wall"]["curriculum"]
    assert low["completion_criteria"]["behavior"] == "Ball"
    assert low["completion_criteria"]["threshold"] == 0.1
    assert low["value"]["sampler_type"] == "uniform"
    assert (high["name"], high["value"], high["completion_criteria"]) == ("high", 8.0, None)
    assert notes == set()


def test_an_end_of_the_last_lesson_is_left_out_and_told():
    text = CURRICULUM + "      completion_criteria: {behavior: Ball, threshold: 1}\n"
    parameters, notes = read(text)
    assert parameters["wall"]["curriculum"][1]["completion_criteria"] is None
    assert notes == {"environment_parameters.wall.curriculum.1.completion_criteria"}


def test_as_ml_agents_saves_a_configuration():
    """configuration.yaml in the results folder: each parameter a curriculum of one lesson, each number a sampler."""
    parameters, notes = read(
        """
        gravity:
          curriculum:
          - value: {sampler_type: constant, sampler_parameters: {seed: -1, value: 9.81}}
            name: gravity
            completion_criteria: null
        """
    )
    assert parameters == {"gravity": 9.81}
    assert notes == set()


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("a: {sampler_type: unifrom, sampler_parameters: {}}", "a.sampler_type", "did you mean 'uniform'?"),
        ("a: {sampler_parameters: {}}", "a.sampler_type", "missing"),
        ("a: {sampler_type: uniform}", "a.sampler_parameters", "missing"),
        ("a: {sampler_type: uniform, sampler_parameters: {min: 1}}", "a.sampler_parameters.min", "min_value"),
        ("a: {sampler_type: multirangeuniform, sampler_parameters: {intervals: [1]}}",
         "a.sampler_parameters.intervals", "pairs"),
        ("a: red", "a", "must be a number"),
        ("a: {curriculum: []}", "a.curriculum", "list of lessons"),
        ("a: {curriculum: [{value: 1}]}", "a.curriculum.0.name", "missing"),
        ("a: {curriculum: [{name: x, value: 1, completion_criteria: {}}, {name: y, value: 1}]}",
         "a.curriculum.0.completion_criteria.behavior", "missing"),
        ("a: {curriculum: [{name: x, value: 1, completion_criteria: {behavior: B, measure: elo}}]}",
         "a.curriculum.0.completion_criteria.measure", "progress"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text, field, said):
    assert said in problems(text)[field]


def test_a_lesson_without_an_end_before_another_is_refused():
    found = problems("a: {curriculum: [{name: x, value: 1}, {name: y, value: 2}]}")
    assert "completion_criteria" in " ".join(found.values())


def test_a_range_turned_round_is_refused():
    found = problems("a: {sampler_type: uniform, sampler_parameters: {min_value: 2, max_value: 1}}")
    assert "min_value" in " ".join(found.values())


def test_a_samplers_own_seed_is_told():
    _, notes = read("a: {sampler_type: gaussian, sampler_parameters: {seed: 4}}")
    assert notes == {"environment_parameters.a.sampler_parameters.seed"}
