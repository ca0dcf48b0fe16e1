"""The control API's reading routes: runs and what came of them, builds, policies, the API itself.

Also answers what no route of the API takes.
"""

from functools import cache

from aws_lambda_powertools.event_handler import Response

from pipeline.api import description, environments, runs, uploads
from pipeline.api.logs import Logs
from pipeline.api.metrics import Metrics
from pipeline.api.policies import describe_policy, list_policies, policy_history, policy_traffic
from pipeline.api.proxy import answer, answer_text, make_handler, make_resolver, read_query
from pipeline.aws import clients
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.contracts.api import BuildQuery, LogQuery, MetricsQuery, RunQuery, TrafficQuery
from pipeline.settings import ControlReadSettings


@cache
def _settings() -> ControlReadSettings:
    return ControlReadSettings.from_environment()


app = make_resolver()
handler = make_handler(app, lambda: _settings().allowed_origin)


@app.get("/training-runs")
def list_runs() -> Response[str]:
    """Newest first; `policy`, `status`, `build_sha256`, `limit` and `next_token` choose."""
    return answer(_runs().table.list(**dict(read_query(app, RunQuery))))


@app.get("/training-runs/<run_id>")
def get_run(run_id: str) -> Response[str]:
    """Everything known about one run."""
    return answer(_runs().get(run_id))


@app.get("/training-runs/<run_id>/artifacts")
def get_artifacts(run_id: str) -> Response[str]:
    """Presigned URLs of what the run has made."""
    return answer(_runs().artifacts(run_id))


@app.get("/training-runs/<run_id>/metrics")
def get_metrics(run_id: str) -> Response[str]:
    """How the training went, or goes."""
    return answer(Metrics(_runs(), clients.logs()).read(run_id, read_query(app, MetricsQuery)))


@app.get("/training-runs/<run_id>/logs")
def get_logs(run_id: str) -> Response[str]:
    """What the run's jobs print."""
    return answer(Logs(_runs(), clients.logs()).read(run_id, read_query(app, LogQuery)))


@app.get("/training-runs/<run_id>/report")
def get_report(run_id: str) -> Response[str]:
    """The evaluation's report."""
    return answer(_runs().report(run_id))


@app.get("/builds")
def list_builds() -> Response[str]:
    """Builds that were uploaded; `limit` and `next_token` choose."""
    return answer(_builds().list(**dict(read_query(app, BuildQuery))))


@app.get("/builds/<build_id>")
def get_build(build_id: str) -> Response[str]:
    """One build."""
    return answer(_builds().get(build_id))


@app.get("/registry")
def list_environments() -> Response[str]:
    """What was mirrored of a registry."""
    return answer(environments.connect(_settings().bucket_name).list())


@app.get("/policies")
def get_policies() -> Response[str]:
    """What is in service."""
    return answer(list_policies(_policies()))


@app.get("/policies/<policy>")
def get_policy(policy: str) -> Response[str]:
    """What one policy observes and does."""
    return answer(describe_policy(_policies(), policy))


@app.get("/policies/<policy>/history")
def get_history(policy: str) -> Response[str]:
    """What was in service under this name, newest first."""
    return answer(policy_history(PoliciesTable(clients.dynamodb(), _settings().policies_table), policy))


@app.get("/policies/<policy>/traffic")
def get_traffic(policy: str) -> Response[str]:
    """How often its endpoint was asked, and how fast it was."""
    return answer(policy_traffic(_policies(), clients.cloudwatch(), policy, read_query(app, TrafficQuery)))


@app.get("/health")
def get_health() -> Response[str]:
    """Whether the API answers, and which version of it."""
    return answer(description.health("control", _settings().stage))


@app.get("/openapi.json")
def get_description() -> Response[str]:
    """The API's OpenAPI document."""
    return answer_text(description.document("control"))


@cache
def _runs() -> runs.Runs:
    return runs.connect(_settings())


@cache
def _builds() -> uploads.Builds:
    return uploads.connect(_settings().bucket_name)


@cache
def _policies() -> ServedPolicies:
    return ServedPolicies(clients.s3(), _settings().bucket_name)
