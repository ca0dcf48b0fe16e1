"""Settings: each handler reads its own variables, and says which one is missing."""

import inspect

import pytest

from pipeline import settings
from pipeline.settings import InvalidSettingError, MissingSettingError, Settings

CLASSES = [
    kind for _, kind in inspect.getmembers(settings, inspect.isclass) if issubclass(kind, Settings) and kind.fields()
]


def environment(kind: type[Settings]) -> dict[str, str]:
    return {name.upper(): "15" for name in kind.fields()}


@pytest.mark.parametrize("kind", CLASSES)
def test_variables_become_fields_of_their_own_types(kind: type[Settings]) -> None:
    read = kind.from_environment({**environment(kind), "SOMETHING_ELSE": "x"})
    assert {name: str(value) for name, value in vars(read).items()} == dict.fromkeys(kind.fields(), "15")
    assert {name for name, value in vars(read).items() if isinstance(value, str)} == {
        name for name, form in kind.fields().items() if form is str
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_each_variable_is_missed_by_its_name(kind: type[Settings]) -> None:
    for name in environment(kind):
        without = environment(kind) | {name: ""}
        with pytest.raises(MissingSettingError) as missing:
            kind.from_environment(without)
        assert str(missing.value) == f"{kind.__name__} needs the environment variables {name}"


def test_settings_are_made_whole_or_not_at_all() -> None:
    assert settings.RunSettings(bucket_name="b", runs_table="r").runs_table == "r"
    for values in ({"bucket_name": "b"}, {"bucket_name": "b", "runs_table": "r", "more": "m"}):
        with pytest.raises(TypeError, match=r"RunSettings takes each of its fields and no others: (runs_table|more)$"):
            settings.RunSettings(**values)


def test_all_that_are_missing_are_named_at_once() -> None:
    with pytest.raises(MissingSettingError, match=r"BUCKET_NAME, RUNS_TABLE$"):
        settings.RunSettings.from_environment({})


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5"])
def test_a_number_must_be_one(value: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"POLL_MIN_SECONDS is '{value}'; a whole number from 1 to"):
        settings.CheckEndpointSettings.from_environment({"RUNS_TABLE": "t", "POLL_MIN_SECONDS": value})


def test_the_process_environment_is_read_when_asked_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNS_TABLE", "one")
    assert settings.TurnSettings.from_environment().turns_table == "one"
    monkeypatch.setenv("TURNS_TABLE", "two")
    assert settings.TurnSettings.from_environment().turns_table == "two"
