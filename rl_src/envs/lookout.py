"""Sees what a player reaches for and may not have: files that are not its own, the network, other users' processes.

Standard library only: the supervisor loads it. The kernel tells of some of the player's system calls before it carries
them out (seccomp's user notification, seccomp_unotify(2), Linux 5.5 and later, no privileges needed): calls that open
or change a file by its name, connect, send to an address, or are for whoever keeps the machine. They are looked at and
always let through. What holds the player is its user and the network namespace; this only tells of attempts. Three ways
round it do not exist for a player, as on a system without them: io_uring, 32-bit calls and x32's. Who wants to hide
one all the same can: by another thread that changes the path after it was looked at, by datagrams with sendmsg.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Callable

READS, WRITES, NETWORK, RIGHTS = "reads", "writes", "network", "rights"
MOST_OF_A_KIND = 4
_LONGEST = 120  # characters told of one attempt
_LONGEST_PATH = 4096

_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_X32_BIT = 0x40000000  # of the numbers of another kind of call (x32)
_OPEN, _CONNECT, _SENDTO, _CREAT, _OPENAT, _OPENAT2 = 2, 42, 44, 85, 257, 437
_OPENS = frozenset({_OPEN, _CREAT, _OPENAT, _OPENAT2})
_EXECVE, _EXECVEAT = 59, 322
_KILL, _PTRACE, _READ_PROCESS, _WRITE_PROCESS = 62, 101, 310, 311
_OF_PROCESSES = {_KILL: (0, "kill"), _PTRACE: (1, "ptrace"), _READ_PROCESS: (0, "process_vm_readv")} | {
    _WRITE_PROCESS: (0, "process_vm_writev")
}
"""Where the process stands among the arguments, and the call's name."""

_SETUID, _SETRESUID, _SETREUID = 105, 117, 113
_TO_USERS = {_SETUID: 1, _SETREUID: 2, _SETRESUID: 3}
"""So many user ids are the call's arguments."""

_FOR_KEEPERS = {155: "pivot_root", 161: "chroot", 165: "mount", 166: "umount", 169: "reboot", 175: "init_module"} | {
    308: "setns",
    313: "finit_module",
    321: "bpf",
}
_TAKES, _MAKES, _REPLACES = "takes", "makes", "replaces"
_CHANGES: dict[int, tuple[tuple[int | None, int, str], ...]] = {
    82: ((None, 0, _TAKES), (None, 1, _REPLACES)),  # rename
    264: ((0, 1, _TAKES), (2, 3, _REPLACES)),  # renameat
    316: ((0, 1, _TAKES), (2, 3, _REPLACES)),  # renameat2
    86: ((None, 1, _MAKES),),  # link
    265: ((2, 3, _MAKES),),  # linkat
    88: ((None, 1, _MAKES),),  # symlink
    266: ((1, 2, _MAKES),),  # symlinkat
    87: ((None, 0, _TAKES),),  # unlink
    263: ((0, 1, _TAKES),),  # unlinkat
    83: ((None, 0, _MAKES),),  # mkdir
    258: ((0, 1, _MAKES),),  # mkdirat
    84: ((None, 0, _TAKES),),  # rmdir
}
"""What changes folders. For each name: which arguments are the folder that it is relative to, and the name; and whether
it has to be there (takes), must not be (makes), or either (replaces)."""

_OWNERS: dict[int, tuple[int | None, int]] = {90: (None, 0), 268: (0, 1), 92: (None, 0), 94: (None, 0), 260: (0, 1)}
"""chmod, fchmodat, chown, lchown, fchownat: a file's owner may."""

_TRUNCATE = 76
_URING_SETUP = 425
_SECCOMP, _SETFSUID, _SETFSGID = 317, 122, 123
_SET_MODE_FILTER = 1
_NEW_LISTENER, _SPEC_ALLOW = 1 << 3, 1 << 2  # SPEC_ALLOW: before Linux 5.16 a filter slows the processor down otherwise
_ALLOW, _USER_NOTIF, _REFUSE = 0x7FFF0000, 0x7FC00000, 0x00050000 | errno.ENOSYS
_CONTINUE = 1
_NOTIF, _RESPONSE = struct.Struct("=QII iI Q 6Q"), struct.Struct("=QqiI")  # seccomp.h: seccomp_notif, _resp
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctls
_SYSTEM_CALL, _ARCHITECTURE, _FIFTH_ARGUMENT = 0, 4, 48  # offsets in seccomp_data
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF
_AT_FDCWD = -100
_TRACE_ME = 0  # of ptrace: by its parent
_IPV4, _IPV6 = 2, 10

_MAY_FAIL = ("/dev/", "/sys/")
"""Where engines and drivers look whether a device is there for them."""


