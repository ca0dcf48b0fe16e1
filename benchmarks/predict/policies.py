"""The policies that are served, as a training exports them, and the requests for them."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rl_src.training.networks.network import PolicyNetwork
    from rl_src.training.settings.config import ResolvedNetwork

VERSION, BEHAVIOR, SENSOR = "bench-1", "Bench", "Sensor"
MODEL = f"policies/{BEHAVIOR}.onnx"
CONTINUOUS, BRANCH = 2, 5


@dataclass(frozen=True)
class Case:
    """One kind of request: so many agents, each with an observation of this shape."""

    title: str
    agents: int
    shape: tuple[int, ...]

    @property
    def policy(self) -> str:
        """Cases of one shape ask the same policy."""
        return "x".join(map(str, self.shape))

    @property
    def is_image(self) -> bool:
        return len(self.shape) > 1

    def observations(self) -> NDArray[np.float32]:
        """[agents, *shape]; pictures are bytes over 255, as Unity's are."""
        rng = np.random.default_rng(7)
        if self.is_image:
            return rng.integers(0, 256, (self.agents, *self.shape)).astype(np.float32) / np.float32(255)
        return rng.normal(size=(self.agents, *self.shape)).astype(np.float32)

    def json_body(self) -> bytes:
        """A batch in nested lists."""
        document = {"behavior": BEHAVIOR, "observations": [self.observations().round(4).tolist()]}
        return json.dumps(document, separators=(",", ":")).encode()

    def array_body(self) -> bytes:
        """Nothing but the observations: what the SageMaker toolkit's default decoder takes."""
        return json.dumps(self.observations().round(4).tolist(), separators=(",", ":")).encode()

    def msgpack_body(self) -> bytes:
        """Pictures as their bytes."""
        import msgspec

        data = (self.observations() * np.float32(255)).round().astype(np.uint8)
        tensor = {"dtype": "uint8", "shape": list(data.shape), "data": data.tobytes(), "divisor": 255.0}
        return msgspec.msgpack.encode({"behavior": BEHAVIOR, "observations": [tensor]})


CASES = (Case("1x8", 1, (8,)), Case("64x8", 64, (8,)), Case("84x84x3 image", 1, (3, 84, 84)))


def npy_body(case: Case) -> bytes:
    """The observations as a NumPy file of float32."""
    buffer = io.BytesIO()
    np.save(buffer, case.observations())
    return buffer.getvalue()


def request(path: str, content_type: str, body: bytes) -> bytes:
    """HTTP/1.1 as SageMaker's router sends it."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nAccept: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def resolved_network(case: Case) -> "ResolvedNetwork":
    """What a training chooses for such observations where nothing is said."""
    from rl_src.training.settings.config import ResolvedNetwork

    if case.is_image:
        return ResolvedNetwork((256, 256), "silu", True, image_encoder="simple")
    return ResolvedNetwork((64, 64), "tanh", True)


def network_of(case: Case) -> "PolicyNetwork":
    """The same weights for everybody."""
    import torch

    from rl_src.envs.specs import ActionSpec, ObservationSpec
    from rl_src.training.networks.network import PolicyNetwork

    torch.manual_seed(3)
    network = PolicyNetwork(
        (ObservationSpec(SENSOR, case.shape),),
        ActionSpec(CONTINUOUS, (BRANCH,)),
        resolved_network(case),
        with_critic=False,
    )
    return network.eval()


def write_policy(folder: Path, case: Case) -> Path:
    """A serving artifact with one behavior, exported as a training does it."""
    from rl_src.training.artifacts.onnx_export import export_onnx

    (folder / "policies").mkdir(parents=True)
    export_onnx(network_of(case), folder / MODEL)
    spec = {
        "format_version": 1,
        "policy": "bench",
        "version": VERSION,
        "behaviors": [
            {
                "name": BEHAVIOR,
                "onnx": MODEL,
                "observations": [{"name": SENSOR, "shape": list(case.shape)}],
                "actions": {"continuous_size": CONTINUOUS, "discrete_branches": [BRANCH]},
                "memory_size": 0,
            }
        ],
    }
    (folder / "policy_spec.json").write_text(json.dumps(spec))
    files = {name: {"sha256": _hash(folder / name)} for name in (MODEL, "policy_spec.json")}
    (folder / "manifest.json").write_text(json.dumps({"format_version": 1, "run_id": VERSION, "files": files}))
    return folder


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
