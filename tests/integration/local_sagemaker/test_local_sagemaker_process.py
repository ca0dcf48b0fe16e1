"""The service as a process of its own: how it starts, and that nothing is left of it, however it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.fakes.running_processes import words_of
from tests.fakes.sagemaker_cloud import BUCKET, Cloud, config_document
from tests.fakes.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[3]
DAEMON = "86398.5"


class Process:
    """`python -m local.sagemaker` in a folder of its own; started again, it finds what it left."""

    def __init__(self, folder: Path, emulator_url: str, **changes: object) -> None:
        self.folder = folder
        self.port_file = folder / "port"
        self.port_file.unlink(missing_ok=True)
        config = folder / "config.json"
        document = config_document(folder, emulator_url, port_file=str(self.port_file), **changes)
        config.write_text(json.dumps(document))
        self.log = folder / "service.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.sagemaker", "--config", str(config)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(lambda: self.port_file.exists() and self.port_file.read_text(), "the service answers")
        self.cloud = Cloud(emulator_url, f"http://127.0.0.1:{self.port_file.read_text()}", folder)

    def containers(self) -> list[psutil.Process]:
        """Every process that has this service's folder in its environment or is our daemon."""
        found = []
        for process in psutil.process_iter():
            try:
                base = process.environ().get("SAGEMAKER_BASE_DIR", "")
                if base.startswith(str(self.folder)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def temporary_folders(self) -> list[Path]:
        return [link.readlink() for link in (self.folder / "sagemaker" / "scratch").glob("*/tmp")]


@pytest.fixture
def start(tmp_path: Path, emulator_url: str) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start_one(**changes: object) -> Process:
        started.append(Process(tmp_path, **{"emulator_url": emulator_url, **changes}))
        return started[-1]

    yield start_one
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
        try:
            each.process.wait(60)
        finally:
            each.process.kill()


def busy(service: Process) -> list[Path]:
    """A job with a daemon, and an endpoint, at work; returns the folders of their temporary files."""
    service.cloud.endpoint("served")
    service.cloud.train("job", {"on_term": "ignore", "until": "/never", "daemon": DAEMON})
    service.cloud.settled("served")

    def sleeping() -> bool:
        return any(DAEMON in words_of(process) for process in service.containers())

    wait_for(sleeping, "the job has started its daemon")
    folders = service.temporary_folders()
    assert len(folders) == 2
    return folders


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_leaves_nothing(start: Callable[..., Process], number: signal.Signals):
    service = start()
    folders = busy(service)
    service.process.send_signal(number)
    assert service.process.wait(60) == 0, service.log.read_text()
    assert service.containers() == []
    assert list((service.folder / "sagemaker" / "scratch").iterdir()) == []
    assert not [folder for folder in folders if folder.exists()]


def test_killed_it_leaves_nothing_either(start: Callable[..., Process]):
    service = start()
    folders = busy(service)
    service.process.kill()
    service.process.wait()
    wait_for(lambda: service.containers() == [], "its containers are gone")
    scratch = service.folder / "sagemaker" / "scratch"
    wait_for(lambda: not list(scratch.iterdir()), "their folders are gone")
    wait_for(lambda: not [folder for folder in folders if folder.exists()], "their temporary files are gone")


def test_killed_with_its_supervisors_the_next_one_clears_up(start: Callable[..., Process]):
    service = start()
    folders = busy(service)
    supervisors = [each for each in service.containers() if any("supervisor.py" in word for word in words_of(each))]
    assert len(supervisors) == 2
    for process in (*supervisors, psutil.Process(service.process.pid)):
        process.suspend()  # so that none of them sees the others go
    for process in (*supervisors, psutil.Process(service.process.pid)):
        process.kill()
    service.process.wait()
    wait_for(lambda: len(service.containers()) == 1, "only the daemon is left")
    old = {process.pid for process in service.containers()}
    again = start()
    assert old.isdisjoint(process.pid for process in again.containers())
    assert not [folder for folder in folders if folder.exists()]


def test_a_killed_supervisor_ends_its_job(start: Callable[..., Process]):
    service = start()
    busy(service)
    command_lines = {process: words_of(process) for process in service.containers()}
    for process, words in command_lines.items():
        if "supervisor.py" in " ".join(words) and words[-1] == "train":
            process.kill()
    described = service.cloud.ended("job")
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].endswith("exit code: 137")
    assert not [process for process in service.containers() if DAEMON in words_of(process)]


