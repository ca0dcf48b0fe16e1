"""One server of the comparison, as a process of its own: `contestant.py NAME PORT FOLDER CASE`.

Each answers `POST /invocations` with the document of ours, checks it, and serves the policy in FOLDER. They are written
as their own documentation would have it. Names: `fastapi-onnx`, `fastapi-rlmodule`, `ray-serve`.

It imports nothing before it knows its name: the environments have different packages.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def session_of(folder: Path) -> Any:
    """ONNX Runtime with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = next((folder / "policies").glob("*.onnx"))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


OUTPUTS = ["deterministic_continuous_actions", "deterministic_discrete_actions"]


def act_with_onnx(session: Any, observations: Any) -> dict[str, Any]:
    import numpy as np

    from benchmarks.predict.policies import BRANCH

    array = np.asarray(observations, np.float32)
    masks = np.ones((len(array), BRANCH), np.float32)
    continuous, discrete = session.run(OUTPUTS, {"obs_0": array, "action_masks": masks})
    return {"continuous": continuous.tolist(), "discrete": discrete.tolist()}


def app_of(act: Any, rank: int) -> Any:
    """FastAPI, which checks requests by their types, and the shape as one would."""
    from fastapi import FastAPI, HTTPException
    from pydantic import BaseModel

    from benchmarks.predict.policies import VERSION

    Row: Any = list[float]  # noqa: N806 - a type
    for _ in range(rank):
        Row = list[Row]  # noqa: N806

    class Invocation(BaseModel):
        behavior: str
        observations: list[Row]
        action_masks: list[list[float]] | None = None
        deterministic: bool = True

    class Answer(BaseModel):
        version: str
        behavior: str
        continuous: list[list[float]]
        discrete: list[list[int]]

    app = FastAPI()

    @app.get("/ping")  # type: ignore[untyped-decorator]
    async def ping() -> dict[str, str]:
        return {}

    @app.post("/invocations")  # type: ignore[untyped-decorator]
    async def invocations(invocation: Invocation) -> Answer:
        try:
            actions = act(invocation.observations[0])
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return Answer(version=VERSION, behavior=invocation.behavior, **actions)

    return app


def serve_with_uvicorn(app: Any, port: int) -> None:
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def fastapi_onnx(port: int, folder: Path, shape: tuple[int, ...]) -> None:
    session = session_of(folder)
    serve_with_uvicorn(app_of(lambda observations: act_with_onnx(session, observations), len(shape)), port)


def fastapi_rlmodule(port: int, _folder: Path, shape: tuple[int, ...]) -> None:
    import gymnasium
    import numpy as np
    import torch
    from ray.rllib.core.columns import Columns
    from ray.rllib.core.rl_module import RLModuleSpec

    from benchmarks.predict.policies import BRANCH, CONTINUOUS, SENSOR, Case, network_of, resolved_network
    from rl_src.envs.specs import ActionSpec, ObservationSpec
    from rl_src.training.networks.rl_module import ActorCriticModule
    from rl_src.training.networks.rl_module import network_of as network_of_module

    torch.set_num_threads(1)
    case = Case("", 1, shape)
    module = RLModuleSpec(
        module_class=ActorCriticModule,
        observation_space=gymnasium.spaces.Box(-np.inf, np.inf, shape),
        action_space=gymnasium.spaces.Discrete(BRANCH),  # the module goes by the specs below
        inference_only=True,
        model_config={
            "observations": (ObservationSpec(SENSOR, shape),),
            "actions": ActionSpec(CONTINUOUS, (BRANCH,)),
            "network": resolved_network(case),
        },
    ).build()
    network_of_module(module).load_state_dict(network_of(case).state_dict())

    def act(observations: Any) -> dict[str, Any]:
        batch = {Columns.OBS: (torch.tensor(observations, dtype=torch.float32),)}
        with torch.no_grad():
            inputs = module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
        continuous = inputs[:, :CONTINUOUS].clamp(-3.0, 3.0) / 3.0
        discrete = inputs[:, 2 * CONTINUOUS :].argmax(dim=1, keepdim=True)
        return {"continuous": continuous.tolist(), "discrete": discrete.tolist()}

    serve_with_uvicorn(app_of(act, len(shape)), port)


def ray_serve(port: int, folder: Path, shape: tuple[int, ...]) -> None:
    import logging
    import signal

    import ray
    from ray import serve
    from starlette.requests import Request

    from benchmarks.predict.policies import VERSION

    @serve.deployment(ray_actor_options={"num_cpus": 0}, max_ongoing_requests=100)
    class Policy:
        def __init__(self) -> None:
            self.session = session_of(folder)

        async def __call__(self, request: Request) -> dict[str, Any]:
            if request.method == "GET":
                return {}
            document = await request.json()
            actions = act_with_onnx(self.session, document["observations"][0])
            return {"version": VERSION, "behavior": document["behavior"], **actions}

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Policy.bind(), route_prefix="/")  # type: ignore[attr-defined]
    signal.sigwait([signal.SIGTERM])
    ray.shutdown()


def main() -> None:
    name, port, folder, shape = sys.argv[1:]
    sys.path.insert(0, str(ROOT))
    serve = {"fastapi-onnx": fastapi_onnx, "fastapi-rlmodule": fastapi_rlmodule, "ray-serve": ray_serve}[name]
    serve(int(port), Path(folder), tuple(json.loads(shape)))


if __name__ == "__main__":
    main()
