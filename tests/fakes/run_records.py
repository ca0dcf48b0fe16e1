"""Run records as a run leaves them on its way."""

from datetime import datetime
from typing import Any

from pipeline.contracts.request import RunOptions
from pipeline.contracts.run import RunRecord, RunStatus


def training_run(run_id: str, at: datetime, **more: Any) -> RunRecord:
    """One that trains, unless `more` says otherwise."""
    fields: dict[str, Any] = {
        "run_id": run_id,
        "policy": "basic",
        "status": RunStatus.RUNNING,
        "state": "CheckTraining",
        "created_at": at,
        "updated_at": at,
        "execution_arn": "arn:aws:states:us-east-1:123456789012:execution:train:e",
        "source_key": "builds/basic.zip",
        "build_key": f"runs/{run_id}/build.zip",
        "options": RunOptions(),
        **more,
    }
    return RunRecord(**fields)
