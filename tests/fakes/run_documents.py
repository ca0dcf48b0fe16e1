"""Run records as the control API answers them, at any point of a run's life."""

from datetime import UTC, datetime, timedelta
from typing import Any

BEGAN = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN_ID = "basic-0a1b2c3d4e"
CHAIN = (
    "AdmitRun",
    "InspectBuild",
    "StartTraining",
    "CheckTraining",
    "ExtractCheckpoint",
    "StartEvaluation",
    "CheckEvaluation",
    "DecidePromotion",
    "DeployEndpoint",
    "CheckEndpoint",
    "VerifyEndpoint",
    "FinishRun",
)


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def run_document(state: str = "AdmitRun", status: str = "RUNNING", **fields: Any) -> dict[str, Any]:
    """A run that has come as far as `state`, one second for each state before it."""
    entered = CHAIN[: CHAIN.index(state) + 1]
    return {
        "run_id": RUN_ID,
        "policy": "basic",
        "status": status,
        "state": state,
        "created_at": at(0),
        "updated_at": at(len(entered)),
        "finished_at": at(len(entered)) if status != "RUNNING" else None,
        "execution_arn": "arn:aws:states:us-east-1:000000000000:execution:gamedojo-dev:1",
        "source_key": "builds/basic.zip",
        "build_key": f"runs/{RUN_ID}/build.zip",
        "options": {"seed": 0},
        "progress": {},
        "history": [{"state": name, "at": at(second)} for second, name in enumerate(entered)],
        **fields,
    }


def training(env_steps: int = 10_240, mean_return: float | None = 0.412) -> dict[str, Any]:
    progress = {
        "env_steps": env_steps,
        "env_steps_limit": 50_000,
        "mean_return": mean_return,
        "episodes": 812,
        "iteration": 10,
        "env_steps_per_second": 1204.5,
    }
    return run_document("CheckTraining", progress=progress)


def succeeded() -> dict[str, Any]:
    return {
        **training(31_232, 0.93),
        **run_document(
            "FinishRun",
            "SUCCEEDED",
            progress=training(31_232, 0.93)["progress"],
            evaluation={"mean_return": 0.93, "ci95_low": 0.93, "ci95_high": 0.93, "episodes": 100},
            promotion={"promote": True, "reasons": ["no policy is in service yet"]},
            endpoint={"name": "gamedojo-dev-basic", "config_name": "gamedojo-dev-basic-1", "status": "InService"},
        ),
    }


def kept() -> dict[str, Any]:
    document = run_document(
        "FinishRun",
        "KEPT",
        evaluation={"mean_return": 0.05, "ci95_low": 0.01, "ci95_high": 0.09, "episodes": 100},
        promotion={"promote": False, "reasons": ["mean return 0.05 is below the gate of 0.9"]},
    )
    skipped = {"DeployEndpoint", "CheckEndpoint", "VerifyEndpoint"}
    return {**document, "history": [entry for entry in document["history"] if entry["state"] not in skipped]}


def failed() -> dict[str, Any]:
    document = run_document(
        "FinishRun",
        "FAILED",
        failure={
            "code": "BuildRejected",
            "state": "InspectBuild",
            "cause": "The zip holds no Linux program.",
            "remedy": "Build for Linux (x86_64) in Unity and zip the folder.",
            "retryable": False,
        },
    )
    reached = {"AdmitRun", "InspectBuild", "FinishRun"}
    return {**document, "history": [entry for entry in document["history"] if entry["state"] in reached]}
