"""How the actors on a host learn where that host has put the build."""

import os
from dataclasses import dataclass
from pathlib import Path

from rl_src.envs.player import PlayerUser

_VARIABLE = "GAMEDOJO_HOST_"


@dataclass(frozen=True)
class HostBuild:
    """Where a host has unpacked the build, which is not the same place on each. Ray's environment there tells it."""

    executable: Path
    work_dir: Path
    run_as: PlayerUser | None = None

    def variables(self) -> dict[str, str]:
        """For the environment of Ray's processes."""
        told = {"EXECUTABLE": str(self.executable), "WORK_DIR": str(self.work_dir)}
        if self.run_as is not None:
            told["PLAYER"] = f"{self.run_as.uid}:{self.run_as.gid}:{self.run_as.home}"
        return {_VARIABLE + name: value for name, value in told.items()}

    @classmethod
    def from_environment(cls) -> "HostBuild":
        """In one of Ray's processes."""
        executable, work_dir = (Path(os.environ[_VARIABLE + name]) for name in ("EXECUTABLE", "WORK_DIR"))
        player = os.environ.get(_VARIABLE + "PLAYER")
        if not player:
            return cls(executable, work_dir)
        uid, gid, home = player.split(":", 2)
        return cls(executable, work_dir, PlayerUser(int(uid), int(gid), Path(home)))
