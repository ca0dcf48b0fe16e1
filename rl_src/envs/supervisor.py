"""Parent of one player process. Run by path with `python -I -S`: standard library only, quick to start.

    supervisor.py [--limits N:N:N:FILE] <parent pid> <temporary folder or -> <uid or -> <gid or -> <program> [word …]

It stands between trainer and player so that whatever happens to the trainer, SIGKILL included, nothing of the player
is left: its standard input is a pipe that the trainer holds; when that ends, or the trainer is no longer the parent,
the player's whole process group is killed and its temporary folder removed. It has one thread, which PR_SET_PDEATHSIG
wants (that signal comes when the parent's *thread* ends, prctl(2)), and it stays privileged while the player may be
dropped to another user.

`--limits`: processes, bytes on disk, bytes of a log, and the player's log. Once a second the supervisor looks what the
player takes of the machine, and ends it when that is too much. A log that becomes too long is emptied.

Standard output begins with `player <pid>`, which lets the trainer clean up after a supervisor that was killed itself,
and ends with how the player ended: `exited <code>`, `signalled <number>`, `refused <errno>`, `exceeded processes`,
`exceeded disk`, `exceeded output` or `abandoned`. Between the two, `saw <kind> <what>` tells what it reached for
(`lookout`); `blind` comes instead where the system cannot tell. Only with `--limits`: what else is kept here (Ray) has
players of its own below it, and the kernel tells of each process on one descriptor.
"""

import _socket  # what socket is made of: quick to import
import _thread
import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import struct
import sys
import time

# It is run by path and isolated, so that nothing of its own folder is found; last, so that no name there hides another.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - no pathlib: start-up

import lookout  # type: ignore[import-not-found]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CHECK_MILLISECONDS = 1000
_LOOK_SECONDS = 0.9
_FAILED_TO_EXEC = 127
_OOM_SCORE = "500"  # proc(5): of a machine's memory that runs out, the player is asked first, and not its trainer
_PROCESSES_OF_A_USER = 16  # times those of a build: its threads count, and those of all builds of this user
_SIZE_OF_A_FILE = 4  # times what may lie on the disk: holes count, as a log has them that was emptied
_FLOODS = 5  # looks on end
_LOOKS_A_SEARCH = 20
_BLOCK_BYTES = 512  # st_blocks
_SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - looked at for what a build leaves there
_MOST_ENTRIES = 200_000
_FREEZE_PASSES = 50
STATUS_FD = 1


def _prctl(option: int, value: int) -> None:
    # Linux only; elsewhere the pipe alone has to do.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class _Limits:
    """What a player may take. `text`: processes, bytes on disk, bytes of a log, and the log's path."""

    def __init__(self, text: str) -> None:
        processes, disk_bytes, log_bytes, self.log_file = text.split(":", 3)
        self.processes, self.disk_bytes, self.log_bytes = int(processes), int(disk_bytes), int(log_bytes)

    def apply(self, dropped: bool) -> None:
        """In the player's process: what the kernel itself holds it to. Root may have as many processes as it likes."""
        _lower(resource.RLIMIT_FSIZE, _SIZE_OF_A_FILE * self.disk_bytes)
        if dropped:
            _lower(resource.RLIMIT_NPROC, _PROCESSES_OF_A_USER * self.processes)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(_OOM_SCORE)


def _lower(kind: int, value: int) -> None:
    """Never higher than it is, which only root may do."""
    _, hard = resource.getrlimit(kind)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


