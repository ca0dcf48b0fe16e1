"""Builds as slow as real ones, side by side: does the trainer keep all of them busy?"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.envs.contestant import executable
from benchmarks.envs.costless_build import BEHAVIOR, CONTINUOUS_ACTIONS
from benchmarks.envs.echo import SocketEcho
from rl_src.envs.batches import Actions
from rl_src.envs.client import UnityClient
from rl_src.envs.group import BuildGroup

GROUPS = (1, 4, 8)
AGENTS = 8
SLEEP, JITTER, STRAGGLER = 0.005, 0.002, 0.020
SECONDS = 3.0


def measure_group(number: int) -> tuple[float, float]:
    """Steps a second of all builds together: with our group, and with echoes that let each run at its own ceiling."""
    with tempfile.TemporaryDirectory() as folder:
        program = executable(Path(folder), sys.executable)
        ceiling = steps_against_echoes(program, number)
        return _in_a_group(program, number), ceiling


def build_arguments(index: int, number: int) -> list[str]:
    """The last of several is the straggler."""
    sleep = STRAGGLER if number > 1 and index == number - 1 else SLEEP
    return ["--agents", str(AGENTS), "--sleep", str(sleep), "--jitter", str(JITTER)]


def _in_a_group(program: Path, number: int) -> float:
    def start(index: int, _generation: int) -> UnityClient:
        return UnityClient(program, arguments=build_arguments(index, number), graphics=False)

    actions = {BEHAVIOR: Actions(np.zeros((AGENTS, CONTINUOUS_ACTIONS), np.float32), np.zeros((AGENTS, 0), np.int32))}
    with BuildGroup(start, number) as group:
        group.reset()
        for index in range(number):
            group.send_step(index, actions)
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < SECONDS:
            for index, _ in group.receive():
                group.send_step(index, actions)
                count += 1
        return count / passed


def steps_against_echoes(program: Path, number: int) -> float:
    """The builds' own ceiling: steps a second of all of them, answered at once by echoes of their own."""
    with contextlib.ExitStack() as stack:
        echoes = [stack.enter_context(SocketEcho(AGENTS)) for _ in range(number)]
        for index, echo in enumerate(echoes):
            stack.enter_context(_running([program, "--mlagents-port", str(echo.port), *build_arguments(index, number)]))
        counts = [0] * number
        over = threading.Event()

        def serve(index: int) -> None:
            while not over.is_set():
                echoes[index].exchange()
                counts[index] += 1

        for echo in echoes:
            for _ in range(5):
                echo.exchange()  # all have begun
        threads = [threading.Thread(target=serve, args=(index,)) for index in range(number)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        time.sleep(SECONDS)
        over.set()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)


@contextlib.contextmanager
def _running(command: list[str | Path]) -> Iterator[None]:
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()
