"""What of a policy's endpoints, configs and models is in use or may be needed again; the rest may go.

A version's config and model can be made again from `policies/<policy>/<version>/` at any time: their names come from
policy and version. What is kept beside those in use spares the next rollback that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.contracts.policy import CurrentPolicy, ServedVersion
from pipeline.contracts.run import RunRecord
from pipeline.rules import names

KEPT_VERSIONS = 5
"""So many versions that were in service last keep config and model."""


@dataclass(frozen=True)
class InUse:
    """Names: endpoints, and versions, which are a config and a model each."""

    endpoints: frozenset[str]
    versions: frozenset[str]


def in_use(
    prefix: str,
    policy: str,
    current: CurrentPolicy | None,
    history: Sequence[ServedVersion],
    served: Iterable[str | None],
    open_runs: Iterable[RunRecord],
) -> InUse:
    """What must stay of one policy.

    Args:
        prefix: of all names of the stack.
        policy: its name.
        current: what is in service; None: nothing is.
        history: what was, oldest first.
        served: configs that the policy's endpoints serve now, or are changing to.
        open_runs: runs that are not over, or not cleaned up after, of any policy.
    """
    runs = [run for run in open_runs if run.policy == policy]
    changing = [run.endpoint for run in runs if run.endpoint is not None]
    endpoints = {one.name for one in changing}
    if current is not None and not current.asleep:
        endpoints.add(current.endpoint_name)
    versions = {
        *served,
        *_last(history),
        *(names.version_name(prefix, policy, run.version, run.options.endpoint.mode) for run in runs),
        *(name for one in changing for name in (one.config_name, one.previous_config_name)),
    }
    return InUse(frozenset(endpoints), frozenset(name for name in versions if name))


def _last(history: Sequence[ServedVersion]) -> list[str]:
    return list(dict.fromkeys(one.config_name for one in reversed(history)))[:KEPT_VERSIONS]
