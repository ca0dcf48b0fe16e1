"""A build of 4 GB is inspected by a few short reads in less than 256 MB, and so is a zip that is all directory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.sparse_zips import write_build, write_huge_directory, write_many_entries

ROOT = Path(__file__).parents[2]
GIGABYTE = 1024**3
PEAK_BYTES = 256 * 1024**2
INSPECT = """
import json, sys
from pathlib import Path
from pipeline.aws.objects import ObjectHead, ObjectStore
from pipeline.errors import BuildRejectedError
from pipeline.rules.inspection import inspect
from pipeline.rules.zip_directory import opened

class File(ObjectStore):
    # As S3: what is asked for by ranges, and nothing else.
    def __init__(self, path):
        super().__init__(None, "bucket")
        self.path, self.asked = path, []
    def head(self, key, version_id=None):
        return ObjectHead(size_bytes=self.path.stat().st_size, etag="", version_id=None)
    def read_range(self, key, start, length):
        self.asked.append(length)
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)

store = File(Path(sys.argv[1]))
size_bytes = store.head("key").size_bytes
try:
    with store.random_access("key") as file, opened(file, size_bytes) as archive:
        found = inspect(archive, "key", size_bytes).model_dump(mode="json")
except BuildRejectedError as error:
    found = {"cause": error.cause}
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak_bytes = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps(found | {"reads": len(store.asked), "read_bytes": sum(store.asked), "peak_bytes": peak_bytes}))
"""


def inspected(path: Path) -> dict[str, Any]:
    """In a process of its own, whose memory is then known. What was found, and what that took."""
    done = subprocess.run(
        [sys.executable, "-c", INSPECT, str(path)],
        env={"PYTHONPATH": str(ROOT / "functions")},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("gigabytes", [1, 4, 12])
def test_a_large_build_takes_a_few_short_reads(tmp_path: Path, gigabytes: int) -> None:
    found = inspected(write_build(tmp_path / "build.zip", gigabytes * GIGABYTE))
    assert (found["executable"], found["has_mlagents"]) == ("Game.x86_64", True)
    assert found["size_bytes"] > gigabytes * GIGABYTE
    assert found["unity_version"] == "2022.3.62f1"
    assert found["reads"] <= 20
    assert found["read_bytes"] <= 8 * 1024**2
    assert found["peak_bytes"] < PEAK_BYTES


def test_as_many_files_as_are_taken(tmp_path: Path) -> None:
    found = inspected(write_many_entries(tmp_path / "build.zip", 100_000))
    assert found["file_count"] == 100_000
    assert found["peak_bytes"] < PEAK_BYTES


def test_more_files_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    found = inspected(write_many_entries(tmp_path / "build.zip", 600_000))
    assert "more than 100,000 files" in found["cause"]
    assert found["peak_bytes"] < PEAK_BYTES


def test_a_directory_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    found = inspected(write_huge_directory(tmp_path / "build.zip", 3 * GIGABYTE))
    assert "directory is 3,221 MB; at most 67 MB" in found["cause"]
    assert found["read_bytes"] < 2 * 1024**2
    assert found["peak_bytes"] < PEAK_BYTES