def _filter() -> bytes:
    """For x86-64: the calls named above are told of, sendto only with an address; all others pass."""
    calls = sorted(
        {_CONNECT, _TRUNCATE, _EXECVE, _EXECVEAT}.union(
            _OPENS, _CHANGES, _OWNERS, _OF_PROCESSES, _TO_USERS, _FOR_KEEPERS
        )
    )
    first = 5  # where the calls begin below
    sendto = first + len(calls)
    told, allowed, refused = sendto + 5, sendto + 6, sendto + 7
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, refused - 2, _X86_64),
        (_LOAD, 0, 0, _SYSTEM_CALL),
        (_AT_LEAST, refused - 4, 0, _X32_BIT),
        (_EQUAL, refused - 5, 0, _URING_SETUP),
        *((_EQUAL, told - (first + index + 1), 0, call) for index, call in enumerate(calls)),
        (_EQUAL, 0, allowed - (sendto + 1), _SENDTO),
        (_LOAD, 0, 0, _FIFTH_ARGUMENT),
        (_EQUAL, 0, told - (sendto + 3), 0),
        (_LOAD, 0, 0, _FIFTH_ARGUMENT + 4),
        (_EQUAL, allowed - (sendto + 5), 0, 0),
        (_RETURN, 0, 0, _USER_NOTIF),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def begin() -> int | None:
    """In the player's process, before it becomes the program: what it does from now on is told on this descriptor.

    None where the system cannot: another processor, an old kernel, a container that forbids it.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return None
    code = _filter()
    memory = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(memory))
    listener = ctypes.CDLL(None).syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER | _SPEC_ALLOW, program)
    return listener if listener >= 0 else None


class Lookout:
    """Answers the kernel, in a thread of its own.

    `uid`, `gid`: the player's; None where it is the trainer's own user, to whom no file is closed. `tell`: called for
    each new attempt, `MOST_OF_A_KIND` at most, with its kind and what it was for.
    """

    def __init__(self, listener: int, uid: int | None, gid: int | None, tell: Callable[[str, str], None]) -> None:
        self._listener, self._uid, self._gid, self._tell = listener, uid, gid, tell
        self._told: dict[str, set[str]] = {kind: set() for kind in (READS, WRITES, NETWORK, RIGHTS)}

    def watch(self) -> None:
        """Until nobody is left who is watched."""
        if self._uid is not None:
            # Of this thread alone: it may then read the player's memory, as its own user could, and sees no file that
            # the player could not see.
            libc = ctypes.CDLL(None)
            libc.syscall(_SETFSGID, self._gid)
            libc.syscall(_SETFSUID, self._uid)
        while True:
            notice = bytearray(_NOTIF.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, notice)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue  # who called was killed meanwhile
                return
            number, thread, _, call, _, _, *arguments = _NOTIF.unpack(notice)
            with contextlib.suppress(Exception):  # the player waits for the answer that follows
                self._look(thread, call, arguments)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(number, 0, 0, _CONTINUE))

    def _look(self, thread: int, call: int, arguments: list[int]) -> None:
        if call in (_CONNECT, _SENDTO):
            address, size = arguments[1:3] if call == _CONNECT else arguments[4:6]
            self._note(NETWORK, elsewhere(_memory(thread, address, min(size, 28))))
        elif self._uid is not None:
            if call in _OPENS:
                path, writes = _opened(thread, call, arguments)
                if path and not path.startswith(_MAY_FAIL) and self._is_refused(path, writes):
                    self._note(WRITES if writes else READS, path)
            elif call in _CHANGES or call in _OWNERS or call == _TRUNCATE:
                self._look_at_change(thread, call, arguments)
            else:
                self._note(RIGHTS, self._right(thread, call, arguments))

    def _look_at_change(self, thread: int, call: int, arguments: list[int]) -> None:
        """Of names in folders, of a file's rights, or of its length."""
        for folder, name, how in _CHANGES.get(call, ()):
            path = _path(thread, _AT_FDCWD if folder is None else arguments[folder], arguments[name])
            if self._is_refused_name(path, how):
                self._note(WRITES, path)
        if call in _OWNERS:
            folder, name = _OWNERS[call]
            path = _path(thread, _AT_FDCWD if folder is None else arguments[folder], arguments[name])
            if self._owner(path) not in (None, self._uid):
                self._note(WRITES, path)
        elif call == _TRUNCATE:
            path = _path(thread, _AT_FDCWD, arguments[0])
            if self._is_refused(path, writes=True):
                self._note(WRITES, path)

    def _right(self, thread: int, call: int, arguments: list[int]) -> str | None:
        """What is asked for that is not the player's to have."""
        if call in _FOR_KEEPERS:
            return _FOR_KEEPERS[call]
        if call in _TO_USERS:
            users = {value & 0xFFFFFFFF for value in arguments[: _TO_USERS[call]]} - {self._uid, 0xFFFFFFFF}
            return f"to be user {min(users)}" if users else None
        if call in (_EXECVE, _EXECVEAT):
            path = _path(thread, *((_AT_FDCWD, arguments[0]) if call == _EXECVE else arguments[:2]))
            return f"to be user {owner}, by {path}" if (owner := _becomes(path)) not in (None, self._uid) else None
        at, name = _OF_PROCESSES[call]
        process = ctypes.c_int(arguments[at]).value
        if process <= 0 or (call == _KILL and arguments[1] == 0) or (call == _PTRACE and arguments[0] == _TRACE_ME):
            return None
        owner = self._owner(f"/proc/{process}")
        return f"{name} of process {process}" if owner not in (None, self._uid) else None

    @staticmethod
    def _owner(path: str) -> int | None:
        """None where there is no such file."""
        try:
            return os.stat(path).st_uid  # noqa: PTH116 - no pathlib: start-up
        except FileNotFoundError:
            return None
        except PermissionError:
            return -1

    def _note(self, kind: str, what: str | None) -> None:
        told = self._told[kind]
        if what and what not in told and len(told) < MOST_OF_A_KIND:
            told.add(what)
            self._tell(kind, ascii(what)[1:-1][:_LONGEST])

    def _is_refused(self, path: str, writes: bool) -> bool:
        """Whether the file is there, or could be made, but not for the player."""
        try:
            status = os.stat(path)  # noqa: PTH116 - no pathlib: start-up
        except PermissionError:
            return True
        except FileNotFoundError:
            return writes and self._is_closed(os.path.dirname(path))  # noqa: PTH120
        return not self._may(status, 0o2 if writes else 0o4)

    def _is_refused_name(self, path: str, how: str) -> bool:
        """Whether all is there that the change needs, but the folder is not the player's to change."""
        folder = os.path.dirname(path.rstrip("/"))  # noqa: PTH120
        try:
            owner = os.lstat(path).st_uid
        except FileNotFoundError:
            return how != _TAKES and self._is_closed(folder)
        except PermissionError:
            return True
        status = os.stat(folder)  # noqa: PTH116
        is_kept = status.st_mode & stat.S_ISVTX and self._uid not in (owner, status.st_uid)
        return how != _MAKES and (bool(is_kept) or not self._may(status, 0o2))

    def _is_closed(self, folder: str) -> bool:
        """Whether the folder is there, and the player may put nothing into it."""
        try:
            return not self._may(os.stat(folder), 0o2)  # noqa: PTH116
        except PermissionError:
            return True
        except FileNotFoundError:
            return False

    def _may(self, status: os.stat_result, wanted: int) -> bool:
        shift = 6 if status.st_uid == self._uid else 3 if status.st_gid == self._gid else 0
        return bool(stat.S_IMODE(status.st_mode) >> shift & wanted)


