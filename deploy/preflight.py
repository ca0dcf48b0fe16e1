"""What the account lacks before the first run: quotas and permissions, and how to ask for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.account import Account
from deploy.permissions import denied_actions, needed_permissions
from deploy.quotas import Finding, held_quotas, low_quotas, wanted_quotas
from deploy.stages import Stage, read_bootstrap
from deploy.template import parameter_defaults


@dataclass(frozen=True)
class Preflight:
    """What was found. `denied`: actions with their resource."""

    stage: Stage
    caller: str
    low: tuple[Finding, ...]
    denied: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether a deployment and a first run can succeed."""
        return not self.denied and not any(one.missing for one in self.low)


def look(checkout: Path, account: Account, stage: Stage, instance_types: Iterable[str] = ()) -> Preflight:
    """Ask the account.

    Args:
        checkout: the repository.
        account: whose credentials are those that will deploy.
        stage: what will be deployed.
        instance_types: other types that requests will name for training.

    Raises:
        DeploymentError: the bootstrap stack is not there, or an answer is refused.
    """
    bootstrap = read_bootstrap(account, stage)
    wanted = wanted_quotas({**parameter_defaults(checkout), **stage.parameters}, instance_types)
    held = held_quotas(account, dict.fromkeys(one.service for one in wanted))
    return Preflight(
        stage,
        account.caller,
        tuple(low_quotas(wanted, held, account.region)),
        tuple(denied_actions(account, needed_permissions(account, stage, bootstrap))),
    )


def show(found: Preflight, console: Console) -> None:
    """A table of what is low, how to ask for more, and what is denied."""
    if found.low:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("quota", "is", "wanted", "needed by", ""):
            table.add_column(name, justify="right" if name in {"is", "wanted"} else "left")
        for one in found.low:
            verdict = (
                "MISSING" if one.missing else "without it only those wait or fail" if one.wanted.optional else "low"
            )
            table.add_row(
                one.wanted.name, f"{one.found.value:g}", f"{one.wanted.ample:g}", one.wanted.needed_by, verdict
            )
        console.print(table)
        console.print("\nAsk for more by a command each, or on the page below it:")
        for one in found.low:
            console.print(f"  {one.remedy}\n    {one.page}", highlight=False, soft_wrap=True, markup=False)
    if found.denied:
        console.print(f"\n{found.caller} may not:", highlight=False, soft_wrap=True, markup=False)
        for action in found.denied:
            console.print(f"  {action}", highlight=False, soft_wrap=True, markup=False)
        console.print(
            f"Attach the policy may-deploy-gamedojo-{found.stage.name}, the output MayDeployArn of the stack "
            f"{found.stage.bootstrap_stack}.",
            highlight=False,
            soft_wrap=True,
        )
    console.print("Ready." if found.ready else "\nNot ready.", highlight=False)
