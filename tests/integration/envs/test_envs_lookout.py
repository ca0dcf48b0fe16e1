"""What a player reaches for is seen from outside, by the kernel's own word, and changes nothing for the player."""

import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from rl_src.envs import supervisor
from rl_src.envs.client import UnityClient
from rl_src.envs.lookout import MOST_OF_A_KIND, NETWORK, READS, RIGHTS, WRITES, elsewhere
from rl_src.envs.player import Player, PlayerUser
from rl_src.envs.sightings import FILE_SUFFIX, Sighting, findings, keep, kept, seen

NOBODY = 65534
BLINDED = """
import ctypes, struct, sys
from pathlib import Path
from rl_src.envs.player import Player

allow = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000), 8)
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(317, 1, 1 << 3, struct.pack("@HxxxxxxP", 1, ctypes.addressof(allow))) >= 0
player = Player([sys.argv[1]], Path(sys.argv[2]))
print(player.wait(30), list(player.sightings()))
"""
"""A process and its children can have one listener: the player's cannot be had, as on an old kernel."""

IN_A_CONTAINER = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod"
"""The capabilities of root in a container, by Docker's default (docs: "Runtime privilege and Linux capabilities")."""

AS_NOBODY = """
import sys
from pathlib import Path
from rl_src.envs.player import Player, PlayerUser

user = PlayerUser(int(sys.argv[3]), int(sys.argv[3]), Path(sys.argv[2]).parent / "home")
player = Player([sys.argv[1]], Path(sys.argv[2]), user)
print(player.wait(30), *player.sightings(), sep="\\n")
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the player another user")


def build(folder: Path, code: str) -> Path:
    """A build in Python that does this."""
    program = folder / "Game.x86_64"
    interpreter = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if interpreter is None:
        pytest.skip("there is no Python that other users may start")
    program.write_text(f"#!{interpreter} -ISB\nimport os, socket\n{code}\n")
    program.chmod(0o755)
    return program


def played(folder: Path, code: str, run_as: PlayerUser | None = None) -> Player:
    """A build that does this has come to its end."""
    program = build(folder, code)
    player = Player([str(program)], folder / "player.log", run_as)
    ended = player.wait(30)
    assert ended is not None
    assert ended.code == 0, player.output_lines()
    return player


def nobody(folder: Path) -> PlayerUser:
    """Beside a folder of ours that it may pass."""
    for each in (folder, *folder.parents[:3]):
        each.chmod(each.stat().st_mode | 0o011)
    home = folder / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    return PlayerUser(NOBODY, NOBODY, home)


def tries(call: str) -> str:
    return f"try: {call}\nexcept OSError as error: assert error.errno in (1, 13, 101, 111), error"


def calls(function: str) -> str:
    """Of the C library, and refused."""
    return f"import ctypes\npart = (ctypes.c_size_t * 2)(1, 1)\nassert ctypes.CDLL(None).{function} == -1"


@as_root
@pytest.mark.parametrize(
    ("code", "kind", "what"),
    [
        (tries("open('/etc/shadow')"), READS, "/etc/shadow"),
        (tries("os.chdir('/etc') or open('shadow')"), READS, "/etc/shadow"),
        (tries("os.open('shadow', 0, dir_fd=os.open('/etc', os.O_PATH))"), READS, "/etc/shadow"),
        (tries("open('/proc/1/environ')"), READS, "/proc/1/environ"),
        (tries("open('/root/.aws/credentials')"), READS, "/root/.aws/credentials"),
        (tries("open('/etc/cron.d/mine', 'w')"), WRITES, "/etc/cron.d/mine"),
        (tries("open('/etc/passwd', 'r+')"), WRITES, "/etc/passwd"),
        (tries("open('/etc/new\\nline', 'w')"), WRITES, "/etc/new\\nline"),
        (tries("os.rename('/etc/hostname', '/tmp/mine')"), WRITES, "/etc/hostname"),
        (tries("os.rename(open(os.environ['HOME'] + '/mine', 'w').name, '/etc/mine')"), WRITES, "/etc/mine"),
        (tries("os.link('/etc/hostname', '/usr/bin/mine')"), WRITES, "/usr/bin/mine"),
        (tries("os.symlink('/', '/etc/mine')"), WRITES, "/etc/mine"),
        (tries("os.mkdir('mine', dir_fd=os.open('/etc', os.O_PATH))"), WRITES, "/etc/mine"),
        (tries("os.remove('/etc/passwd')"), WRITES, "/etc/passwd"),
        (tries("os.rmdir('/etc/cron.d')"), WRITES, "/etc/cron.d"),
        (tries("os.chmod('/etc/passwd', 0o777)"), WRITES, "/etc/passwd"),
        (tries("os.truncate('/etc/passwd', 0)"), WRITES, "/etc/passwd"),
        (tries("os.kill(1, 9)"), RIGHTS, "kill of process 1"),
        (tries("os.setuid(0)"), RIGHTS, "to be user 0"),
        (tries("os.setresuid(-1, 0, -1)"), RIGHTS, "to be user 0"),
        (tries("os.chroot('/')"), RIGHTS, "chroot"),
        (calls("ptrace(16, 1, 0, 0)"), RIGHTS, "ptrace of process 1"),
        (calls("process_vm_writev(1, part, 1, part, 1, 0)"), RIGHTS, "process_vm_writev of process 1"),
        (calls("mount(b'a', b'/', b'tmpfs', 0, None)"), RIGHTS, "mount"),
    ],
)
def test_files_of_others_are_told(tmp_path: Path, code: str, kind: str, what: str) -> None:
    assert Sighting(kind, what) in played(tmp_path, code, nobody(tmp_path)).sightings()


@as_root
def test_what_it_may_have_is_not_told(tmp_path: Path) -> None:
    code = """
