"""The display for cameras: a real Xvfb, its cookie, its end after any end of ours."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rl_src.envs.display import VirtualDisplay, display_is_reachable
from rl_src.envs.errors import DisplayMissingError, UnityEnvironmentError
from rl_src.envs.player import PlayerUser
from tests.fakes.running_processes import is_there

NOBODY = 65534
OWNER = """
import sys
from rl_src.envs.display import VirtualDisplay
display = VirtualDisplay()
print(display.supervisor_pid, flush=True)
sys.stdin.read()
"""
needs_xvfb = pytest.mark.skipif(
    shutil.which("Xvfb") is None and "CI" not in os.environ, reason="Xvfb is not installed (apt-get install xvfb)"
)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def family(display: VirtualDisplay) -> list[psutil.Process]:
    supervisor = psutil.Process(display.supervisor_pid)
    return [supervisor, *supervisor.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(is_there(process) for process in processes)


def socket_file(display: VirtualDisplay) -> Path:
    return Path("/tmp/.X11-unix") / f"X{display.environment['DISPLAY'].removeprefix(':')}"


def screen_of(environment: dict[str, str]) -> tuple[int, int, int]:
    """Width, height and depth of the display's screen, read by a client of a few lines of its own."""
    cookie = Path(environment["XAUTHORITY"]).read_bytes()[-16:]
    request = struct.pack("<BxHHHHxx", ord("l"), 11, 0, 18, 16) + b"MIT-MAGIC-COOKIE-1\0\0" + cookie
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"/tmp/.X11-unix/X{environment['DISPLAY'].removeprefix(':')}")
        sock.sendall(request)
        stream = sock.makefile("rb")
        status, length = struct.unpack("<BxxxxxH", stream.read(8))
        assert status == 1
        setup = stream.read(length * 4)
    vendor_length, formats = struct.unpack_from("<H", setup, 16)[0], setup[21]
    screen = setup[32 + (vendor_length + 3) // 4 * 4 + formats * 8 :]
    width, height = struct.unpack_from("<HH", screen, 20)
    return width, height, screen[38]


def read_by(user: int, path: str) -> bytes:
    """What `cat` prints for that user, complaints included."""
    command = subprocess.Popen(
        ["cat", path], user=user, group=user, extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return command.communicate()[0]


@contextmanager
def server_that_answers(answer: bytes, requests: list[bytes]) -> Iterator[int]:
    """A display on TCP of whatever number; says `answer` to whoever asks."""
    for number in range(3000, 3100):
        try:
            listener = socket.create_server(("127.0.0.1", 6000 + number))
            break
        except OSError:
            continue

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                requests.append(sock.recv(4096))
                sock.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield number
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@needs_xvfb
def test_a_client_with_the_cookie_is_let_in_and_none_without() -> None:
    with VirtualDisplay() as display:
        assert screen_of(display.environment) == (1280, 1024, 24)
        assert display_is_reachable(display.environment)
        assert not display_is_reachable({"DISPLAY": display.environment["DISPLAY"]})


@needs_xvfb
def test_it_listens_on_no_network() -> None:
    with VirtualDisplay() as display:
        sockets = [sock for process in family(display) for sock in process.net_connections("inet")]
        assert sockets == []


@needs_xvfb
def test_displays_that_start_at_once_get_numbers_of_their_own() -> None:
    with ThreadPoolExecutor(4) as threads:
        displays = list(threads.map(lambda _: VirtualDisplay(), range(4)))
    try:
        assert len({display.environment["DISPLAY"] for display in displays}) == 4
        assert all(display_is_reachable(display.environment) for display in displays)
        stranger = {**displays[0].environment, "XAUTHORITY": displays[1].environment["XAUTHORITY"]}
        assert not display_is_reachable(stranger)
    finally:
        for display in displays:
            display.close()


@needs_xvfb
def test_it_stays_when_its_last_client_has_left() -> None:
    with VirtualDisplay() as display:
        for _ in range(3):
            assert display_is_reachable(display.environment)
        assert display.is_alive()


@needs_xvfb
def test_closing_leaves_nothing_and_may_be_repeated() -> None:
    display = VirtualDisplay()
    processes, environment = family(display), display.environment
    assert "Xvfb" in [process.name() for process in processes]
    assert socket_file(display).exists()
    display.close()
    display.close()
    assert all_gone(processes)
    assert not socket_file(display).exists()
    assert not Path(environment["XAUTHORITY"]).parent.exists()
    assert not display_is_reachable(environment)


@needs_xvfb
def test_closing_after_xvfb_was_killed() -> None:
    display = VirtualDisplay()
    supervisor, *servers = family(display)
    for server in servers:
        server.kill()
    eventually(lambda: not is_there(supervisor))
    assert not display.is_alive()
    display.close()
    assert not Path(display.environment["XAUTHORITY"]).exists()


@needs_xvfb
def test_a_display_that_is_forgotten_ends() -> None:
    display = VirtualDisplay()
    processes = family(display)
    del display
    assert all_gone(processes)


@needs_xvfb
def test_it_does_not_outlive_a_killed_trainer() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        supervisor = psutil.Process(int(owner.stdout.readline()))
        processes = [supervisor, *supervisor.children(recursive=True)]
        assert "Xvfb" in [process.name() for process in processes]
        authority = Path(processes[1].cmdline()[processes[1].cmdline().index("-auth") + 1])
        owner.kill()
        eventually(lambda: all_gone(processes))
    shutil.rmtree(authority.parent)


@needs_xvfb
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop a process to another user")
def test_it_runs_as_the_builds_user_whose_alone_the_cookie_is() -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as home,
        VirtualDisplay(PlayerUser(NOBODY, NOBODY, Path(home))) as display,
    ):
        authority = display.environment["XAUTHORITY"]
        servers = [process for process in family(display) if process.name() == "Xvfb"]
        assert [process.uids().real for process in servers] == [NOBODY]
        content = Path(authority).read_bytes()
        assert read_by(NOBODY, authority) == content
        assert b"Permission denied" in read_by(NOBODY - 1, authority)
        assert screen_of(display.environment) == (1280, 1024, 24)


def test_without_xvfb_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnityEnvironmentError) as raised:
        VirtualDisplay()
    assert type(raised.value) is DisplayMissingError
    assert "apt-get install xvfb" in raised.value.remedy
    assert "environment.graphics" in raised.value.remedy
    assert raised.value.code == "DisplayMissing"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo '(EE) Failed to find a socket' >&2; exit 1\n", ["exit code 1", "Failed to find a socket"]),
        ("kill -9 $$\n", ["SIGKILL", "It said nothing"]),
        ("echo starting; sleep 600; true\n", ["did not come up within 1 s", "starting"]),
    ],
)
def test_an_xvfb_that_does_not_come_up_is_quoted_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    program = tmp_path / "Xvfb"
    program.write_text("#!/bin/sh\n" + text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(DisplayMissingError) as raised:
        VirtualDisplay(timeout_seconds=1 if "600" in text else 30)
    for word in words:
        assert word in str(raised.value)
    assert set(psutil.Process().children(recursive=True)) <= before
    assert list(tmp_path.iterdir()) == [program]


@pytest.mark.parametrize(
    "value", ["", "nonsense", ":", "wayland-0", ":99999", "127.0.0.1:9", "127.0.0.1:99999", "a..b:0", "host/unix:0"]
)
def test_what_names_no_server_is_not_reachable(value: str) -> None:
    assert not display_is_reachable({"DISPLAY": value})
    assert not display_is_reachable({})


@pytest.mark.parametrize(("answer", "reachable"), [(b"\x01", True), (b"\x00", False), (b"\x02", False), (b"", False)])
def test_a_display_over_the_network_is_asked_by_tcp(tmp_path: Path, answer: bytes, reachable: bool) -> None:
    requests: list[bytes] = []
    with server_that_answers(answer, requests) as number:
        assert display_is_reachable({"DISPLAY": f"127.0.0.1:{number}.0"}) is reachable
    assert requests == [b"l\0\x0b\0\0\0\0\0\0\0\0\0"]


def test_of_an_authority_file_only_the_displays_own_cookies_are_tried(tmp_path: Path) -> None:
    def entry(number: bytes, name: bytes, cookie: bytes) -> bytes:
        fields = (b"host", number, name, cookie)
        return b"\x01\x00" + b"".join(struct.pack(">H", len(item)) + item for item in fields)

    requests: list[bytes] = []
    authority = tmp_path / "authority"
    with server_that_answers(b"\0", requests) as number:
        own = str(number).encode()
        cookies = [
            entry(b"0", b"MIT-MAGIC-COOKIE-1", b"of another disp."),
            entry(own, b"XDM-AUTHORIZATION-1", b"of another kind."),
            entry(own, b"MIT-MAGIC-COOKIE-1", b"right and proper"),
            entry(b"", b"MIT-MAGIC-COOKIE-1", b"of every display"),
        ]
        authority.write_bytes(b"".join(cookies) + b"\x01\x00\xff")  # and an entry cut short
        environment = {"DISPLAY": f"127.0.0.1:{number}", "XAUTHORITY": str(authority)}
        assert not display_is_reachable(environment)
    assert [request[-16:] for request in requests[:-1]] == [b"right and proper", b"of every display"]
    assert len(requests[-1]) == 12


@pytest.mark.parametrize("content", [None, b"", b"\x00"])
def test_an_authority_file_that_cannot_be_read_is_no_reason_to_fail(tmp_path: Path, content: bytes | None) -> None:
    authority = tmp_path / "authority"
    if content is not None:
        authority.write_bytes(content)
    with server_that_answers(b"\x01", []) as number:
        assert display_is_reachable({"DISPLAY": f"127.0.0.1:{number}", "XAUTHORITY": str(authority)})
