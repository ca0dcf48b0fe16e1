"""`python -m deploy bootstrap|preflight|up|smoke --stage NAME`."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from deploy.account import sign_in
from deploy.connecting import connect_to_local_cloud, connect_to_stage
from deploy.errors import DeploymentError
from deploy.preflight import look, show
from deploy.smoke import smoke
from deploy.stages import read_stage
from deploy.steps import deploy_stage, make_bootstrap
from local.deployment import STAGE
from local.progress import Progress

CHECKOUT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except DeploymentError as error:
        _tell(str(error))
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Deploy into an AWS account.")
    commands = parser.add_subparsers(required=True)
    bootstrap = commands.add_parser("bootstrap", help="make what stands before a stage; for an administrator, once")
    bootstrap.add_argument("--github", metavar="OWNER/NAME", help="the repository whose workflows may deploy")
    bootstrap.add_argument("--github-provider", metavar="ARN", help="GitHub's identity provider, if the account has it")
    bootstrap.set_defaults(command=_bootstrap)
    up = commands.add_parser("up", help="build and push the images, build and deploy the stack")
    up.add_argument("--yes", action="store_true", help="confirm no change set, whatever samconfig.toml says")
    up.set_defaults(command=_up)
    for command in (bootstrap, up):
        command.add_argument("--dry-run", action="store_true", help="show the commands only")
    smoked = commands.add_parser("smoke", help="train, serve, ask and take down the sample build Basic")
    smoked.set_defaults(command=_smoke)
    preflight = commands.add_parser("preflight", help="name the quotas and permissions that the account lacks")
    preflight.add_argument("--instance-type", action="append", default=[], help="another that requests will train on")
    preflight.set_defaults(command=_preflight)
    for command in (bootstrap, up, preflight, smoked):
        command.add_argument("--stage", required=True, help="an environment of samconfig.toml; of smoke also local")
    return parser


def _bootstrap(options: argparse.Namespace) -> int:
    chosen = {"GitHubRepository": options.github, "GitHubProviderArn": options.github_provider}
    parameters = {name: value for name, value in chosen.items() if value}
    if options.github:
        parameters["GitHubEnvironment"] = options.stage
    make_bootstrap(CHECKOUT, options.stage, parameters, dry=options.dry_run)
    return 0


def _up(options: argparse.Namespace) -> int:
    deploy_stage(CHECKOUT, options.stage, dry=options.dry_run, asks=not options.yes, say=_tell)
    return 0


def _preflight(options: argparse.Namespace) -> int:
    found = look(CHECKOUT, sign_in(), read_stage(CHECKOUT, options.stage), options.instance_type)
    show(found, Console(width=None if sys.stdout.isatty() else 160))
    return 0 if found.ready else 1


def _smoke(options: argparse.Namespace) -> int:
    if options.stage == STAGE:
        connection, poll_seconds = connect_to_local_cloud(), 0.5
    else:
        connection, poll_seconds = connect_to_stage(sign_in(), read_stage(CHECKOUT, options.stage)), 5.0
    smoked = smoke(connection, Progress(_tell), poll_seconds=poll_seconds)
    print(f"run          {smoked.run.run_id}")
    print(f"mean return  {smoked.mean_return:.3f} evaluated, {smoked.walked_return:.3f} walked by predictions")
    print(f"compared     {smoked.compared} decisions of the evaluation, each answered alike")
    print(f"cost         {'the list has no price' if smoked.usd is None else f'{smoked.usd:.4f} USD'} of both jobs")
    return 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
