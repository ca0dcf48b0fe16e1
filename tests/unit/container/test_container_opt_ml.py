"""/opt/ml, and how failures are told."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.failures import ContainerError, failure_text
from container.opt_ml import OptMl


def test_the_tree_can_be_moved() -> None:
    assert OptMl.from_environment({}).root == Path("/opt/ml")
    assert OptMl.from_environment({"SAGEMAKER_BASE_DIR": "/elsewhere"}).model == Path("/elsewhere/model")


def test_hyperparameters_are_a_map_of_strings(tmp_path: Path) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps({"seed": "1"}))
    assert OptMl(tmp_path).hyperparameters() == {"seed": "1"}
    (config / "hyperparameters.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(ContainerError, match="no map of strings"):
        OptMl(tmp_path).hyperparameters()


def test_missing_hyperparameters_are_named(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match=r"hyperparameters\.json cannot be read"):
        OptMl(tmp_path).hyperparameters()


def test_hosts_come_from_the_resource_configuration(tmp_path: Path) -> None:
    assert OptMl(tmp_path).hosts() == ("algo-1", ("algo-1",))
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "b", "hosts": ["a", "b"]}))
    assert OptMl(tmp_path).hosts() == ("b", ("a", "b"))


@pytest.mark.parametrize("names", [[], ["a.zip", "b.zip"], ["a.txt"]])
def test_a_channel_needs_just_one_file(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "input" / "data" / "build"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    with pytest.raises(ContainerError, match="channel 'build'"):
        OptMl(tmp_path).channel_file("build", ".zip")


@given(st.text(max_size=3000), st.text(max_size=100))
def test_the_remedy_survives_a_cause_of_any_length(cause: str, remedy: str) -> None:
    text = failure_text(ContainerError("Code", cause, remedy), 1024)
    assert len(text) <= 1024
    assert text.startswith("[Code] ")
    assert text.endswith(f" Remedy: {remedy}")


def test_an_unforeseen_error_is_said_to_be_ours() -> None:
    assert failure_text(KeyError("x"), 1024).startswith("[Internal] KeyError: 'x' Remedy: This is a fault on our side")


def test_out_of_memory_is_said_as_such() -> None:
    assert failure_text(MemoryError(), 1024).startswith("[OutOfMemory]")
