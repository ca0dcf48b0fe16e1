"""S3 and the SageMaker runtime as far as the Predict Lambda asks them, with answers made before.

`aws_stub.py PORT SHAPE`; the policy has one sensor of this shape.
"""

import asyncio
import json
import sys
from typing import Any

from benchmarks.predict.policies import BEHAVIOR, BRANCH, CONTINUOUS, SENSOR, VERSION

POLICY, ENDPOINT = "bench", "bench-endpoint"
SPEC_KEY = f"policies/{POLICY}/{VERSION}/policy_spec.json"

CURRENT: dict[str, Any] = {"policy": POLICY, "version": VERSION, "endpoint_name": ENDPOINT, "spec_key": SPEC_KEY}
ACTIONS: dict[str, Any] = {"version": VERSION, "behavior": BEHAVIOR, "continuous": [0.25, -0.5], "discrete": [3]}


def spec_of(shape: list[int]) -> dict[str, Any]:
    behavior = {
        "name": BEHAVIOR,
        "onnx": "policies/Bench.onnx",
        "observations": [{"name": SENSOR, "shape": shape}],
        "actions": {"continuous_size": CONTINUOUS, "discrete_branches": [BRANCH]},
    }
    return {"policy": POLICY, "version": VERSION, "behaviors": [behavior]}


def answer_to(path: str) -> bytes:
    """The head and body of an answer."""
    if path.endswith("policy_spec.json"):
        found = spec_of(json.loads(sys.argv[2]))
    else:
        found = CURRENT if path.endswith("current.json") else ACTIONS
    body = json.dumps(found).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = head.partition("content-length:")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(answer_to(head.split()[1].partition("?")[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
