"""Ray's processes on this host, started by `ray start` below a supervisor, so that nothing of them outlives us.

The supervisor is the players' (`rl_src/envs/supervisor.py`): it ends all of Ray when we close its pipe, or are gone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from container.failures import ContainerError
from rl_src.envs import supervisor
from rl_src.envs.player import fitted

_STARTED = "Ray runtime started"
_TAIL_LINES = 6
_TAIL_CHARACTERS = 400
_END_SECONDS = 20.0


class RayNode:
    """One `ray start --block`. Close it, or use it as a context manager.

    Args:
        arguments: for `ray start`, beside those that every node has.
        address: this host's.
        variables: added to the environment of Ray's processes, and of the actors on this host.
        token: whoever does not have it is refused by all of the cluster's servers. They listen on all of the host's
            addresses, which Ray does not let us choose.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        address: str,
        token: str,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        # Ray's sockets lie in it; their paths may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="gd-ray-"))
        self._output = self._folder / "ray-start.log"
        watch = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(self._folder), "-", "-"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={address}"]
        command += [f"--temp-dir={self._folder}", "--disable-usage-stats", "--include-log-monitor=false", "--block"]
        try:
            with self._output.open("ab") as output:
                self.process = subprocess.Popen(
                    [*watch, *command, *arguments],
                    stdin=subprocess.PIPE,  # held open by us, and by us only
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    env={**os.environ, **variables, **token_variables(token)},
                    start_new_session=True,
                )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> "RayNode":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_alive(self) -> bool:
        """Whether Ray runs on this host; `ray start` ends when one of its processes does."""
        return self.process.poll() is None

    def wait_until_started(self, give_up: Callable[[], bool]) -> bool:
        """Whether Ray came up; false when it ended, or `give_up`, asked five times a second, was true before."""
        while not self._has_started():
            if give_up() or not self.is_alive():
                return False
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        return self.is_alive()

    def output(self) -> str:
        """The end of what `ray start` printed; empty when it is gone."""
        try:
            lines = self._output.read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return fitted([line for line in lines if line.strip()][-_TAIL_LINES:], _TAIL_CHARACTERS)

    def close(self) -> None:
        """End Ray on this host. May be called twice."""
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its child has PR_SET_PDEATHSIG, and Ray's processes end with theirs
            self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _has_started(self) -> bool:
        try:
            return _STARTED in self._output.read_text("utf-8", "replace")
        except OSError:
            return False


def token_variables(token: str) -> dict[str, str]:
    """What Ray's processes, and drivers, need in their environment to be let in."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}


def not_started(host: str, output: str) -> ContainerError:
    """The error of a Ray that does not come up, or has ended."""
    return ContainerError(
        "ClusterNotStarted",
        f"Ray did not start, or ended, on {host}: {output or 'it printed nothing'}",
        "See the job's log; an instance with more memory, or instances.instance_count = 1, may do.",
    )
