"""Looking at processes that may end at any moment."""

import psutil


def is_there(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and was not waited for yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two
        return False


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Empty once it has ended."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def words_of(process: psutil.Process) -> list[str]:
    """Of its command line; none once it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
