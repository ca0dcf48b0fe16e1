"""Which quotas of the account the first runs need, and which are too low."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.errors import DeploymentError

GPU = "ml.g5.xlarge"
REAL_TIME = "ml.c7i.large"
"""Of requests that ask for a real-time endpoint and name no type (docs/request.schema.json)."""
LAMBDAS_AT_ONCE = 50
"""Two APIs and the states of a few runs; a new account may have 10."""


@dataclass(frozen=True)
class WantedQuota:
    """A quota by its name in Service Quotas.

    `least`: without so much nothing works, or only what `needed_by` says, where it is optional. `ample`: with less,
    things wait.
    """

    service: str
    name: str
    least: float
    ample: float
    needed_by: str
    optional: bool = False


@dataclass(frozen=True)
class Quota:
    """What the account has. `code` is "" for one that the region does not list."""

    value: float
    code: str


@dataclass(frozen=True)
class Finding:
    """A quota that is too low. `missing`: the first run would fail by it, rather than wait or do without."""

    wanted: WantedQuota
    found: Quota
    region: str

    @property
    def missing(self) -> bool:
        """Whether what everybody needs is not there."""
        return self.found.value < self.wanted.least and not self.wanted.optional

    @property
    def remedy(self) -> str:
        """The command that asks for more, or what else to do."""
        if not self.found.code:
            return f"{self.region} does not list it: is the type offered there?"
        return (
            f"aws service-quotas request-service-quota-increase --service-code {self.wanted.service} "
            f"--quota-code {self.found.code} --desired-value {math.ceil(self.wanted.ample)} --region {self.region}"
        )

    @property
    def page(self) -> str:
        """Where the console asks for more."""
        host = f"https://{self.region}.console.aws.amazon.com/servicequotas/home/services/{self.wanted.service}/quotas"
        return f"{host}/{self.found.code}" if self.found.code else host


def wanted_quotas(parameters: Mapping[str, str], instance_types: Iterable[str] = ()) -> list[WantedQuota]:
    """What runs need.

    Args:
        parameters: of template.yaml, all of them.
        instance_types: other types that requests will name for training.
    """
    at_once = max(1, int(parameters["MaxConcurrentRuns"]))
    training, evaluation = parameters["TrainingInstanceType"], parameters["EvaluationInstanceType"]
    jobs = {training: at_once}
    jobs[evaluation] = jobs.get(evaluation, 0) + at_once  # evaluations are training jobs, to SageMaker
    named = dict.fromkeys(instance_types)
    wanted = [_jobs(kind, ample, "every run") for kind, ample in jobs.items()]
    wanted += [_jobs(kind, 1, "what you name") for kind in named if kind not in jobs]
    if GPU not in named and GPU not in jobs:
        wanted.append(_jobs(GPU, 1, "requests that train on a GPU", optional=True))
    wanted += [
        WantedQuota("sagemaker", f"{kind} for spot training job usage", 1, at_once, "requests with spot", optional=True)
        for kind in dict.fromkeys([training, *named])
    ]
    return [
        *wanted,
        WantedQuota("sagemaker", f"{REAL_TIME} for endpoint usage", 1, 2, "real-time endpoints", optional=True),
        WantedQuota("lambda", "Concurrent executions", LAMBDAS_AT_ONCE, 1000, "both APIs and every state"),
    ]


def low_quotas(wanted: Iterable[WantedQuota], held: Mapping[tuple[str, str], Quota], region: str) -> list[Finding]:
    """Those that are less than ample, the missing ones first.

    Args:
        wanted: which.
        held: what the account has, by service and name.
        region: of the account.
    """
    found = [Finding(one, held.get((one.service, one.name), Quota(0, "")), region) for one in wanted]
    return sorted((one for one in found if one.found.value < one.wanted.ample), key=lambda one: not one.missing)


def held_quotas(account: Account, services: Iterable[str]) -> dict[tuple[str, str], Quota]:
    """Every quota of the services, as it is applied to the account.

    Raises:
        DeploymentError: they may not be listed.
    """
    client = account.client("service-quotas")
    held = {}
    for service in services:
        for operation in ("list_aws_default_service_quotas", "list_service_quotas"):  # the account's own come last
            try:
                for page in client.get_paginator(operation).paginate(ServiceCode=service):
                    for one in page["Quotas"]:
                        held[service, one["QuotaName"]] = Quota(one["Value"], one["QuotaCode"])
            except ClientError as error:
                raise DeploymentError(f"The quotas of {service} cannot be listed: {error}") from error
    return held


def _jobs(kind: str, ample: int, needed_by: str, *, optional: bool = False) -> WantedQuota:
    return WantedQuota("sagemaker", f"{kind} for training job usage", 1, ample, needed_by, optional)
