"""The control API's reading routes: runs, their artifacts, policies. Also answers what no route of the API takes."""

from functools import cache

from aws_lambda_powertools.event_handler import Response

from pipeline.api import runs
from pipeline.api.policies import describe_policy, list_policies, policy_history
from pipeline.api.proxy import answer, make_handler, make_resolver, read_run_query
from pipeline.aws import clients
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.served_policies import ServedPolicies
from pipeline.settings import ControlReadSettings

app = make_resolver()
handler = make_handler(app)


@app.get("/training-runs")
def list_runs() -> Response[str]:
    """Newest first; `policy`, `status`, `build_sha256`, `limit` and `next_token` choose."""
    return answer(_runs().table.list(**dict(read_run_query(app))))


@app.get("/training-runs/<run_id>")
def get_run(run_id: str) -> Response[str]:
    """Everything known about one run."""
    return answer(_runs().get(run_id))


@app.get("/training-runs/<run_id>/artifacts")
def get_artifacts(run_id: str) -> Response[str]:
    """Presigned URLs of what the run has made."""
    return answer(_runs().artifacts(run_id))


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
    settings = ControlReadSettings.from_environment()
    return answer(policy_history(PoliciesTable(clients.dynamodb(), settings.policies_table), policy))


@cache
def _runs() -> runs.Runs:
    return runs.connect(ControlReadSettings.from_environment())


@cache
def _policies() -> ServedPolicies:
    return ServedPolicies(clients.s3(), ControlReadSettings.from_environment().bucket_name)
