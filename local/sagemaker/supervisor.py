"""Runs one container's command and sees to it that nothing of it is left.

    python -I -S supervisor.py [--isolate | --join-network PID] [--hosts-file FILE] [--remove DIR]...
                               [--afterwards=WORD]... -- COMMAND...

A program of its own, standard library only, that stands between the service and the command, as `docker run` does:

- stdin is a leash: the service writes T (SIGTERM to the command, as docker does to the container's first process) or K
  (SIGKILL to all). When it closes, because the service ended in whatever way, everything is killed.
- It is a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): whatever the command leaves behind, daemons included, becomes
  its child and is killed when the command has ended, as the end of a container's first process ends the container.
- The command dies with it (PR_SET_PDEATHSIG), should the supervisor itself be killed.
- `--isolate` runs the command in a network namespace that has a loopback device and nothing else; `--join-network`
  in the one of another process: the hosts of a job reach one another, and nothing else.
- `--hosts-file` is the command's /etc/hosts, in a mount namespace of its own: a job's hosts find one another by name.
- `--afterwards` is, word by word, a command that is run when everything has ended: it clears up what was not below us.
- `--remove DIR` is removed if the service is gone; while it lives, that is the service's own task.

Exits with the command's status, 128 + n for signal n, 127 if it cannot be found, 125 if the isolation fails.
"""

import argparse
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

ISOLATION_FAILED = 125
CANNOT_EXECUTE = 126
NOT_FOUND = 127


def main() -> int:
    """Run the command; returns the exit status."""
    options = _options()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake = _wake_on_signals()
    child = os.fork()
    if child == 0:
        os._exit(_become(options, libc))
    status = _watch(child, wake)
    _kill_everything()
    _run_afterwards(options.afterwards)
    if status is None:
        for folder in options.remove:
            shutil.rmtree(folder, ignore_errors=True)
        return 128 + signal.SIGKILL
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--isolate", action="store_true")
    parser.add_argument("--join-network", type=int)
    parser.add_argument("--hosts-file")
    parser.add_argument("--remove", action="append", default=[])
    parser.add_argument("--afterwards", action="append", default=[])
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _wake_on_signals() -> int:
    """A descriptor that becomes readable when a child ends or when the supervisor is told to end."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    # A container starts with no signal blocked, whatever its parent blocks (the service waits for signals by sigwait)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    return reading


def _watch(child: int, wake: int) -> int | None:
    """The child's exit status; None when the service is gone."""
    leash = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([leash, wake], [], [])
        if wake in ready and any(number != signal.SIGCHLD for number in os.read(wake, 1024)):
            _signal(child, signal.SIGTERM)
        status = _reap(child)
        if status is not None:
            return status
        if leash in ready:
            orders = os.read(leash, 64)
            if not orders:
                return None
            if b"T" in orders:
                _signal(child, signal.SIGTERM)
            if b"K" in orders:
                _signal(child, signal.SIGKILL)


def _reap(child: int) -> int | None:
    """Collect everything that has ended; the child's exit status if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(wait_status)
                status = code if code >= 0 else 128 - code
    return status


def _kill_everything() -> None:
    """SIGKILL all descendants, generation by generation: an orphan becomes our child and is met again."""
    while True:
        for pid in _descendants(os.getpid()):
            _signal(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _run_afterwards(command: list[str]) -> None:
    if not command:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    quiet = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in range(3)]
    with contextlib.suppress(OSError):
        os.waitpid(os.posix_spawnp(command[0], command, os.environ, file_actions=quiet), 0)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  (pathlib costs 10 ms of start-up)
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                # pid (name) state ppid ...; the name may hold spaces and parentheses
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _become(options: argparse.Namespace, libc: ctypes.CDLL) -> int:
    """In the child: turn into the command. Returns an exit status only if that fails."""
    command: list[str] = options.command
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:  # the supervisor ended before prctl
        return 128 + signal.SIGKILL
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        _enter_namespaces(options, libc)
    except OSError as error:
        _say(f"the network cannot be isolated, or the hosts cannot be named: {error}")
        return ISOLATION_FAILED
    try:
        os.execvp(command[0], command)  # noqa: S606 - to run what the job names is its purpose, and without a shell
    except (FileNotFoundError, NotADirectoryError):
        _say(f'exec: "{command[0]}": executable file not found in $PATH')
        return NOT_FOUND
    except OSError as error:
        _say(f'exec: "{command[0]}": {os.strerror(error.errno or errno.EACCES).lower()}')
        return CANNOT_EXECUTE


def _enter_namespaces(options: argparse.Namespace, libc: ctypes.CDLL) -> None:
    if options.join_network:
        _join_network(libc, options.join_network)
    elif options.isolate:
        isolate_network(libc)
    if options.hosts_file:
        _unshare(libc, CLONE_NEWNS)
        # else the mount would be seen outside
        _check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        _check(libc.mount(os.fsencode(options.hosts_file), b"/etc/hosts", None, MS_BIND, None))


def _join_network(libc: ctypes.CDLL, pid: int) -> None:
    """Enter the network namespace of a process, by way of its user namespace where that is another than ours."""
    kinds = ["user", "net"] if os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user") else ["net"]  # noqa: PTH115
    for descriptor in [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]:
        _check(libc.setns(descriptor, 0))
        os.close(descriptor)


def _unshare(libc: ctypes.CDLL, flag: int) -> None:
    """Enter a new namespace; needs root, or user namespaces, in which we stay who we are."""
    user, group = os.getuid(), os.getgid()
    if libc.unshare(flag) == 0:
        return
    _check(libc.unshare(CLONE_NEWUSER | flag))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
            file.write(text)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def isolate_network(libc: ctypes.CDLL) -> None:
    """Enter a network namespace that has a loopback device only; needs root, or user namespaces.

    Raises:
        OSError: the machine does not allow it.
    """
    _unshare(libc, CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # struct ifreq: name, flags, padding
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
