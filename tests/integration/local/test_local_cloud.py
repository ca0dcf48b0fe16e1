"""`local up`, `down` and `status` as processes, with the real emulator. SAM and the SageMaker service are stand-ins."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.aws import client_arguments, isolated_session
from local.processes import kill, survivors
from tests.fakes.running_processes import is_there

REPOSITORY = Path(__file__).resolve().parents[3]
SECRET = "this-must-not-reach-a-function"

SAVE_SECONDS = 1.25
"""The emulator saves what has changed this often."""

SERVICE = """
import http.server, json, sys
config = json.load(open(sys.argv[2]))
server = http.server.ThreadingHTTPServer((config["host"], config["port"]), http.server.BaseHTTPRequestHandler)
server.serve_forever()
"""


class Checkout:
    """A checkout of its own: the room `local/`, a template, and stand-ins for what takes long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / ".gamedojo"
        shutil.copytree(
            REPOSITORY / "local", folder / "local", ignore=shutil.ignore_patterns("sagemaker", "__pycache__")
        )
        self.write("local/sagemaker/__init__.py", "")
        self.write("local/sagemaker/__main__.py", SERVICE)
        self.write("template.yaml", "Resources: {}\n")
        self.write("functions/requirements.txt", "")
        self.write("statemachine/train_and_deploy.asl.json", "{}")
        sam = REPOSITORY / "tests" / "fakes" / "sam_command.py"
        self.write("sam", f'#!/bin/sh\nexec {sys.executable} {sam} "$@"\n').chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GAMEDOJO_", "AWS_"))},
            "GAMEDOJO_SAM": str(folder / "sam"),
            "GAMEDOJO_LAMBDA_PYTHON": sys.executable,
            "AWS_PROFILE": SECRET,
            "MY_TOKEN": SECRET,
        }
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, exits: int = 0) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == exits, output
        return output

    def status(self) -> dict:
        process = self.start("status", "--json")
        output, _ = process.communicate(timeout=60)
        return json.loads(output)

    def client(self, service: str):
        connection = json.loads((self.state_dir / "connection.json").read_text())
        return isolated_session().client(service, **client_arguments(connection["endpoint_url"]))

    def assert_nothing_is_left(self) -> None:
        assert survivors(self.state_dir) == []
        assert not (self.state_dir / "cloud.json").exists()
        assert not (self.state_dir / "connection.json").exists()
        assert not (self.state_dir / "tmp").exists()
        ports = json.loads((self.state_dir / "ports.json").read_text())
        strays = [path for port in ports for path in Path(tempfile.gettempdir()).glob(f"ministack-*{port}*")]
        assert strays == []

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        kill(survivors(self.state_dir))


@pytest.fixture
def new_checkout(tmp_path: Path) -> Iterator[Callable[[str], Checkout]]:
    made: list[Checkout] = []

    def new(name: str) -> Checkout:
        made.append(Checkout(tmp_path / name))
        return made[-1]

    yield new
    for checkout in made:
        checkout.close()


@pytest.fixture
def checkout(new_checkout) -> Checkout:
    return new_checkout("checkout")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in 60 s"
        time.sleep(0.05)


def test_up_twice_down_twice_and_up_again_with_its_state(checkout: Checkout):
    first = checkout.run("up", "--detach")
    assert "Deploying" in first
    status = checkout.status()
    assert status["state"] == "up"
    assert status["connection"]["control_url"] in first
    assert status["connection"]["control_key"] in first
    checkout.client("s3").put_object(Bucket=status["connection"]["bucket"], Key="builds/a.zip", Body=b"zip")
    assert "up already" in checkout.run("up", "--detach")

    assert "no process of it is left" in checkout.run("down")
    checkout.assert_nothing_is_left()
    assert "No local cloud runs" in checkout.run("down")
    assert checkout.status()["state"] == "down"

    again = checkout.run("up", "--detach")
    assert "deployed already" in again
    assert checkout.status()["connection"] == status["connection"], "URLs and keys must survive a restart"
    kept = checkout.client("s3").get_object(Bucket=status["connection"]["bucket"], Key="builds/a.zip")
    assert kept["Body"].read() == b"zip"

    assert "gamedojo local down" in checkout.run("up", "--detach", "--fresh", exits=1)
    checkout.run("down")
    checkout.run("up", "--detach", "--fresh")
    listed = checkout.client("s3").list_objects_v2(Bucket=checkout.status()["connection"]["bucket"])
    assert listed["KeyCount"] == 0
    checkout.run("down")
    checkout.assert_nothing_is_left()