def elsewhere(address: bytes) -> str | None:
    """`HOST:PORT` of a socket address (a `sockaddr`); None for this very machine, and where it is no IP address."""
    family = int.from_bytes(address[:2], sys.byteorder)
    port = int.from_bytes(address[2:4], "big")
    if family == _IPV4 and len(address) >= 8:
        host = address[4:8]
    elif family == _IPV6 and len(address) >= 24:
        host = address[8:24]
        if host[:12] == bytes(10) + b"\xff\xff":
            host = host[12:]
    else:
        return None
    if len(host) == 4:
        return None if host[0] in (0, 127) else f"{'.'.join(map(str, host))}:{port}"
    groups = ":".join(f"{int.from_bytes(host[at : at + 2], 'big'):x}" for at in range(0, 16, 2))
    return None if not any(host[:15]) and host[15] <= 1 else f"[{groups}]:{port}"


def _opened(thread: int, call: int, arguments: list[int]) -> tuple[str, bool]:
    """The path that is opened, absolute, and whether for writing."""
    folder, name, flags = _AT_FDCWD, arguments[0], arguments[1]
    if call in (_OPENAT, _OPENAT2):
        folder, name, flags = arguments[:3]
    if call == _OPENAT2:
        flags = int.from_bytes(_memory(thread, flags, 8), sys.byteorder)  # struct open_how begins with them
    writes = call == _CREAT or bool(flags & (os.O_WRONLY | os.O_RDWR))
    return _path(thread, folder, name), writes


def _path(thread: int, folder: int, name: int) -> str:
    """The absolute path of a name in the player's memory, relative to a folder that it has open."""
    path = os.fsdecode(_text(thread, name))
    if path and not path.startswith("/"):
        descriptor = ctypes.c_int(folder & 0xFFFFFFFF).value
        base = "cwd" if descriptor == _AT_FDCWD else f"fd/{descriptor}"
        path = os.path.join(os.readlink(f"/proc/{thread}/{base}"), path)  # noqa: PTH115, PTH118
    for own in ("/proc/self", "/proc/thread-self"):
        if path.startswith(own + "/"):
            path = f"/proc/{thread}" + path.removeprefix(own)
    return path


def _becomes(program: str) -> int | None:
    """As which user the program would run, by its mode; None for most."""
    try:
        status = os.stat(program)  # noqa: PTH116
    except OSError:
        return None
    return status.st_uid if status.st_mode & stat.S_ISUID else None


def _text(thread: int, address: int) -> bytes:
    """A string of the player's, up to its end."""
    found = b""
    while len(found) < _LONGEST_PATH and b"\0" not in found:
        more = _memory(thread, address + len(found), 256)
        if not more:
            break
        found += more
    return found.partition(b"\0")[0]


def _memory(thread: int, address: int, size: int) -> bytes:
    file = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(file, size, address)
    finally:
        os.close(file)