open('/etc/hostname').close()
open('/proc/self/environ').close()
open(os.environ['HOME'] + '/save', 'w').close()
open('/tmp/save-of-a-player', 'w').close()
os.remove('/tmp/save-of-a-player')
try: open('/dev/mem')
except OSError: pass
try: open('/etc/is-not-there')
except OSError: pass
os.chdir(os.environ['HOME'])
os.makedirs('a/b', exist_ok=True)
os.rename('save', 'a/save')
os.link('a/save', 'a/hard')
os.symlink('/etc/shadow', 'a/soft')
os.chmod('a/save', 0o600)
os.truncate('a/save', 0)
for name in ('save', 'hard', 'soft'): os.remove('a/' + name)
os.removedirs('a/b')
for refused in (lambda: os.mkdir('/etc'), lambda: os.mkdir('/etc/cron.d'), lambda: os.remove('/etc/is-not-there')):
    try: refused()
    except OSError as error: assert error.errno in (2, 17), error
os.setuid(os.getuid())
os.kill(os.getpid(), 0)
os.kill(os.getppid(), 0) if os.getuid() == 0 else None
os.spawnl(os.P_WAIT, '/bin/true', 'true')
"""
    assert list(played(tmp_path, code, nobody(tmp_path)).sightings()) == []


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("socket.create_connection(('127.0.0.1', 9), 1)", None),
        ("socket.socket(socket.AF_INET6).connect(('::1', 9))", None),
        ("socket.socket(socket.AF_UNIX).connect('/etc/hostname')", None),
        ("socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))", "192.0.2.1:9"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.2', 9))", "192.0.2.2:9"),
        ("[end.send(b'sendto(2) without an address') for end in socket.socketpair()]", None),
    ],
)
def test_the_network_is_told_of_and_this_machine_is_not(tmp_path: Path, code: str, what: str | None) -> None:
    player = played(tmp_path, tries(code))
    assert list(player.sightings()) == ([Sighting(NETWORK, what)] if what else [])


@as_root
def test_a_process_that_it_starts_is_watched_too_and_few_of_many_are_told(tmp_path: Path) -> None:
    many = "for name in a b c d e f; do cat /root/$name; done"
    told = played(tmp_path, f"os.spawnl(os.P_WAIT, '/bin/sh', 'sh', '-c', '{many}')", nobody(tmp_path)).sightings()
    assert list(told) == [Sighting(READS, f"/root/{name}") for name in "abcdef"[:MOST_OF_A_KIND]]


@pytest.mark.parametrize(
    ("family", "host", "told"),
    [
        (socket.AF_INET, "169.254.169.254", "169.254.169.254:80"),
        (socket.AF_INET, "127.3.4.5", None),
        (socket.AF_INET, "0.0.0.0", None),
        (socket.AF_INET6, "::1", None),
        (socket.AF_INET6, "::", None),
        (socket.AF_INET6, "::ffff:127.0.0.1", None),
        (socket.AF_INET6, "::ffff:192.0.2.1", "192.0.2.1:80"),
        (socket.AF_INET6, "fd00:ec2::254", "[fd00:ec2:0:0:0:0:0:254]:80"),
    ],
)
def test_addresses_are_told_apart(family: socket.AddressFamily, host: str, told: str | None) -> None:
    packed = socket.inet_pton(family, host)
    address = struct.pack("=H", family) + struct.pack("!H", 80)
    address += packed if family == socket.AF_INET else bytes(4) + packed
    assert elsewhere(address) == told
    assert elsewhere(address[:7]) is None


@as_root
def test_a_program_that_would_run_as_another_user_is_told_and_does_not(tmp_path: Path) -> None:
    user = nobody(tmp_path)
    program = tmp_path / "become-root"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    code = f"import subprocess\nassert subprocess.check_output([{str(program)!r}, '-u']) == b'{NOBODY}\\n'"
    assert list(played(tmp_path, code, user).sightings()) == [Sighting(RIGHTS, f"to be user 0, by {program}")]


@pytest.mark.parametrize(
    "call", ["425, 8, 0", "0x40000000 | 257, -100, b'/etc/hostname', 0"], ids=["io_uring", "a number of x32's"]
)
def test_ways_to_act_unseen_do_not_exist(tmp_path: Path, call: str) -> None:
    code = f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall({call}) == -1
assert ctypes.get_errno() == errno.ENOSYS
"""
    assert list(played(tmp_path, code).sightings()) == []


