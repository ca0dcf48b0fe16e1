"""Commands about policies: policies list, show, traffic, history, rollback, wake, delete."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gamedojo.cli.arguments import AsJson, Follow, PolicyName, PollSeconds, Yes, open_client
from gamedojo.cli.output import err, out, print_json, say
from gamedojo.cli.watching import follow_or_tell
from gamedojo.texts import duration_text, number_text, sparkline

if TYPE_CHECKING:
    from rich.table import Table

    from gamedojo.models import Behavior, Policy, PolicyTraffic

_CURVE_WIDTH = 40
_TRAFFIC = {
    "invocations": "invocations",
    "errors_4xx": "refused (4xx)",
    "errors_5xx": "failed (5xx)",
    "latency_ms_mean": "latency, ms",
    "latency_ms_p50": "  median",
    "latency_ms_p99": "  99 %",
}


class Window(StrEnum):
    """How far back from now."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


policies = typer.Typer(help="Policies in service: list, show, traffic, history, rollback, wake, delete.")


@policies.callback(invoke_without_command=True)
def _default(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Policies in service: list (done without a further word), show, traffic, history, rollback, wake, delete."""
    if ctx.invoked_subcommand is None:
        list_policies(as_json=as_json)


@policies.command("list")
def list_policies(as_json: AsJson = False) -> None:
    """List the policies in service."""
    with open_client() as client:
        found = client.policies()
    if as_json:
        print_json(found)
    elif found:
        out().print(_policy_table(found))
    else:
        err().print("No policy is in service.")


@policies.command()
def show(policy: PolicyName, as_json: AsJson = False) -> None:
    """Tell what a policy observes and does."""
    with open_client() as client:
        found = client.policy(policy)
    if as_json:
        print_json(found)
    else:
        out().print(_description(found))


@policies.command()
def traffic(
    policy: PolicyName,
    window: Annotated[Window, typer.Option(help="How far back from now.")] = Window.HOUR,
    as_json: AsJson = False,
) -> None:
    """Show how often a policy's endpoint was asked, what failed, and how long its model took."""
    with open_client() as client:
        found = client.traffic(policy, window=window)
    if as_json:
        print_json(found)
        return
    total = found.total
    say(
        f"{found.policy}: asked {total.invocations:,} times in {window}, "
        f"{total.errors_4xx:,} refused, {total.errors_5xx:,} failed"
    )
    if total.invocations:
        out().print(_traffic_table(found))


@policies.command()
def history(policy: PolicyName, as_json: AsJson = False) -> None:
    """List what was in service under this name, newest first."""
    with open_client() as client:
        found = client.policy_history(policy)
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("version", "in service since", "by run", "endpoint"):
        table.add_column(name, no_wrap=name != "endpoint")
    for one in found:
        asleep = f" (asleep since {one.asleep_since:%Y-%m-%d %H:%M})" if one.asleep_since else ""
        table.add_row(one.version, f"{one.at:%Y-%m-%d %H:%M}", one.run_id, one.endpoint_name + asleep)
    out().print(table)


@policies.command()
def rollback(
    policy: PolicyName,
    version: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="A version of the history; left out: the one before.")
    ] = "",
    follow: Follow = True,
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Bring an earlier version into service again: a run, which deploys and verifies it."""
    with open_client() as client:
        run = client.rollback(policy, version)
        words = f"{run.run_id} brings back {run.serves or 'the version before'}."
        follow_or_tell(client, run, poll_seconds, words, follow=follow, as_json=as_json)


@policies.command()
def wake(policy: PolicyName, follow: Follow = True, poll_seconds: PollSeconds = 2.0, as_json: AsJson = False) -> None:
    """Bring back an endpoint that was taken down because nobody asked it: a run."""
    with open_client() as client:
        run = client.wake(policy)
        follow_or_tell(client, run, poll_seconds, f"{run.run_id} wakes {policy}.", follow=follow, as_json=as_json)


@policies.command()
def delete(policy: PolicyName, yes: Yes = False, as_json: AsJson = False) -> None:
    """Take a policy out of service, with its endpoint, models and files; its runs stay."""
    if not yes:
        question = f"Take {policy} out of service for good, with its endpoint, models and files of all versions?"
        typer.confirm(question, abort=True, err=True)
    with open_client() as client:
        deleted = client.delete_policy(policy)
    if as_json:
        print_json(deleted)
    else:
        say(f"{deleted.policy} is out of service; {len(deleted.versions)} versions are gone.")


def _policy_table(found: tuple["Policy", ...]) -> "Table":
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("policy", "version", "endpoint", ""):
        table.add_column(name, no_wrap=name == "policy")
    for policy in found:
        table.add_row(policy.policy, policy.version, policy.endpoint_name, "asleep" if policy.asleep else "")
    return table


def _traffic_table(traffic: "PolicyTraffic") -> "Table":
    from rich.table import Table

    console = out()
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"by {duration_text(traffic.period_seconds)}", no_wrap=True)
    table.add_column("curve", no_wrap=True)
    for name in ("last", "least", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    width = min(_CURVE_WIDTH, max(8, console.width - 48))
    for metric, words in _TRAFFIC.items():
        if told := traffic.told(metric):
            curve = sparkline(told, width, ascii_only=console.options.ascii_only)
            table.add_row(words, curve, *map(number_text, (told[-1], min(told), max(told))))
    return table


def _description(policy: "Policy") -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    endpoint = f"{policy.endpoint_name} (asleep)" if policy.asleep else policy.endpoint_name
    for name, text in (("policy", policy.policy), ("version", policy.version), ("endpoint", endpoint)):
        table.add_row(name, text)
    for behavior in policy.behaviors:
        table.add_row("behavior", behavior.name)
        table.add_row("  observes", _observes(behavior))
        table.add_row("  acts", _acts(behavior))
        if behavior.memory_size:
            table.add_row("  remembers", f"{behavior.memory_size} numbers, by its state")
    return table


def _observes(behavior: "Behavior") -> str:
    return ", ".join(f"{sensor.name} {'x'.join(map(str, sensor.shape))}" for sensor in behavior.observations)


def _acts(behavior: "Behavior") -> str:
    parts = []
    if behavior.actions.discrete_branches:
        parts.append("discrete " + ", ".join(map(str, behavior.actions.discrete_branches)))
    if behavior.actions.continuous_size:
        parts.append(f"continuous {behavior.actions.continuous_size}")
    return "; ".join(parts)
