"""The control API's writing routes: runs begin and end, builds get a place, policies change their version."""

import time
from functools import cache
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from pipeline.api import environments, runs, serving, uploads
from pipeline.api.proxy import (
    answer,
    make_handler,
    make_resolver,
    read_body,
    read_idempotency_key,
    read_optional_body,
)
from pipeline.contracts.api import CompleteRequest, PartsRequest, RollbackRequest, UploadRequest
from pipeline.contracts.environments import MirrorRequest
from pipeline.contracts.request import TrainingRequest
from pipeline.settings import ControlWriteSettings


@cache
def _settings() -> ControlWriteSettings:
    return ControlWriteSettings.from_environment()


app = make_resolver()
handler = make_handler(app, lambda: _settings().allowed_origin)


@app.post("/training-runs")
def start_run() -> Response[str]:
    """Start the run that the body describes."""
    request, key = read_body(app, TrainingRequest), read_idempotency_key(app)
    return answer(_runs().start(request, _settings(), key), HTTPStatus.ACCEPTED)


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
    """A key, and URLs to upload a build to."""
    return answer(_builds().new(read_body(app, UploadRequest)), HTTPStatus.CREATED)


@app.post("/builds/<build_id>/parts")
def get_part_urls(build_id: str) -> Response[str]:
    """URLs to upload parts of a build to."""
    asked = read_optional_body(app, PartsRequest)
    return answer(_builds().part_urls(build_id, asked.first, asked.count))


@app.post("/builds/<build_id>/complete")
def complete_build(build_id: str) -> Response[str]:
    """Put the parts of a build together."""
    return answer(_builds().complete(build_id, read_body(app, CompleteRequest).size_bytes))


@app.delete("/builds/<build_id>")
def delete_build(build_id: str) -> Response[str]:
    """Remove a build, or give up one in parts."""
    return answer(_builds().delete(build_id))


@app.post("/registry")
def mirror_environment() -> Response[str]:
    """Make an upload the build of an environment."""
    return answer(environments.connect(_settings().bucket_name).add(read_body(app, MirrorRequest)))


@app.delete("/registry/<environment>")
def delete_environment(environment: str) -> Response[str]:
    """Forget an environment of a registry."""
    return answer(environments.connect(_settings().bucket_name).delete(environment))


@app.post("/policies/<policy>/rollback")
def rollback(policy: str) -> Response[str]:
    """Bring an earlier version into service again."""
    asked = read_optional_body(app, RollbackRequest)
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
def _builds() -> uploads.Builds:
    return uploads.connect(_settings().bucket_name)


@cache
def _serving() -> serving.Serving:
    return serving.connect(_runs(), _settings())


@cache
def _runs() -> runs.Runs:
    return runs.connect(_settings())
