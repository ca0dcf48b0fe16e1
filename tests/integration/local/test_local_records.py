"""The record of a running cloud, and its lock between real processes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local.errors import BusyError
from local.processes import ProcessRecord
from local.records import CloudRecord, exclusive, lock_owner, read_record, remove_record, write_private, write_record

HOLDER = """
import sys, time
from pathlib import Path
from local.records import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_record_is_read_as_it_was_written(tmp_path: Path):
    record = CloudRecord(started_at=1.5).with_process(ProcessRecord("emulator", 12, 3.25, 4566))
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    remove_record(tmp_path)
    assert read_record(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": [{"pid": 1}]}', '{"processes": [], "who": 1}'])
def test_a_broken_record_counts_as_none(tmp_path: Path, text: str):
    (tmp_path / "cloud.json").write_text(text)
    assert read_record(tmp_path) is None


def test_keys_are_written_for_their_owner_alone(tmp_path: Path):
    write_private(tmp_path / "connection.json", "{}")
    assert stat.S_IMODE((tmp_path / "connection.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["connection.json"]


def test_one_command_at_a_time(tmp_path: Path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock_owner(tmp_path) == holder.pid
        with pytest.raises(BusyError, match=str(holder.pid)), exclusive(tmp_path, wait_seconds=0):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    # killed, it could not clean up: the lock is free all the same
    assert lock_owner(tmp_path) is None
    with exclusive(tmp_path, wait_seconds=0):
        assert (tmp_path / "lock").read_text() == str(os.getpid())
