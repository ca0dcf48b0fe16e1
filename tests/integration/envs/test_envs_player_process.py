"""The player's process: its end after any end of ours, its user, its surroundings."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rl_src.envs.player import Player, PlayerExit, PlayerLimits, PlayerUser, player_environment
from tests.fakes.running_processes import is_there

NOBODY = 65534
PARENT = """
import os, sys
from pathlib import Path
from rl_src.envs.client import UnityClient
client = UnityClient(Path(sys.argv[1]), log_file=Path(sys.argv[2]))
client.reset()
print(client._player.supervisor_pid, flush=True)
sys.stdin.read()
"""


def script(folder: Path, text: str) -> Path:
    program = folder / "Game.x86_64"
    program.write_text("#!/bin/sh\n" + text)
    program.chmod(0o755)
    return program


def start(program: Path, folder: Path, run_as: PlayerUser | None = None) -> Player:
    return Player([str(program)], folder / "player.log", run_as)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def family(supervisor: int) -> list[psutil.Process]:
    process = psutil.Process(supervisor)
    return [process, *process.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(is_there(process) for process in processes)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_end_of_the_trainer_leaves_an_orphan(basic: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(basic), str(tmp_path / "player.log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        processes = family(int(parent.stdout.readline()))
        home = Path(processes[1].environ()["HOME"])
        assert len(processes) == 2
        assert home.is_dir()
        parent.send_signal(number)
        eventually(lambda: all_gone(processes))
        eventually(lambda: not home.exists())


def test_a_hung_player_does_not_outlive_a_killed_trainer(faulty: Path, tmp_path: Path) -> None:
    text = PARENT.replace("client.reset()", "").replace("log_file", "arguments=['--fault', 'hang'], log_file")
    command = [sys.executable, "-c", text, str(faulty), str(tmp_path / "player.log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        processes = family(int(parent.stdout.readline()))
        parent.kill()
        eventually(lambda: all_gone(processes))


def test_the_player_does_not_outlive_its_supervisor(tmp_path: Path) -> None:
    player = start(script(tmp_path, "sleep 600\nsleep 600\n"), tmp_path)
    eventually(lambda: len(family(player.supervisor_pid)) > 2)
    processes = family(player.supervisor_pid)
    home = Path(processes[1].environ()["HOME"])
    assert home.is_dir()
    processes[0].kill()
    assert player.wait(10) == PlayerExit(signal_number=signal.SIGKILL)
    eventually(lambda: all_gone(processes))
    player.kill()
    assert not home.exists()


def test_what_the_player_started_ends_with_it(tmp_path: Path) -> None:
    """Also a helper in a session of its own, as a crash handler is, and when the player has ended before."""
    name = f"600.{os.getpid()}"  # seconds, and the mark by which they are known
    player = start(script(tmp_path, f"setsid sleep {name} & sleep {name} & exit 3\n"), tmp_path)
    assert player.wait(30) == PlayerExit(code=3)
    player.kill()
    assert [process for process in psutil.process_iter(["cmdline"]) if name in (process.info["cmdline"] or [])] == []


def test_kill_ends_a_player_that_ignores_signals(tmp_path: Path) -> None:
    player = start(script(tmp_path, "trap '' TERM INT HUP\nsleep 600\nsleep 600\n"), tmp_path)
    eventually(lambda: len(family(player.supervisor_pid)) > 2)
    processes = family(player.supervisor_pid)
    player.kill()
    assert all_gone(processes)
    player.kill()


def test_credentials_stay_with_the_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("GAMEDOJO_RUN_ID", "run")
    player = start(script(tmp_path, "env\n"), tmp_path)
    player.wait(30)
    player.kill()
    seen = dict(line.split("=", 1) for line in player.output_file.read_text().splitlines())
    assert "PATH" in seen
    assert "secret" not in seen.values()
    assert set(seen) <= {
        "PATH",
        "HOME",
        "TMPDIR",
        "PWD",
        "LANG",
        "LANGUAGE",
        "TZ",
        "DISPLAY",
        "LD_LIBRARY_PATH",
        "_",
        "SHLVL",
        "OLDPWD",
    } | {name for name in seen if name.startswith("LC_")}


def test_the_environment_of_a_player() -> None:
    mine = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "DISPLAY": ":1",
        "HOME": "/root",
        "AWS_SESSION_TOKEN": "x",
        "SM_CHANNELS": "y",
    }
    assert player_environment(mine, "/home/player") == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "DISPLAY": ":1",
        "HOME": "/home/player",
        "TMPDIR": "/home/player",
    }


SMALL = PlayerLimits(processes=20, disk_bytes=8 * 1024**2, log_bytes=1024**2)
FOREVER = "while true; do sleep 60; done\n"
OVERDOING = {
    "processes": f"i=0; while [ $i -lt 60 ]; do sleep 600 & i=$((i+1)); done; {FOREVER}",
    "processes that leave the session": f"i=0; while [ $i -lt 60 ]; do setsid sleep 600 & i=$((i+1)); done; {FOREVER}",
    "disk": f'head -c 30000000 /dev/zero > "$HOME/large"; {FOREVER}',
    "disk by its temporary folder": f'head -c 30000000 /dev/zero > "$TMPDIR/large"; {FOREVER}',
    "output": "while true; do head -c 4000000 /dev/zero; sleep 0.1; done\n",
}


@pytest.mark.parametrize("what", OVERDOING)
def test_a_player_that_takes_too_much_is_ended_with_all_that_it_started(tmp_path: Path, what: str) -> None:
    player = Player([str(script(tmp_path, OVERDOING[what]))], tmp_path / "player.log", limits=SMALL)
    supervisor = psutil.Process(player.supervisor_pid)
    eventually(lambda: "HOME" in supervisor.environ())  # not yet, between fork and exec
    home = Path(supervisor.environ()["HOME"])
    processes: list[psutil.Process] = []

    def ended() -> bool:
        if player.is_alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                processes.extend(supervisor.children(recursive=True))
        return not player.is_alive()

    eventually(ended)
    assert player.poll() == PlayerExit(exceeded=what.split()[0])
    assert all_gone(processes)
    assert not home.exists()


def test_a_long_log_is_emptied_and_the_player_goes_on(tmp_path: Path) -> None:
    """Twice more than there may be, with time in between, and then what it has to say."""
    once = "head -c 3000000 /dev/zero | tee -a player.log; sleep 2.5; "
    program = script(tmp_path, f"{once}{once}echo last words; exit 3\n")
    player = Player([str(program)], tmp_path / "player.log", limits=SMALL)
    eventually(lambda: not player.is_alive())
    assert player.poll() == PlayerExit(code=3)
    assert player.output_lines() == ["last words"]
    assert sum(path.stat().st_blocks * 512 for path in (player.log_file, player.output_file)) < 1024**2


def test_a_log_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    """The supervisor may be root, and what a link leads to is none of the player's."""
    precious = tmp_path / "precious"
    precious.write_bytes(bytes(3_000_000))
    player = Player(
        [str(script(tmp_path, "rm player.log; ln -s precious player.log; sleep 3\n"))],
        tmp_path / "player.log",
        limits=SMALL,
    )
    eventually(lambda: not player.is_alive())
    assert precious.stat().st_size == 3_000_000


