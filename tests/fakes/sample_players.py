"""Sample builds for tests: packed and unpacked as a user's build is, started by the interpreter that runs the tests."""

import os
import sys
from pathlib import Path

import pytest

from rl_src.envs.build import unpack_build
from sample_builds.packer import pack


def unpacked(name: str, folder: Path) -> Path:
    """Pack and unpack the sample build `name`; its program."""
    return unpack_build(pack(name, folder), folder / name)


def use_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds are scripts for `python3` on the PATH; it must be one that has grpcio and protobuf."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