def test_services_see_nothing_of_the_user_and_nobody_outside_sees_them(checkout: Checkout):
    checkout.run("up", "--detach")
    for record in checkout.status()["processes"]:
        leader = psutil.Process(record["pid"])
        family = [leader, *leader.children(recursive=True)]
        for environment in (process.environ() for process in family):
            assert SECRET not in environment.values()
            assert environment["HOME"].startswith(str(checkout.state_dir))
            assert environment["TMPDIR"].startswith(str(checkout.state_dir))
        sockets = [each for process in family for each in process.net_connections("inet")]
        assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    checkout.run("down")


@pytest.mark.parametrize("failure", ["fail-build", "fail-deploy"])
def test_a_failed_deployment_says_why_and_leaves_nothing(checkout: Checkout, failure: str):
    checkout.write("sam-does", failure)
    output = checkout.run("up", "--detach", exits=1)
    assert f"fake sam was told to {failure}" in output
    assert "Traceback" not in output
    checkout.assert_nothing_is_left()


def test_a_service_that_does_not_start_says_why_and_leaves_nothing(checkout: Checkout):
    checkout.write("local/sagemaker/__main__.py", "raise SystemExit('no such image')")
    output = checkout.run("up", "--detach", exits=1)
    assert "no such image" in output
    checkout.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_up_ends_what_was_started(checkout: Checkout, number: signal.Signals):
    checkout.write("sam-does", "hang")
    up = checkout.start("up")
    wait_for((checkout.state_dir / "logs" / "sam-build.log").exists)
    up.send_signal(number)
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 130, output
    assert "nothing is left running" in output
    checkout.assert_nothing_is_left()


def test_down_ends_an_up_that_is_still_at_work(checkout: Checkout):
    checkout.write("sam-does", "hang")
    up = checkout.start("up", "--detach")
    wait_for((checkout.state_dir / "logs" / "sam-build.log").exists)
    assert checkout.status()["state"] == "starting or ending"
    assert "no process of it is left" in checkout.run("down")
    assert up.wait(timeout=60) == 130
    checkout.assert_nothing_is_left()


def test_what_a_killed_up_left_is_cleared_by_the_next(checkout: Checkout):
    checkout.write("sam-does", "hang")
    up = checkout.start("up")
    wait_for((checkout.state_dir / "logs" / "sam-build.log").exists)
    up.kill()
    up.wait()
    left = {process.pid for process in survivors(checkout.state_dir)}
    assert left, "the emulator and the service outlive a killed `up`"
    assert checkout.status()["state"] == "broken"
    (checkout.folder / "sam-does").unlink()
    checkout.run("up", "--detach")
    assert not left & {process.pid for process in survivors(checkout.state_dir)}
    checkout.run("down")
    checkout.assert_nothing_is_left()


def test_a_killed_emulator_shows_and_is_replaced(checkout: Checkout):
    checkout.run("up", "--detach")
    before = {process["name"]: process for process in checkout.status()["processes"]}
    service = psutil.Process(before["SageMaker service"]["pid"])
    psutil.Process(before["emulator"]["pid"]).kill()
    wait_for(lambda: checkout.status()["state"] == "broken")
    checkout.run("up", "--detach")
    after = {process["name"]: process for process in checkout.status()["processes"]}
    assert checkout.status()["state"] == "up"
    assert not is_there(service)
    assert after["SageMaker service"]["pid"] != before["SageMaker service"]["pid"]
    checkout.run("down")
    checkout.assert_nothing_is_left()


