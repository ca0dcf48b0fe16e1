"""Commands about policies: predict, policies."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gamedojo.cli.output import err, out, print_json
from gamedojo.cli.request_options import read_json, read_json_file
from gamedojo.cli.run_commands import AsJson
from gamedojo.client import GamedojoClient
from gamedojo.errors import InputError
from gamedojo.models import Action, Behavior, Policy


def predict(
    policy: Annotated[str, typer.Argument(help="The policy, as `gamedojo policies` lists it.")],
    observation: Annotated[
        str, typer.Option(help="JSON: one sensor's numbers, a list of sensors, or an object by sensor name.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="The same from a file, or a whole request; - reads standard input.")
    ] = None,
    behavior: Annotated[str, typer.Option(help="Needed only when the policy has several.")] = "",
    sample: Annotated[
        bool, typer.Option("--sample", help="Sample the action instead of taking the likeliest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a policy for an action."""
    request = _predict_request(observation, file)
    if behavior:
        request["behavior"] = behavior
    if sample:
        request["deterministic"] = False
    with GamedojoClient() as client:
        prediction = client.predict_raw(policy, request)
    if as_json:
        print_json(prediction.document)
        return
    actions = prediction.actions if prediction.action is None else (prediction.action,)
    for action in actions or ():
        out().print(_action_words(action), markup=False, highlight=False, soft_wrap=True)


def policies(
    policy: Annotated[str, typer.Argument(help="Tell of this one what it observes and does.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the policies in service, or describe one."""
    with GamedojoClient() as client:
        found = (client.policy(policy),) if policy else client.policies()
    if as_json:
        print_json(found[0].document if policy else [one.document for one in found])
    elif policy:
        out().print(_description(found[0]))
    elif found:
        out().print(_policy_table(found))
    else:
        err().print("No policy is in service.")


def _predict_request(observation: str, file: Path | None) -> dict[str, Any]:
    if bool(observation) == (file is not None):
        raise InputError("An observation is needed, from one place.", "Give either --observation or --file.")
    if file is None:
        document = read_json(observation, "The observation")
    elif str(file) == "-":
        document = read_json(sys.stdin.read(), "Standard input")
    else:
        document = read_json_file(file, "The file")
    if isinstance(document, dict) and "observations" in document:
        return document
    if not isinstance(document, dict | list) or not document:
        raise InputError("The observation is no list and no object.", "For one sensor with 3 values: [0.1, 0.2, 0.3]")
    if isinstance(document, list) and not isinstance(document[0], list):
        document = [document]  # the numbers of a single sensor
    return {"observations": document}


def _action_words(action: Action) -> str:
    parts = []
    if action.discrete:
        parts.append("discrete " + " ".join(str(index) for index in action.discrete))
    if action.continuous:
        parts.append("continuous " + " ".join(f"{value:.6g}" for value in action.continuous))
    return "   ".join(parts) or "no action"


def _policy_table(found: tuple[Policy, ...]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("policy", "version", "endpoint"):
        table.add_column(name, no_wrap=name == "policy")
    for policy in found:
        table.add_row(policy.policy, policy.version, policy.endpoint_name)
    return table


def _description(policy: Policy) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in (("policy", policy.policy), ("version", policy.version), ("endpoint", policy.endpoint_name)):
        table.add_row(name, text)
    for behavior in policy.behaviors:
        table.add_row("behavior", behavior.name)
        table.add_row("  observes", _observes(behavior))
        table.add_row("  acts", _acts(behavior))
    return table


def _observes(behavior: Behavior) -> str:
    return ", ".join(f"{sensor.name} {'x'.join(map(str, sensor.shape))}" for sensor in behavior.observations)


def _acts(behavior: Behavior) -> str:
    parts = []
    if behavior.actions.discrete_branches:
        parts.append("discrete " + ", ".join(map(str, behavior.actions.discrete_branches)))
    if behavior.actions.continuous_size:
        parts.append(f"continuous {behavior.actions.continuous_size}")
    return "; ".join(parts)
