"""Names and keys: everything that is called something is named here.

SageMaker takes at most 63 characters of `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}` (botocore: `TrainingJobName`,
`EndpointName`, `EndpointConfigName`, `ModelName`). A name that would be longer loses the end of its policy part; the
digest that makes it unique stays.
"""

import re
from hashlib import sha256

MAX_NAME_LENGTH = 63
_MAX_POLICY_LENGTH = 40
_RUN_ID_POLICY_LENGTH = 36
_DIGEST_LENGTH = 12

BUILDS_PREFIX = "builds/"
PROJECT = "gamedojo"

VARIANT = "AllTraffic"
"""The one production variant of every endpoint."""

_REALTIME_SUFFIX = "-rt"

_SERVERLESS_SUFFIX = "--s"
"""Only of a policy whose own name ends as a real-time endpoint's does: no policy's name has two hyphens in a row."""


def policy_from_key(key: str) -> str:
    """The policy that a dropped build is for: `builds/<policy>.zip` or `builds/<policy>/<any>.zip`.

    Letters become lower case, everything but letters and digits a hyphen. A name of which nothing is left (a file named
    in another script, say) becomes `build-<digest>`.
    """
    path = key.removeprefix(BUILDS_PREFIX).removeprefix("uploads/")
    first, slash, _ = path.partition("/")
    return slug(first if slash else first.rsplit(".", 1)[0])


def policy_from_upload(key: str) -> str:
    """The policy of a POSTed request that names none: from the uploaded file's own name."""
    return slug(key.rsplit("/", 1)[-1].rsplit(".", 1)[0])


def slug(text: str) -> str:
    """A policy name made of any text."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_MAX_POLICY_LENGTH].strip("-")
    return name or f"build-{_digest(text)[:6]}"


def run_id(policy: str, bucket: str, key: str, version: str, request: str = "", attempt: int = 1) -> str:
    """The run's id: the same object version with the same request is the same run, wherever it is computed.

    Args:
        policy: for a readable beginning.
        bucket: the object's bucket.
        key: the object's key.
        version: its version id, or its ETag where the bucket keeps no versions.
        request: the effective request as JSON text; empty for a dropped build, whose configuration is in the zip.
        attempt: from 1 on; what failed is tried again as another run.
    """
    again = (str(attempt),) if attempt > 1 else ()
    digest = _digest("\n".join((bucket, key, version.strip('"'), request, *again)))
    return f"{policy[:_RUN_ID_POLICY_LENGTH].rstrip('-')}-{digest}"


def policy_of_run(run: str) -> str:
    """The policy that a run's id begins with; of a long name, its beginning."""
    return run[: -_DIGEST_LENGTH - 1].rstrip("-") or run[:_MAX_POLICY_LENGTH].rstrip("-")


def job_name(prefix: str, run: str, step: str, attempt: int) -> str:
    """A SageMaker job of a run; `step` is "train" or "eval"."""
    return _fit(prefix, run, f"-{step}-{attempt}")


def endpoint_name(prefix: str, policy: str, mode: str) -> str:
    """The policy's endpoint, and no other's.

    Real-time and serverless ones differ, for AWS refuses the update from one to the other.
    """
    if mode == "realtime":
        return f"{prefix}-{policy}{_REALTIME_SUFFIX}"
    return f"{prefix}-{policy}" + (_SERVERLESS_SUFFIX if policy.endswith(_REALTIME_SUFFIX) else "")


def policy_of_endpoint(prefix: str, endpoint: str) -> str:
    """The policy of an endpoint, of which nothing but its name may be left."""
    name = endpoint.removeprefix(f"{prefix}-")
    if name.endswith(_SERVERLESS_SUFFIX):
        return name.removesuffix(_SERVERLESS_SUFFIX)
    return name.removesuffix(_REALTIME_SUFFIX)


def error_alarm(endpoint: str) -> str:
    """The alarm on invocations that fail on the server's side (CloudWatch takes 255 characters)."""
    return f"{endpoint}-errors"


def latency_alarm(endpoint: str) -> str:
    """The alarm on a model that takes too long."""
    return f"{endpoint}-latency"


def alarms(endpoint: str) -> tuple[str, str]:
    """All alarms of an endpoint."""
    return error_alarm(endpoint), latency_alarm(endpoint)


def scalable_resource(endpoint: str) -> str:
    """What Application Auto Scaling calls the endpoint's instances."""
    return f"endpoint/{endpoint}/variant/{VARIANT}"


def tags(prefix: str, policy: str, run: str) -> dict[str, str]:
    """On everything that is made in AWS for a run; the template's resources have the first two from the stack."""
    return {
        "project": PROJECT,
        "stage": prefix.removeprefix(f"{PROJECT}-"),
        "policy": policy,
        "run_id": run,
    }


def version_name(prefix: str, policy: str, version: str, mode: str = "") -> str:
    """Model and endpoint config of one version of a policy."""
    return _fit(prefix, f"{policy}-{_digest(version + mode)}", "")


def are_of_one_policy(version: str, other: str) -> bool:
    """Whether two names that `version_name` made, or might have, are of one policy's versions."""
    return version[: -_DIGEST_LENGTH - 1] == other[: -_DIGEST_LENGTH - 1]


def request_key(run: str) -> str:
    """Where a POSTed request is stored; a dropped build has none."""
    return run_key(run, "request.json")


def run_key(run: str, path: str) -> str:
    """A key of one run."""
    return f"runs/{run}/{path}"


def serving_artifact_key(run: str) -> str:
    """What is served of a run, should it be deployed."""
    return run_key(run, "serving/model.tar.gz")


def policy_key(policy: str, path: str) -> str:
    """A key of one policy."""
    return f"policies/{policy}/{path}"


def _fit(prefix: str, middle: str, suffix: str) -> str:
    """Join the parts; a middle that is too long is cut before its last 13 characters, hyphen and digest."""
    room = MAX_NAME_LENGTH - len(prefix) - 1 - len(suffix)
    if len(middle) > room:
        tail = middle[-_DIGEST_LENGTH - 1 :]
        middle = middle[: room - len(tail)].rstrip("-") + tail
    return f"{prefix}-{middle}{suffix}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
