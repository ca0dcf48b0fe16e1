"""Looking at processes that may end at any moment."""

import psutil


def is_there(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and was not waited for yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two
        return False
