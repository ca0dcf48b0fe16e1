"""Where things are: API URLs, ports, state directories."""

import json
import socket
from pathlib import Path

import pytest

from local.connection import local_api_url
from local.emulator import emulator_environment
from local.errors import DeployError, SetupError
from local.ports import HOST, choose_ports, free_port
from local.sagemaker_process import service_config
from local.settings import LocalSettings


def test_an_api_url_becomes_the_emulators():
    aws = "https://8e737e45.execute-api.us-east-1.amazonaws.com/local"
    assert local_api_url(aws, "http://127.0.0.1:4566") == "http://127.0.0.1:4566/_aws/execute-api/8e737e45/local"


def test_another_url_is_refused():
    with pytest.raises(DeployError, match="example"):
        local_api_url("https://example.org/local", "http://127.0.0.1:4566")


def test_ports_are_kept_for_the_next_cloud(tmp_path: Path):
    first = choose_ports(tmp_path)
    assert len(set(first)) == 2
    assert choose_ports(tmp_path) == first


def test_a_port_that_somebody_took_is_left_to_them(tmp_path: Path):
    emulator_port, sagemaker_port = choose_ports(tmp_path)
    with socket.socket() as somebody:
        somebody.bind((HOST, emulator_port))
        somebody.listen()
        other_emulator_port, same_sagemaker_port = choose_ports(tmp_path)
    assert other_emulator_port not in (emulator_port, sagemaker_port)
    assert same_sagemaker_port == sagemaker_port


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["a", "b"]', "[null, null]", "not json"])
def test_a_broken_ports_file_is_no_obstacle(tmp_path: Path, text: str):
    (tmp_path / "ports.json").write_text(text)
    assert json.loads(json.dumps(choose_ports(tmp_path))) == json.loads((tmp_path / "ports.json").read_text())


def test_both_ports_differ_even_when_the_file_names_one_twice(tmp_path: Path):
    port = free_port()
    (tmp_path / "ports.json").write_text(json.dumps([port, port]))
    first, second = choose_ports(tmp_path)
    assert first == port != second


def test_everything_of_a_cloud_lies_in_its_state_directory(tmp_path: Path):
    settings = LocalSettings.from_environment({"GAMEDOJO_STATE_DIR": str(tmp_path)})
    for path in (
        settings.build_dir,
        settings.logs_dir,
        settings.temporary_dir,
        settings.home_dir,
        settings.connection_file,
    ):
        assert path.is_relative_to(tmp_path)


def test_without_a_variable_state_lies_in_the_checkout():
    settings = LocalSettings.from_environment({})
    assert settings.state_dir == settings.checkout / ".gamedojo"
    assert (settings.checkout / "local" / "cloud.py").is_file()


def test_a_missing_tool_is_named_with_the_way_to_get_it(tmp_path: Path):
    settings = LocalSettings.from_environment({"GAMEDOJO_SAM": str(tmp_path / "sam")})
    with pytest.raises(SetupError, match="make setup"):
        settings.check_tools()


def test_both_services_wait_at_one_scale(tmp_path: Path):
    settings = LocalSettings.from_environment({"GAMEDOJO_STATE_DIR": str(tmp_path), "GAMEDOJO_WAIT_SCALE": "0.01"})
    emulator = emulator_environment(settings, port=1, sagemaker_url="http://127.0.0.1:2")
    assert float(emulator["SFN_WAIT_SCALE"]) == service_config(settings, port=2)["time_scale"] == 0.01


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "quick", "nan"])
def test_a_scale_that_is_none_is_refused_by_name(text: str):
    with pytest.raises(SetupError, match="GAMEDOJO_WAIT_SCALE"):
        LocalSettings.from_environment({"GAMEDOJO_WAIT_SCALE": text})
