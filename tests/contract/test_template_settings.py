"""What the template gives to each function is what its settings class reads, no more and no less."""

import inspect

import pytest

from pipeline import settings
from pipeline.settings import Settings
from tests.fakes.expanded_template import resources, source

POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
FUNCTIONS = sorted(name for name, one in source()["Resources"].items() if one["Type"] == "AWS::Serverless::Function")


def given(function: str) -> dict[str, object]:
    variables: dict[str, object] = resources("AWS::Lambda::Function")[function]["Environment"]["Variables"]
    return variables


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_gets_the_variables_that_its_settings_read(function):
    wanted = getattr(settings, function.removesuffix("Function") + "Settings")
    assert set(given(function)) - POWERTOOLS == {name.upper() for name in wanted.fields()}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_powertools_is_told_its_names_everywhere(function):
    assert given(function).keys() >= POWERTOOLS
    assert given(function)["POWERTOOLS_SERVICE_NAME"] == "gamedojo"


def test_one_variable_means_the_same_in_every_function():
    meanings: dict[str, set[str]] = {}
    for function in FUNCTIONS:
        for name, value in given(function).items():
            meanings.setdefault(name, set()).add(str(value))
    assert {name for name, values in meanings.items() if len(values) > 1} == set()


def test_every_settings_class_belongs_to_a_function_or_is_a_base():
    classes = {
        name: kind
        for name, kind in inspect.getmembers(settings, inspect.isclass)
        if issubclass(kind, Settings) and kind is not Settings
    }
    used = {function.removesuffix("Function") + "Settings" for function in FUNCTIONS}
    bases = {base.__name__ for kind in classes.values() for base in kind.__mro__[1:]}
    assert set(classes) - used <= bases