def test_what_a_player_left_where_its_log_was_is_neither_read_nor_written_nor_given_away(tmp_path: Path) -> None:
    """A link to what only the trainer may read, for the next player's start and for the end of this one's log."""
    secret = tmp_path / "secret"
    secret.write_text("a key")
    secret.chmod(0o600)
    replace = "rm player.log player.log.out; ln -s secret player.log; ln secret player.log.out\n"
    first = start(script(tmp_path, replace), tmp_path)
    eventually(lambda: not first.is_alive())
    assert (tmp_path / "player.log").is_symlink()
    assert (tmp_path / "player.log.out").samefile(secret)
    assert first.log_lines() == first.output_lines() == []
    second = start(script(tmp_path, "echo hello\n"), tmp_path)
    eventually(lambda: not second.is_alive())
    assert (secret.read_text(), secret.stat().st_uid) == ("a key", os.getuid())
    assert second.output_lines() == ["hello"]


@pytest.mark.parametrize("inherited", [None, 5_000_000])
def test_the_kernels_limits_of_a_player_are_ours_or_lower(tmp_path: Path, inherited: int | None) -> None:
    """In a process that lowers its own first, for good."""
    code = f"""
import resource, sys
from pathlib import Path
from rl_src.envs.player import Player, PlayerLimits
if {inherited}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({inherited}, {inherited}))
player = Player([sys.argv[1]], Path(sys.argv[2]), limits=PlayerLimits(disk_bytes=8 * 1024**2))
player.wait(30)
print(player.poll(), *player.output_lines(), sep="; ")
"""
    program = script(tmp_path, "ulimit -f; ulimit -c; cat /proc/self/oom_score_adj\n")
    command = [sys.executable, "-c", code, str(program), str(tmp_path / "player.log")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    blocks = (inherited or 4 * 8 * 1024**2) // 512
    assert told.endswith(f"; {blocks}; 0; 500")
    assert told.startswith(str(PlayerExit(code=0)))


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "1.5", "²"])
def test_limits_are_positive_numbers(value: str) -> None:
    environment = {"GAMEDOJO_PLAYER_DISK_MB": value}
    if value:
        with pytest.raises(ValueError, match="GAMEDOJO_PLAYER_DISK_MB"):
            PlayerLimits.from_environment(environment)
    else:
        assert PlayerLimits.from_environment(environment) == PlayerLimits()
    assert PlayerLimits.from_environment({"GAMEDOJO_PLAYER_DISK_MB": "3"}).disk_bytes == 3 * 1024**2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop a process to another user")
def test_the_player_is_dropped_to_its_user(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the trainer")
    secret.chmod(0o600)
    shared = tmp_path / "build"
    home = tmp_path / "home"
    for folder in (shared, home):
        folder.mkdir()
    os.chown(home, NOBODY, NOBODY)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    text = f"id -u; id -G; cat {secret}; cat /proc/$PPID/environ\n"
    text += f"echo mine > $HOME/save && cat $HOME/save; touch {shared}/x\n"
    player = start(script(shared, text), tmp_path, PlayerUser(NOBODY, NOBODY, home))
    assert player.wait(30) == PlayerExit(code=1)
    player.kill()
    lines = player.output_file.read_text().splitlines()
    assert lines[:2] == [str(NOBODY), str(NOBODY)]
    assert len([line for line in lines if "Permission denied" in line]) == 3
    assert "mine" in lines
    assert "of the trainer" not in lines
    assert home.is_dir()