def test_started_again_it_remembers_fails_what_ran_and_serves_what_served(start: Callable[..., Process]):
    first = start()
    busy(first)
    first.cloud.train("done")
    first.cloud.ended("done")
    first.process.kill()
    first.process.wait()
    wait_for(lambda: first.containers() == [], "its containers are gone")

    again = start()
    assert again.cloud.described("done")["TrainingJobStatus"] == "Completed"
    interrupted = again.cloud.described("job")
    assert interrupted["TrainingJobStatus"] == "Failed"
    assert "local service ended" in interrupted["FailureReason"]
    assert again.cloud.settled("served")["EndpointStatus"] == "InService"
    assert again.cloud.invoke("served")["document"]["model"] == "served-1"
    with pytest.raises(again.cloud.sagemaker.exceptions.ResourceInUse):
        again.cloud.train("done")


def test_killed_it_goes_on_with_a_spot_job_and_stops_what_was_to_stop(start: Callable[..., Process]):
    first = start()
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/killed/checkpoints"},
    }
    first.cloud.train("spot", {"resume": "1"}, **spot)
    first.cloud.train("stopping", {"on_term": "ignore", "until": "/never", "print": "begun"})
    wait_for(lambda: first.cloud.keys("killed/checkpoints"), "the checkpoint is in S3")
    wait_for(lambda: "begun" in first.cloud.log_lines("/aws/sagemaker/TrainingJobs", "stopping/"), "it has begun")
    first.cloud.sagemaker.stop_training_job(TrainingJobName="stopping")
    first.process.kill()
    first.process.wait()

    again = start()
    assert again.cloud.described("stopping")["TrainingJobStatus"] == "Stopped"
    assert again.cloud.ended("spot")["TrainingJobStatus"] == "Completed"
    assert again.cloud.phases("spot").count("Interrupted") == 1
    assert again.cloud.artifact("spot")["resumed"] == b"from the first instance"


def test_an_update_that_the_end_of_the_service_cut_off_is_rolled_back_and_said(start: Callable[..., Process]):
    first = start()
    first.cloud.endpoint("updating")
    first.cloud.settled("updating")
    first.cloud.plan({"kind": "failing_ping", "resource": "updating", "times": None})
    first.cloud.sagemaker.update_endpoint(
        EndpointName="updating", EndpointConfigName=first.cloud.endpoint_config("updating-2")
    )
    assert first.cloud.endpoint_status("updating") == "Updating"
    first.process.kill()
    first.process.wait()
    (first.folder / "sagemaker" / "faults.json").unlink()

    again = start()
    described = again.cloud.settled("updating")
    assert described["EndpointConfigName"] == "updating-1"
    assert "ended during the update" in described["FailureReason"]
    assert again.cloud.invoke("updating")["document"]["model"] == "updating-1"


def test_it_listens_on_the_loopback_interface_only(start: Callable[..., Process]):
    service = start()
    service.cloud.endpoint("served")
    service.cloud.settled("served")
    for process in (psutil.Process(service.process.pid), *service.containers()):
        listening = [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
        assert {each.laddr.ip for each in listening} <= {"127.0.0.1"}


def test_without_the_emulator_it_works_on_and_says_so(start: Callable[..., Process]):
    service = start(emulator_url="http://127.0.0.1:9")
    service.cloud.train("alone", {"print": "hello"})
    described = service.cloud.ended("alone")
    assert described["FailureReason"].startswith("ClientError: Artifact upload failed")
    wait_for(lambda: "the emulator cannot be reached" in service.log.read_text(), "the service says so")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "Cannot read the config"), ('{"prot": 1}', "prot"), ('{"images": {}}', "state_dir")]
)
def test_a_wrong_config_ends_it_with_a_word(tmp_path: Path, text: str, said: str):
    config = tmp_path / "config.json"
    config.write_text(text)
    finished = subprocess.run(
        [sys.executable, "-m", "local.sagemaker", "--config", str(config)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_taken_port_ends_it_with_a_word(start: Callable[..., Process], tmp_path: Path, emulator_url: str):
    service = start()
    port = int(service.port_file.read_text())
    config = tmp_path / "second.json"
    config.write_text(json.dumps(config_document(tmp_path / "second", emulator_url, port=port)))
    finished = subprocess.run(
        [sys.executable, "-m", "local.sagemaker", "--config", str(config)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1
    assert "cannot start" in finished.stderr
    with pytest.raises(ClientError):
        service.cloud.described("nobody")