def test_what_a_killed_cloud_has_saved_is_there_again(checkout: Checkout):
    checkout.run("up", "--detach")
    tables = checkout.client("dynamodb")
    definition = {
        "TableName": "kept",
        "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    tables.create_table(**definition)
    tables.put_item(TableName="kept", Item={"key": {"S": "as it was"}})
    saved = checkout.state_dir / "emulator" / "state" / "dynamodb.json"
    wait_for(lambda: saved.is_file() and "as it was" in saved.read_text())
    assert kill(survivors(checkout.state_dir)) == []

    assert "deployed already" in checkout.run("up", "--detach")
    assert checkout.client("dynamodb").scan(TableName="kept")["Items"] == [{"key": {"S": "as it was"}}]
    checkout.run("down")
    checkout.assert_nothing_is_left()


def test_an_execution_that_the_last_cloud_cut_short_is_told_of_once(checkout: Checkout):
    checkout.run("up", "--detach")
    states = checkout.client("stepfunctions")
    waits = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
    made = states.create_state_machine(name="waits", definition=json.dumps(waits), roleArn="arn:aws:iam::0:role/any")
    states.start_execution(stateMachineArn=made["stateMachineArn"])
    checkout.run("down")
    assert "1 run was cut short" in checkout.run("up", "--detach")
    checkout.run("down")
    assert "cut short" not in checkout.run("up", "--detach")
    checkout.run("down")


def test_a_deployment_that_was_killed_half_way_is_begun_anew(checkout: Checkout):
    checkout.write("sam-does", "hang-in-deploy")
    up = checkout.start("up", "--detach")
    log = checkout.state_dir / "logs" / "sam-deploy.log"
    wait_for(lambda: log.is_file() and "half of it stands" in log.read_text())
    time.sleep(2 * SAVE_SECONDS)  # it must not be saved now
    up.kill()
    up.wait()
    kill(survivors(checkout.state_dir))
    assert not (checkout.state_dir / "emulator" / "state" / "cloudformation.json").exists()
    (checkout.folder / "sam-does").unlink()
    checkout.write("template.yaml", "Resources: {} # packed anew\n")
    assert "Deploying" in checkout.run("up", "--detach")
    checkout.run("down")


def test_a_killed_service_comes_back_at_its_port(checkout: Checkout):
    checkout.run("up", "--detach")
    (keeper,) = (each for each in checkout.status()["processes"] if each["name"] == "SageMaker service")
    (service,) = psutil.Process(keeper["pid"]).children()
    service.kill()

    def is_back() -> bool:
        return bool(set(psutil.Process(keeper["pid"]).children()) - {service}) and answers(keeper["port"])

    wait_for(is_back)
    assert checkout.status()["state"] == "up"
    log = (checkout.state_dir / "logs" / "sagemaker.log").read_text()
    assert "killed by signal 9" in log
    checkout.run("down")
    checkout.assert_nothing_is_left()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_service_does_not_outlive_its_keeper(checkout: Checkout):
    checkout.run("up", "--detach")
    (keeper,) = (each for each in checkout.status()["processes"] if each["name"] == "SageMaker service")
    (service,) = psutil.Process(keeper["pid"]).children()
    psutil.Process(keeper["pid"]).kill()
    wait_for(lambda: not is_there(service))
    assert checkout.status()["state"] == "broken"


def test_in_the_foreground_ctrl_c_ends_it(checkout: Checkout):
    up = checkout.start("up")
    wait_for(lambda: checkout.status()["state"] == "up")
    up.send_signal(signal.SIGINT)
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    assert "no process of it is left" in output
    checkout.assert_nothing_is_left()


def test_down_from_another_terminal_ends_the_foreground_too(checkout: Checkout):
    up = checkout.start("up")
    wait_for(lambda: checkout.status()["state"] == "up")
    checkout.run("down")
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    checkout.assert_nothing_is_left()


def test_in_the_foreground_a_process_that_dies_ends_it_all(checkout: Checkout):
    up = checkout.start("up")
    wait_for(lambda: checkout.status()["state"] == "up")
    psutil.Process(checkout.status()["processes"][1]["pid"]).kill()
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 1
    assert "SageMaker service has ended by itself" in output
    checkout.assert_nothing_is_left()


def test_two_checkouts_side_by_side(new_checkout):
    one, other = new_checkout("one"), new_checkout("other")
    starting = [one.start("up", "--detach"), other.start("up", "--detach")]
    for process in starting:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    ports = [{process["port"] for process in checkout.status()["processes"]} for checkout in (one, other)]
    assert not ports[0] & ports[1]
    one.run("down")
    one.assert_nothing_is_left()
    assert other.status()["state"] == "up"
    other.client("s3").list_buckets()
    other.run("down")
    other.assert_nothing_is_left()
