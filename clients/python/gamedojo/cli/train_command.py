"""The command train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamedojo.cli.arguments import AsJson, Follow, PollSeconds, open_client
from gamedojo.cli.output import err, print_json, say
from gamedojo.cli.request_options import training_request
from gamedojo.cli.uploads import check_zip, upload
from gamedojo.cli.watching import watch_to_the_end

if TYPE_CHECKING:
    from gamedojo.models import CreatedRun

RUN_APPEARS_WITHIN_SECONDS = 60.0
_REGISTRY = "registry:"


def train(
    build: Annotated[
        Path,
        typer.Argument(
            metavar="ZIP",
            help="A zip of a Linux build with ML-Agents; or registry:ID, an environment that was mirrored.",
        ),
    ],
    policy: Annotated[str, typer.Option(help="The policy's name; left out: made from the file's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A training request in a JSON file.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One field of the request, as hyperparameters.lr=0.0003."),
    ] = None,
    idempotency_key: Annotated[
        str, typer.Option(help="A text of your own: the same key and request are one run, however often they are sent.")
    ] = "",
    follow: Follow = True,
    poll_seconds: PollSeconds = 2.0,
    as_json: AsJson = False,
) -> None:
    """Upload a build, start a training run and follow it."""
    request = training_request(config, settings or (), policy)
    environment = str(build).removeprefix(_REGISTRY) if str(build).startswith(_REGISTRY) else ""
    if not environment:
        check_zip(build)
    with open_client() as client:
        source = {"registry": environment} if environment else {"key": upload(client, build, quiet=as_json)}
        created = client.create_run({**request, "build": source}, idempotency_key=idempotency_key)
        if follow:
            watch_to_the_end(client, created.run_id, poll_seconds, RUN_APPEARS_WITHIN_SECONDS, as_json=as_json)
        else:
            _print_created(created, as_json=as_json)


def _print_created(created: "CreatedRun", *, as_json: bool) -> None:
    if as_json:
        print_json({"run_id": created.run_id, "policy": created.policy, "status": created.status})
        return
    say(created.run_id)
    if created.estimate is not None and created.estimate.max_usd is not None:
        say(f"Its jobs cost at most {created.estimate.max_usd:.2f} USD.", err())
    say(f"Follow it with: gamedojo watch {created.run_id}", err())