class _Watch:
    """Looks what the player takes of the machine. `uid`: that it was dropped to, or "-"; `home`: where it may write."""

    def __init__(self, limits: _Limits, uid: str, home: str) -> None:
        self._limits = limits
        self._uid = None if uid == "-" else int(uid)
        self._home = home
        self._floods = self._looks = 0
        self._logs = [2]
        # Open from now on: the player may put another file, or a link to one, where its log was.
        with contextlib.suppress(OSError):
            self._logs.append(os.open(limits.log_file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        self._free_bytes = self._free()

    def look(self) -> str | None:
        """What there is too much of; None if all is well."""
        if self._empty_logs() >= _FLOODS:
            return "output"
        if len(_descendants(self._limits.processes)) > self._limits.processes:
            return "processes"
        # To look through folders takes long: at once if the volume has lost so much, else now and then.
        self._looks += 1
        lost_bytes = self._free_bytes - self._free()
        if lost_bytes > self._limits.disk_bytes or self._looks % _LOOKS_A_SEARCH == 0:
            return "disk" if self._written() > self._limits.disk_bytes else None
        return None

    def _empty_logs(self) -> int:
        """In how many looks on end a log was too long."""
        emptied = False
        for log in self._logs:
            with contextlib.suppress(OSError):
                if os.fstat(log).st_blocks * _BLOCK_BYTES > self._limits.log_bytes:
                    os.ftruncate(log, 0)
                    emptied = True
        self._floods = self._floods + 1 if emptied else 0
        return self._floods

    def _free(self) -> int:
        try:
            volume = os.statvfs(self._home)
        except OSError:
            return 0
        return volume.f_bavail * volume.f_frsize

    def _written(self) -> int:
        """Bytes on disk in the player's home; of a user of its own, also where everybody may write.

        The home first. So many entries of the player's, or folders so deep that they cannot be looked into, are too
        much by themselves: neither others' files nor its own are to hide what it has written.
        """
        folders = [self._home] if self._uid is None else [*_SHARED_FOLDERS, self._home]
        written, seen, own, others = 0, set(), 0, 0
        while folders:
            try:
                with os.scandir(folders.pop()) as found:
                    for entry in found:
                        try:
                            status = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue  # gone since the folder was read: what stands behind it counts all the same
                        is_own = self._uid in (None, status.st_uid)
                        own, others = own + is_own, others + (not is_own)
                        if own > _MOST_ENTRIES:
                            return self._limits.disk_bytes + 1
                        if others > _MOST_ENTRIES or written > self._limits.disk_bytes:
                            return written
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif is_own and (status.st_dev, status.st_ino) not in seen:
                            seen.add((status.st_dev, status.st_ino))
                            written += status.st_blocks * _BLOCK_BYTES
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    return self._limits.disk_bytes + 1
        return written


def _become_player(
    supervisor: int,
    uid: str,
    gid: str,
    errors: int,
    command: list[str],
    limits: _Limits | None,
    eyes: _socket.socket,
) -> None:
    """In the child: never returns. `eyes`: takes the descriptor on which the kernel tells what it does."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limits is not None:
            limits.apply(dropped=uid != "-")
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
        listener = lookout.begin() if limits is not None else None
        if listener is not None:
            passed = struct.pack("i", listener)
            eyes.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
        os.execv(command[0], command)  # noqa: S606 - to run the build is its purpose, and without a shell
    except OSError as error:
        os.write(errors, str(error.errno).encode())
    os._exit(_FAILED_TO_EXEC)


def _look_out(eyes: _socket.socket, uid: str, gid: str) -> None:
    """Begin to tell what the player reaches for. Waits until it has begun, or failed to."""
    _, passed, _, _ = eyes.recvmsg(1, _socket.CMSG_SPACE(4))
    if not passed:
        _tell("blind")
        return
    (listener,) = struct.unpack("i", passed[0][2])
    own = (None, None) if uid == "-" else (int(uid), int(gid))
    sight = lookout.Lookout(listener, *own, tell=lambda kind, what: _tell(f"saw {kind} {what}"))
    _thread.start_new_thread(sight.watch, ())


def _wait(player: int, parent: int, watch: _Watch | None) -> int | str | None:
    """Wait for the player's end or the trainer's.

    The wait status, or what the player takes too much of, or None when the trainer is gone.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(wake_read, select.POLLIN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD, signal.SIGTERM])
    looked = time.monotonic()
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
        if watch is not None and time.monotonic() - looked >= _LOOK_SECONDS:
            looked = time.monotonic()
            if exceeded := watch.look():
                return exceeded


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


def _freeze_everything() -> None:
    """Stop all that runs below us. What forks without end cannot be killed one by one while it goes on."""
    frozen: set[int] = set()
    for _ in range(_FREEZE_PASSES):
        running = set(_descendants()) - frozen
        if not running:
            return
        for pid in running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)
        frozen |= running


def _descendants(most: int = sys.maxsize) -> list[int]:
    """Processes below this one; a few more than `most` at most."""
    found = _children()
    for pid in found:
        if len(found) > most:
            break
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - no pathlib: start-up
                found += _children(pid, task)
    return found


def _children(pid: int | str = "self", task: int | str | None = None) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{task or os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(STATUS_FD, line.encode() + b"\n")


def main(arguments: list[str]) -> int:
    """Start the player, wait, clean up."""
    limits = None
    if arguments[0] == "--limits":
        limits, arguments = _Limits(arguments[1]), arguments[2:]
    parent, folder, uid, gid, *command = arguments
    supervisor = os.getpid()
    # A terminal's Ctrl-C and a supervisor's SIGTERM are the trainer's to handle; it then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    error_read, error_write = os.pipe()  # closed by a successful exec
    eyes, players_eyes = _socket.socketpair()
    player = os.fork()
    if player == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _become_player(supervisor, uid, gid, error_write, command, limits, players_eyes)
    os.close(error_write)
    players_eyes.close()
    _tell(f"player {player}")
    if limits is not None:
        _look_out(eyes, uid, gid)
    refused = os.read(error_read, 16).decode()
    watch = _Watch(limits, uid, os.environ.get("HOME", "/nowhere")) if limits is not None else None
    status = _wait(player, int(parent), watch)
    if isinstance(status, str):
        _freeze_everything()
    _kill_everything(player)
    if folder != "-":
        import shutil  # only now: the player's start does not wait for it

        shutil.rmtree(folder, ignore_errors=True)
    if refused:
        line = f"refused {refused}"
    elif status is None:
        line = "abandoned"
    elif isinstance(status, str):
        line = f"exceeded {status}"
    elif os.WIFSIGNALED(status):
        line = f"signalled {os.WTERMSIG(status)}"
    else:
        line = f"exited {os.WEXITSTATUS(status)}"
    _tell(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
