"""The control API's writing routes: runs begin and end, builds get a place, policies change their version."""

import time
from functools import cache
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from pipeline.api import runs, serving
from pipeline.api.proxy import answer, make_handler, make_resolver, read_body
from pipeline.api.uploads import new_upload
from pipeline.aws import clients
from pipeline.contracts.api import RollbackRequest, UploadRequest
from pipeline.contracts.request import TrainingRequest
from pipeline.settings import ControlWriteSettings

app = make_resolver()
handler = make_handler(app)


@app.post("/training-runs")
def start_run() -> Response[str]:
    """Start the run that the body describes."""
    return answer(_runs().start(read_body(app, TrainingRequest), _settings()), HTTPStatus.ACCEPTED)


@app.delete("/training-runs/<run_id>")
def cancel_run(run_id: str) -> Response[str]:
    """End a run. 202 while what it made is being taken back, 200 for one that is over."""
    record = _runs().cancel(run_id)
    return answer(record, HTTPStatus.ACCEPTED if record.is_open else HTTPStatus.OK)


@app.post("/training-runs/<run_id>/redrive")
def redrive_run(run_id: str) -> Response[str]:
    """Begin a run that failed or was cancelled again, after its last completed job."""
    return answer(_runs().redrive(run_id), HTTPStatus.ACCEPTED)


@app.post("/builds")
def new_build() -> Response[str]:
    """A key and a URL to upload a build to."""
    request = read_body(app, UploadRequest)
    return answer(new_upload(clients.s3(), _settings().bucket_name, request), HTTPStatus.CREATED)


@app.post("/policies/<policy>/rollback")
def rollback(policy: str) -> Response[str]:
    """Bring an earlier version into service again."""
    asked = read_body(app, RollbackRequest) if app.current_event.body else RollbackRequest()
    return answer(_serving().rollback(policy, asked.version), HTTPStatus.ACCEPTED)


@app.post("/policies/<policy>/wake")
def wake(policy: str) -> Response[str]:
    """Bring back an endpoint that was taken down because nobody asked it."""
    return answer(_serving().wake(policy), HTTPStatus.ACCEPTED)


@app.delete("/policies/<policy>")
def delete_policy(policy: str) -> Response[str]:
    """Take a policy out of service, with everything that serves it."""
    return answer(_serving().delete(policy, int(time.time())))


@cache
def _serving() -> serving.Serving:
    return serving.connect(_runs(), _settings())


@cache
def _runs() -> runs.Runs:
    return runs.connect(_settings())


@cache
def _settings() -> ControlWriteSettings:
    return ControlWriteSettings.from_environment()
