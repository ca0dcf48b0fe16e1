"""How many cores this process may use: for builds, for threads that compute, for waiting without sleeping."""

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """Of its affinity, and of the container's quota, rounded up; at least 1."""
    affinity = len(os.sched_getaffinity(0))
    quota = quota_cores(
        _read(_CGROUP_V2), _read(_CGROUP_V1 / "cpu.cfs_quota_us"), _read(_CGROUP_V1 / "cpu.cfs_period_us")
    )
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def quota_cores(cpu_max: str, quota_us: str, period_us: str) -> float | None:
    """What the kernel's files say; None when there is no limit.

    Args:
        cpu_max: of cgroup version 2, "200000 100000" or "max 100000".
        quota_us: of version 1; -1 is no limit.
        period_us: of version 1.
    """
    parts = cpu_max.split() or [quota_us.strip(), period_us.strip()]
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        return None
    return int(parts[0]) / int(parts[1])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
