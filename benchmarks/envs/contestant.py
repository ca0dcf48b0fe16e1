"""One side of the comparison, as a process of its own: `contestant.py NAME --seconds S -- <build's arguments>`.

Prints one JSON line: exchanges, seconds. Names: `ours`; `echo-sockets` and `echo-grpcio`, which answer every message
with the same bytes and do nothing else; `decoder`, which has no build and only decodes one message's PNG pictures again
and again; `mlagents`, the reference's client of whichever environment runs this file.

It imports nothing before it knows its name: the environments have different packages.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BUILD = Path(__file__).with_name("costless_build.py")
ROOT = Path(__file__).parents[2]
WARM_UP_EXCHANGES, WARM_UP_SECONDS = 100, 2.0
"""Whichever comes first: the reference needs half a second for a message of pictures as numbers."""


def measure(exchange: Callable[[], None], seconds: float, exchanges: int | None) -> dict[str, float]:
    """Run for so long, or for so many exchanges."""
    _warm_up(exchange)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds if exchanges is None else count < exchanges:
        exchange()
        count += 1
    return {"exchanges": count, "seconds": time.perf_counter() - began}


def _warm_up(exchange: Callable[[], None]) -> None:
    until = time.perf_counter() + WARM_UP_SECONDS
    for _ in range(WARM_UP_EXCHANGES):
        exchange()
        if time.perf_counter() > until:
            break


def executable(folder: Path, python: str) -> Path:
    """The costless build as a program: started by the interpreter that has its packages."""
    program = folder / "Costless.x86_64"
    program.write_text(
        f"#!{python}\nimport runpy, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"runpy.run_path({str(BUILD)!r}, run_name='__main__')\n"
    )
    program.chmod(0o755)
    return program


def run_ours(
    program: Path, build: list[str], seconds: float, exchanges: int | None = None, shares: bool = False
) -> dict[str, float]:
    import numpy as np
    import psutil

    from benchmarks.envs.costless_build import BEHAVIOR, CONTINUOUS_ACTIONS
    from rl_src.envs.client import Actions, UnityClient

    with UnityClient(program, arguments=build, graphics=False) as client:
        agents = len(client.reset()[BEHAVIOR].decisions)
        actions = {
            BEHAVIOR: Actions(np.zeros((agents, CONTINUOUS_ACTIONS), np.float32), np.zeros((agents, 0), np.int32))
        }

        def exchange() -> None:
            client.step(actions)

        if shares:
            return measure_shares(exchange, seconds)
        if exchanges is None:
            return measure(exchange, seconds, None)
        # Memory: after the first fifth everything that is kept has been made.
        measure(exchange, seconds, exchanges // 5)
        before = psutil.Process().memory_info().rss
        result = measure(exchange, seconds, exchanges - exchanges // 5)
        return {**result, "grown_bytes": psutil.Process().memory_info().rss - before}


def measure_shares(exchange: Callable[[], None], seconds: float) -> dict[str, float]:
    """Where our client's time goes: waiting for the message (the build and gRPC), decoding, pictures alone."""
    from rl_src.envs import agent_messages
    from rl_src.envs.decoding import BehaviorDecoder
    from rl_src.envs.transport import ExchangeServer

    spent: dict[str, float] = {}

    def timed(name: str, owner: object, function: str) -> None:
        original = getattr(owner, function)

        def wrapper(*arguments: object, **keywords: object) -> object:
            began = time.perf_counter()
            try:
                return original(*arguments, **keywords)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - began

        setattr(owner, function, wrapper)

    timed("waiting", ExchangeServer, "receive")
    timed("decoding", BehaviorDecoder, "decode")
    timed("pictures", agent_messages, "decode_png")
    _warm_up(exchange)
    spent.clear()
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        exchange()
    return {name: spent.get(name, 0.0) / passed for name in ("waiting", "decoding", "pictures")}


def run_echo(program: Path, build: list[str], seconds: float, grpcio: bool) -> dict[str, float]:
    import subprocess

    from benchmarks.envs.costless_build import options
    from benchmarks.envs.echo import GrpcioEcho, SocketEcho

    server = GrpcioEcho if grpcio else SocketEcho
    agents = options([*build, "--mlagents-port", "0"]).agents
    with server(agents) as echo, subprocess.Popen([program, *build, "--mlagents-port", str(echo.port)]) as process:
        try:
            return measure(echo.exchange, seconds, None)
        finally:
            process.kill()


def run_decoder(build: list[str], seconds: float) -> dict[str, float]:
    import pyspng

    from benchmarks.envs.costless_build import Messages, options

    message = Messages(options([*build, "--mlagents-port", "0"])).first()
    (infos,) = message.unity_output.rl_output.agentInfos.values()
    pictures = [agent.observations[0].compressed_data for agent in infos.value]

    def decode() -> None:
        for picture in pictures:
            pyspng.load(picture)

    return measure(decode, seconds, None)


def run_mlagents(program: Path, build: list[str], seconds: float) -> dict[str, float]:
    import socket

    import numpy as np
    from mlagents_envs.base_env import ActionTuple
    from mlagents_envs.environment import UnityEnvironment

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = UnityEnvironment(str(program), base_port=port, no_graphics=True, additional_args=build)
    try:
        env.reset()
        (behavior,) = env.behavior_specs
        size = env.behavior_specs[behavior].action_spec.continuous_size
        agents = len(env.get_steps(behavior)[0])
        actions = ActionTuple(continuous=np.zeros((agents, size), np.float32))

        def exchange() -> None:
            env.set_actions(behavior, actions)
            env.step()
            env.get_steps(behavior)

        return measure(exchange, seconds, None)
    finally:
        env.close()


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("ours", "echo-sockets", "echo-grpcio", "decoder", "mlagents"))
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--exchanges", type=int)
    parser.add_argument("--shares", action="store_true")
    parser.add_argument("--build-python", default=sys.executable)
    parser.add_argument("--fast-protobuf", action="store_true")
    chosen = parser.parse_args(arguments[:split])
    build = arguments[split + 1 :]
    if chosen.fast_protobuf:
        from benchmarks.envs import fast_protobuf

        fast_protobuf.install()
    with tempfile.TemporaryDirectory() as folder:
        program = executable(Path(folder), chosen.build_python)
        if chosen.name == "ours":
            result = run_ours(program, build, chosen.seconds, chosen.exchanges, chosen.shares)
        elif chosen.name == "decoder":
            result = run_decoder(build, chosen.seconds)
        elif chosen.name == "mlagents":
            result = run_mlagents(program, build, chosen.seconds)
        else:
            result = run_echo(program, build, chosen.seconds, grpcio=chosen.name == "echo-grpcio")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
