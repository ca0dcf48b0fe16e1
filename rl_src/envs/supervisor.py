"""Parent of one player process. Run by path with `python -I -S`: standard library only, quick to start.

    supervisor.py <parent pid> <temporary folder or -> <uid or -> <gid or -> <program> [argument …]

It stands between trainer and player so that whatever happens to the trainer, SIGKILL included, nothing of the player
is left: its standard input is a pipe that the trainer holds; when that ends, or the trainer is no longer the parent,
the player's whole process group is killed and its temporary folder removed. It has one thread, which PR_SET_PDEATHSIG
wants (that signal comes when the parent's *thread* ends, prctl(2)), and it stays privileged while the player may be
dropped to another user.

Standard output has two lines: `player <pid>` at once, and how it ended: `exited <code>`, `signalled <number>`,
`refused <errno>` or `abandoned`. The first lets the trainer clean up after a supervisor that was killed itself.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CHECK_MILLISECONDS = 1000
_FAILED_TO_EXEC = 127
STATUS_FD = 1


def _prctl(option: int, value: int) -> None:
    # Linux only; elsewhere the pipe alone has to do.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _become_player(supervisor: int, uid: str, gid: str, errors: int, command: list[str]) -> None:
    """In the child: never returns."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if uid != "-":
            os.setgroups([])
            os.setgid(int(gid))
            os.setuid(int(uid))
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # After the change of user, which would clear it.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(_FAILED_TO_EXEC)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD, signal.SIGTERM])
        devnull = os.open(os.devnull, os.O_RDONLY)
        os.dup2(devnull, 0)
        os.dup2(2, STATUS_FD)
        os.execv(command[0], command)
    except OSError as error:
        os.write(errors, str(error.errno).encode())
    os._exit(_FAILED_TO_EXEC)


def _wait(player: int, parent: int) -> int | None:
    """Wait for the player's end or the trainer's; the wait status, or None when the trainer is gone."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(wake_read, select.POLLIN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD, signal.SIGTERM])
    while True:
        for fd, _ in poll.poll(_CHECK_MILLISECONDS):
            if not os.read(fd, 512) and fd == 0:
                return None
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == player:
                    return ended[1]
        if os.getppid() != parent:
            return None


def _kill_everything(player: int) -> None:
    """The player's group, and then whatever falls to us as its subreaper, until no child is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(player, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(player, 0)
    while children := _children():
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123 - no pathlib: start-up
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(STATUS_FD, line.encode() + b"\n")


def main(arguments: list[str]) -> int:
    """Start the player, wait, clean up."""
    parent, folder, uid, gid, *command = arguments
    supervisor = os.getpid()
    # A terminal's Ctrl-C and a supervisor's SIGTERM are the trainer's to handle; it then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    error_read, error_write = os.pipe()  # closed by a successful exec
    player = os.fork()
    if player == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _become_player(supervisor, uid, gid, error_write, command)
    os.close(error_write)
    _tell(f"player {player}")
    refused = os.read(error_read, 16).decode()
    status = _wait(player, int(parent))
    _kill_everything(player)
    if folder != "-":
        import shutil  # only now: the player's start does not wait for it

        shutil.rmtree(folder, ignore_errors=True)
    if refused:
        line = f"refused {refused}"
    elif status is None:
        line = "abandoned"
    elif os.WIFSIGNALED(status):
        line = f"signalled {os.WTERMSIG(status)}"
    else:
        line = f"exited {os.WEXITSTATUS(status)}"
    _tell(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