@as_root
def test_a_player_below_another_supervised_program_is_seen_too(tmp_path: Path) -> None:
    """As on the other hosts of a job, where Ray starts it."""
    nobody(tmp_path)
    program = build(tmp_path, tries("open('/etc/shadow')"))
    supervised = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), "-", "-", "-"]
    command = [sys.executable, "-c", AS_NOBODY, str(program), str(tmp_path / "player.log"), str(NOBODY)]
    with subprocess.Popen([*supervised, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.wait(60) == 0
        assert process.stderr is not None
        told = process.stderr.read()
    assert str(Sighting(READS, "/etc/shadow")) in told


def test_where_the_kernel_cannot_tell_the_player_plays_all_the_same(tmp_path: Path) -> None:
    program = tmp_path / "Game.x86_64"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    command = [sys.executable, "-c", BLINDED, str(program), str(tmp_path / "player.log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "code=7" in done.stdout
    assert done.stdout.endswith("[]\n")


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not there")
def test_root_of_a_container_sees_as_much(tmp_path: Path) -> None:
    nobody(tmp_path)
    program = build(tmp_path, "\n".join(map(tries, ("open('/proc/1/environ')", "open('/proc/1/cwd/mine', 'w')"))))
    capabilities = ",".join(f"+{name}" for name in IN_A_CONTAINER.split(","))
    command = ["setpriv", f"--bounding-set=-all,{capabilities}", sys.executable, "-c", AS_NOBODY, str(program)]
    done = subprocess.run(
        [*command, str(tmp_path / "player.log"), str(NOBODY)], capture_output=True, text=True, timeout=60, check=True
    )
    told = [str(Sighting(READS, "/proc/1/environ")), str(Sighting(WRITES, "/proc/1/cwd/mine"))]
    assert done.stdout.splitlines()[1:] == told


def test_a_sample_build_reaches_for_nothing(basic: Path, tmp_path: Path) -> None:
    with UnityClient(basic, log_file=tmp_path / "player.log") as client:
        client.reset()
    assert kept(tmp_path) == []


@as_root
def test_it_is_kept_beside_the_log_for_the_job_to_tell(tmp_path: Path) -> None:
    user = nobody(tmp_path)
    for code in (tries("open('/etc/shadow')"), tries("open('/etc/new', 'w')")):
        played(tmp_path, code, user)
    assert set(kept(tmp_path)) == {Sighting(READS, "/etc/shadow"), Sighting(WRITES, "/etc/new")}
    assert [item["code"] for item in findings(kept(tmp_path))] == ["BuildSeeksCredentials", "BuildWritesForbidden"]


@as_root
def test_what_a_player_leaves_in_the_place_is_neither_believed_nor_written_to(tmp_path: Path) -> None:
    other, lie = tmp_path / "precious", tmp_path / f"lie{FILE_SUFFIX}"
    other.write_text("precious")
    lie.write_text("no JSON")
    os.chown(lie, NOBODY, NOBODY)
    (tmp_path / f"link{FILE_SUFFIX}").symlink_to(other)
    (tmp_path / f"hard{FILE_SUFFIX}").hardlink_to(other)
    os.mkfifo(tmp_path / f"fifo{FILE_SUFFIX}")
    assert kept(tmp_path) == []
    keep([Sighting(READS, "/etc/shadow")], tmp_path / f"link{FILE_SUFFIX}")
    assert other.read_text() == "precious"
    assert kept(tmp_path) == [Sighting(READS, "/etc/shadow")]


def test_many_attempts_make_a_short_text_that_names_every_finding() -> None:
    kinds = (READS, WRITES, NETWORK)
    many = [Sighting(kind, f"/{'x' * 100}{number}") for kind in kinds for number in range(MOST_OF_A_KIND)]
    text = seen([*many, Sighting(NETWORK, "169.254.170.2:80")])
    assert len(text) < 300
    for code in ("BuildSeeksCredentials", "BuildReadsForbidden", "BuildWritesForbidden", "BuildUsesNetwork"):
        assert code in text
    assert seen([]) == ""
