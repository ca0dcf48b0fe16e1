"""ONNX Runtime alone, in this process: `alone.py MODEL AGENTS SHAPE SECONDS`. The limit of every server.

Prints one JSON line as `load.py` does.
"""

import json
import sys
import time
from array import array
from pathlib import Path

import numpy as np

from benchmarks.predict.contestant import OUTPUTS, session_of
from benchmarks.predict.policies import BRANCH, Case


def main() -> None:
    model, agents, shape, seconds = sys.argv[1:]
    case = Case("", int(agents), tuple(json.loads(shape)))
    session = session_of(Path(model))
    feed = {"obs_0": case.observations(), "action_masks": np.ones((case.agents, BRANCH), np.float32)}
    for _ in range(20):
        session.run(OUTPUTS, feed)
    latencies, now = array("d"), time.perf_counter()
    began = now
    while now < began + float(seconds):
        session.run(OUTPUTS, feed)
        after = time.perf_counter()
        latencies.append(after - now)
        now = after
    ordered = sorted(latencies)
    found = {
        "requests": len(ordered),
        "seconds": now - began,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
        "busy": 1.0,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
