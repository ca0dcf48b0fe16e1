"""Sees what a player reaches for and may not have: files that are not its own, and the network.

Standard library only: the supervisor loads it. The kernel tells of some of the player's system calls before it carries
them out (seccomp's user notification, seccomp_unotify(2), Linux 5.5 and later, no privileges needed): calls that open
a file, connect, or send to an address. They are looked at and always let through. What holds the player is its user and
the network namespace; this only tells of attempts. Who wants to hide one can: by another thread that changes the path
after it was looked at, by io_uring, by 32-bit calls, by datagrams with sendmsg.
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

READS, WRITES, NETWORK = "reads", "writes", "network"
MOST_OF_A_KIND = 4
_LONGEST = 120  # characters told of one attempt
_LONGEST_PATH = 4096

_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_OPEN, _CONNECT, _SENDTO, _CREAT, _OPENAT, _OPENAT2 = 2, 42, 44, 85, 257, 437
_SECCOMP, _SETFSUID, _SETFSGID = 317, 122, 123
_SET_MODE_FILTER = 1
_NEW_LISTENER, _SPEC_ALLOW = 1 << 3, 1 << 2  # SPEC_ALLOW: before Linux 5.16 a filter slows the processor down otherwise
_ALLOW, _USER_NOTIF = 0x7FFF0000, 0x7FC00000
_CONTINUE = 1
_NOTIF, _RESPONSE = struct.Struct("=QII iI Q 6Q"), struct.Struct("=QqiI")  # seccomp.h: seccomp_notif, _resp
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctls
_SYSTEM_CALL, _ARCHITECTURE, _FIFTH_ARGUMENT = 0, 4, 48  # offsets in seccomp_data
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF
_AT_FDCWD = -100
_IPV4, _IPV6 = 2, 10

_MAY_FAIL = ("/dev/", "/sys/")
"""Where engines and drivers look whether a device is there for them."""


def _filter() -> bytes:
    """For x86-64: the calls named above are told of, sendto only with an address; all others pass."""
    told, allowed = 13, 14  # where the two answers stand below
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, allowed - 2, _X86_64),
        (_LOAD, 0, 0, _SYSTEM_CALL),
        *((_EQUAL, told - (4 + index), 0, call) for index, call in enumerate((_OPEN, _CONNECT, _CREAT, _OPENAT))),
        (_EQUAL, told - 8, 0, _OPENAT2),
        (_EQUAL, 0, allowed - 9, _SENDTO),
        (_LOAD, 0, 0, _FIFTH_ARGUMENT),
        (_EQUAL, 0, told - 11, 0),
        (_LOAD, 0, 0, _FIFTH_ARGUMENT + 4),
        (_EQUAL, allowed - 13, 0, 0),
        (_RETURN, 0, 0, _USER_NOTIF),
        (_RETURN, 0, 0, _ALLOW),
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
        self._told: dict[str, set[str]] = {READS: set(), WRITES: set(), NETWORK: set()}

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
            with contextlib.suppress(OSError, ValueError, struct.error):
                self._look(thread, call, arguments)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(number, 0, 0, _CONTINUE))

    def _look(self, thread: int, call: int, arguments: list[int]) -> None:
        if call in (_CONNECT, _SENDTO):
            address, size = arguments[1:3] if call == _CONNECT else arguments[4:6]
            self._note(NETWORK, elsewhere(_memory(thread, address, min(size, 28))))
        elif self._uid is not None:
            path, writes = _opened(thread, call, arguments)
            if path and not path.startswith(_MAY_FAIL) and self._is_refused(path, writes):
                self._note(WRITES if writes else READS, path)

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
            if not writes:
                return False
            try:
                status = os.stat(os.path.dirname(path))  # noqa: PTH116, PTH120
            except PermissionError:
                return True
        wanted = 0o2 if writes else 0o4
        shift = 6 if status.st_uid == self._uid else 3 if status.st_gid == self._gid else 0
        return not stat.S_IMODE(status.st_mode) >> shift & wanted


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
        folder, name, flags = ctypes.c_int(arguments[0]).value, arguments[1], arguments[2]
    if call == _OPENAT2:
        flags = int.from_bytes(_memory(thread, flags, 8), sys.byteorder)  # struct open_how begins with them
    writes = call == _CREAT or bool(flags & (os.O_WRONLY | os.O_RDWR))
    path = os.fsdecode(_text(thread, name))
    if path and not path.startswith("/"):
        base = "cwd" if folder == _AT_FDCWD else f"fd/{folder}"
        path = os.path.join(os.readlink(f"/proc/{thread}/{base}"), path)  # noqa: PTH115, PTH118
    for own in ("/proc/self", "/proc/thread-self"):
        if path.startswith(own + "/"):
            path = f"/proc/{thread}" + path.removeprefix(own)
    return path, writes


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
