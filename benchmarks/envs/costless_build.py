"""A Unity build that costs nothing: it sends messages that were made before, and does not look at the answers.

    costless_build.py --mlagents-port N --agents N --size N [--image png|floats] [--sleep SECONDS] [--jitter SECONDS]

What is left is the other side's cost and that of gRPC itself. The messages are a ring of several, like a game's:
consecutive episode ids, a reward for everyone who has acted, and for about one agent step in a hundred the end of an
episode and the next one's first decision in the same message.

With `--sleep` it is as slow as a real game, and at its end writes how long it slept to `--report FILE`.
"""

import argparse
import contextlib
import io
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from rl_src.envs.protocol import EXCHANGE_METHOD, message_class

BEHAVIOR = "Costless?team=0"
CONTINUOUS_ACTIONS = 2
IMAGE_SHAPE = (3, 84, 84)
RING = 32
END_CHANCE = 0.01
QUIT = 400

_FIRST_ID = 3000
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlagents-port", type=int, required=True)
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--image", choices=("png", "floats"))
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--report", type=Path)
    return parser.parse_known_args(arguments)[0]


class Messages:
    """Makes the messages of one game."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._random = random.Random(0)
        self._pictures = [_picture(self._random) for _ in range(8)] if chosen.image else []
        self._ids = list(range(_FIRST_ID, _FIRST_ID + chosen.agents))
        self._next_id = _FIRST_ID + chosen.agents

    def greeting(self) -> Any:
        message = envelope()
        output = message.unity_output.rl_initialization_output
        output.name, output.communication_version, output.package_version = "AcademySingleton", "1.5.0", "4.0.0"
        for capability in ("baseRLCapabilities", "hybridActions", "compressedChannelMapping"):
            setattr(output.capabilities, capability, True)
        for capability in ("concatenatedPngObservations", "variableLengthObservation", "multiAgentGroups"):
            setattr(output.capabilities, capability, True)
        return message

    def first(self) -> Any:
        """The state that describes the behavior."""
        message = self.state(begin=True)
        brain = message.unity_output.rl_initialization_output.brain_parameters.add()
        brain.brain_name, brain.is_training = BEHAVIOR, True
        brain.action_spec.num_continuous_actions = CONTINUOUS_ACTIONS
        return message

    def state(self, begin: bool = False) -> Any:
        message = envelope()
        agents = message.unity_output.rl_output.agentInfos[BEHAVIOR].value
        for index, agent_id in enumerate(self._ids):
            reward = 0.0 if begin else self._random.uniform(0.05, 0.15)
            if not begin and self._random.random() < END_CHANCE:
                self._observe(agents.add(id=agent_id, reward=reward, done=True))
                self._ids[index], reward = self._next_id, 0.0
                self._next_id += 1
            self._observe(agents.add(id=self._ids[index], reward=reward))
        return message

    def _observe(self, agent: Any) -> None:
        if not self._chosen.image:
            size = self._chosen.size
            sensor = agent.observations.add(name=f"VectorSensor_size{size}", shape=[size], dimension_properties=[1])
            sensor.float_data.data.extend(self._random.uniform(-1, 1) for _ in range(size))
            return
        pixels, png = self._random.choice(self._pictures)
        sensor = agent.observations.add(name="CameraSensor", shape=IMAGE_SHAPE, dimension_properties=[1, 2, 2])
        if self._chosen.image == "png":
            sensor.compression_type, sensor.compressed_data = 1, png
            sensor.compressed_channel_mapping.extend([0, 1, 2])
        else:
            sensor.float_data.data.extend(pixels)


def envelope() -> Any:
    message = message_class("UnityMessageProto")()
    message.header.status = 200
    return message


def _picture(numbers: random.Random) -> tuple[list[float], bytes]:
    """A picture as a simple scene gives it: a dozen coloured shapes; its values and its PNG."""
    import numpy as np
    from PIL import Image, ImageDraw

    _, height, width = IMAGE_SHAPE
    image = Image.new("RGB", (width, height), (90, 90, 200))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = numbers.randrange(width), numbers.randrange(height)
        draw.ellipse((x, y, x + 15, y + 12), fill=tuple(numbers.randrange(256) for _ in range(3)))
    data = io.BytesIO()
    image.save(data, "png")
    return (np.asarray(image).transpose(2, 0, 1).ravel() / 255).tolist(), data.getvalue()


def play(chosen: argparse.Namespace) -> None:
    messages = Messages(chosen)
    greeting, empty, first = (item.SerializeToString() for item in (messages.greeting(), envelope(), messages.first()))
    ring = [messages.state().SerializeToString() for _ in range(RING)]
    pause = _pause(chosen)
    with grpc.insecure_channel(f"localhost:{chosen.mlagents_port}", options=_UNLIMITED) as channel:
        call: Callable[..., bytes] = channel.unary_unary(EXCHANGE_METHOD)
        call(greeting, wait_for_ready=True, timeout=60)
        call(empty)
        answer, count, slept = call(first), 0, 0.0
        goodbye = _goodbye()
        while not answer.startswith(goodbye):
            if pause is not None:
                began = time.perf_counter()
                time.sleep(pause())
                slept += time.perf_counter() - began
            answer = call(ring[count % RING])
            count += 1
    if chosen.report is not None:
        chosen.report.write_text(json.dumps({"steps": count, "slept_seconds": slept}))


def _pause(chosen: argparse.Namespace) -> Callable[[], float] | None:
    if not chosen.sleep:
        return None
    numbers = random.Random(chosen.mlagents_port)
    return lambda: numbers.uniform(chosen.sleep - chosen.jitter, chosen.sleep + chosen.jitter)


def _goodbye() -> bytes:
    message = message_class("UnityMessageProto")()
    message.header.status = QUIT
    return bytes(message.SerializeToString())


if __name__ == "__main__":
    with contextlib.suppress(grpc.RpcError):  # the other side is gone
        play(options())
