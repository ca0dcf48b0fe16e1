"""A build in an actor answers as one of our own does, and fails as one does; the host's end is a failure, too.

In a process of its own: Ray's token is in the environment before ray is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_src.envs.build import unpack_build
from sample_builds.packer import pack

ROOT = Path(__file__).resolve().parents[3]

PRELUDE = """
import os, socket, sys
from pathlib import Path
import numpy as np
import psutil
from container.ray_node import RayNode, token_variables
from local.ports import free_port
os.environ.update(token_variables("token-of-this-test"))
from rl_src.envs.batches import Actions
from rl_src.training.settings.config import EnvironmentSettings, TrainingConfig
from rl_src.training.sampling.host_build import HostBuild
from rl_src.training.sampling.scenes import start_client

work, program = Path(sys.argv[1]), Path(sys.argv[2])
head = work / "head"
head.mkdir()
config = TrainingConfig(program, environment=EnvironmentSettings(arguments=tuple(sys.argv[3:])))

arguments = ["--head", f"--port={(port := free_port())}", f"--ray-client-server-port={free_port()}", "--num-cpus=1"]
arguments += ["--object-store-memory=100000000", "--include-dashboard=false"]
host = HostBuild(program, work)
node = RayNode(arguments, "127.0.0.2", "token-of-this-test", host.variables())
assert node.wait_until_started(lambda: False), node.output()
import ray
ray.init(address=f"127.0.0.2:{port}", _node_ip_address="127.0.0.2", log_to_driver=False)
from rl_src.training.sampling.remote_builds import BuildHostLostError, RemoteBuild
ID = ray.nodes()[0]["NodeID"]

def acted(build, steps, numbers):
    chosen = {}
    for name, step in steps.items():
        branches = build.specs[name].actions.discrete_branches
        moves = [[numbers.integers(branch) for branch in branches] for _ in range(len(step.decisions))]
        shape = (len(step.decisions), len(branches))
        continuous = numbers.uniform(-1, 1, (len(step.decisions), build.specs[name].actions.continuous_size))
        chosen[name] = Actions(continuous.astype(np.float32), np.array(moves, np.int32).reshape(shape))
    return chosen

def played(build, number):
    numbers = np.random.default_rng(1)
    build.send_reset({"some-parameter": 2.0})
    steps, told = build.receive(), []
    for _ in range(number):
        for name, step in sorted(steps.items()):
            for batch in (step.decisions, step.terminals):
                told.append((name, batch.agent_ids.tolist(), batch.rewards.tolist()))
                told.append([sensor.tolist() for sensor in batch.observations])
        build.send_step(acted(build, steps, numbers))
        while not build.has_answer():
            assert build.descriptors()
        steps = build.receive()
    return told

def expected(kind):
    try:
        played(RemoteBuild(ID, config, 0, 0, head), 500)
    except kind as error:
        print("failed as expected:", error)
    else:
        raise AssertionError("it did not fail")
"""

POSTLUDE = """
ray.shutdown()
node.close()
print("whole")
"""

SAME = """
build = RemoteBuild(ID, config, 0, 0, head)
ours = start_client(config, work, 0, 0)
assert played(build, 200) == played(ours, 200)
assert dict(build.specs) == dict(ours.specs)
assert build._connection is not None
with socket.socket(fileno=os.dup(build._connection.fileno())) as handle:
    assert handle.getpeername()[0] == "127.0.0.2"
ours.close()
found = psutil.process_iter(["cmdline"])
players = [item for item in found if str(program) in (item.info["cmdline"] or []) and item.pid != os.getpid()]
assert players
build.close()
build.close()
psutil.wait_procs(players, timeout=20)
assert not [item for item in players if item.is_running()]
"""

REFUSED = """
build = RemoteBuild(ID, config, 0, 0, head)
build.send_reset()
build.receive()
build.send_step({"nobody": Actions(np.zeros((1, 0), np.float32), np.zeros((1, 1), np.int32))})
try:
    build.receive()
except ValueError as error:
    assert "nobody" in str(error)
else:
    raise AssertionError
"""

LOST = """
build = RemoteBuild(ID, config, 0, 0, head)
build.send_reset()
build.receive()
below = psutil.Process(node.process.pid).children(recursive=True)
actor = next(item for item in below if item.cmdline()[:1] and item.cmdline()[0].startswith("ray::BuildActor"))
actor.kill()
actor.wait(20)
while not build.has_answer():
    pass
build.send_step({})
try:
    build.receive()
except BuildHostLostError as error:
    assert error.code == "BuildHostLost"
else:
    raise AssertionError
assert build.descriptors() == []
build.close()

told = RemoteBuild(ID, config, 1, 0, head)
told.send_reset()
told.lose()
assert told.has_answer()
try:
    told.receive()
except BuildHostLostError as error:
    pass
else:
    raise AssertionError

try:
    RemoteBuild("ab" * 28, config, 2, 0, head)
except BuildHostLostError as error:
    pass
else:
    raise AssertionError
"""

SEEN = """
from rl_src.envs.sightings import kept
real = program.rename(program.with_name("real"))
program.write_text(f'''#!{sys.executable}
import contextlib, os, socket, sys
with contextlib.suppress(OSError):
    socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
os.execv({str(real)!r}, [{str(real)!r}, *sys.argv[1:]])
''')
program.chmod(0o755)
build = RemoteBuild(ID, config, 0, 0, head)
played(build, 3)
assert kept(head) == []
build.close()
assert [(one.kind, one.what) for one in kept(head)] == [("network", "192.0.2.1:9")]
"""


@pytest.fixture
def run(tmp_path):
    def _run(build: str, program: str, *arguments: str) -> str:
        executable = unpack_build(pack(build, tmp_path), tmp_path / "build")
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + program + POSTLUDE, str(tmp_path), str(executable), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": paths},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.stdout.endswith("whole\n"), done.stdout + done.stderr
        return done.stdout

    return _run


@pytest.mark.parametrize("build", ["Basic", "3DBall"])
def test_the_same_seed_gives_the_same_game_there_as_here(run, build):
    run(build, SAME)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("fault", "error"), [("nan-reward", "NonFiniteRewardError"), ("exit", "BuildProcessError")], ids=["nan", "exit"]
)
def test_a_build_fails_there_as_here(run, fault, error):
    program = f"from rl_src.envs.errors import {error}\nexpected({error})\n"
    assert "Remedy" in run("Faulty", program, "--fault", fault, "--after", "30")


@pytest.mark.faults
def test_actions_that_do_not_fit_are_refused(run):
    run("Basic", REFUSED)


def test_a_host_that_is_gone_is_told_as_such(run):
    run("Basic", LOST)


def test_what_a_build_on_another_host_reaches_for_is_told_here(run):
    run("Basic", SEEN)
