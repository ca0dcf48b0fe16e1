"""`python -m demo`: exit code 0 only if every seed was proved."""

import signal
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from demo.cloud import local_cloud
from demo.corridor import OPTIMAL_RETURN
from demo.errors import DemoError
from demo.proof import Proof, prove
from demo.sample import pack_basic
from gamedojo import GamedojoError

REQUIRED_RETURN = 0.90
EXIT_INTERRUPTED = 130


def demo(
    seed: Annotated[int, typer.Option(min=0, help="The seed of the training.")] = 0,
    seeds: Annotated[str, typer.Option(help="Prove it with each of these in turn, as 0,1,2.")] = "",
    output: Annotated[Path, typer.Option(help="Where the files go.")] = Path("demo-output"),
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave the local cloud up, with the policy in service.")
    ] = False,
) -> None:
    """Train, evaluate and serve the sample build Basic on this machine, then ask the policy about every cell."""
    console = Console()
    chosen = _seeds(seeds) if seeds else [seed]
    _signals_interrupt()
    began = time.monotonic()
    try:
        proofs = _prove_all(chosen, output, console, keep_running=keep_running)
    except (DemoError, GamedojoError) as error:
        console.print(f"The demo failed: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        if remedy := getattr(error, "remedy", ""):
            console.print(remedy, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _summarise(proofs, time.monotonic() - began, output, console)
    if keep_running:
        console.print("The local cloud is still up; `make local-down` ends it.")
    shortfalls = [text for proof in proofs if (text := proof.shortfall(REQUIRED_RETURN))]
    for text in shortfalls:
        console.print(f"Not good enough: {text}.", style="red", highlight=False)
    raise typer.Exit(1 if shortfalls else 0)


def _prove_all(seeds: list[int], output: Path, console: Console, *, keep_running: bool) -> list[Proof]:
    with tempfile.TemporaryDirectory(prefix="gamedojo-demo-") as directory:
        console.print("Packing the sample build Basic")
        build = pack_basic(Path(directory))
        with local_cloud(keep_running=keep_running) as connection:
            return [
                prove(connection, build, seed, output / f"seed-{seed}" if len(seeds) > 1 else output, console)
                for seed in seeds
            ]


def _summarise(proofs: list[Proof], total_seconds: float, output: Path, console: Console) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("seed", "seconds", "mean return", "95 % interval", "env steps", "run"):
        table.add_column(name, justify="left" if name == "run" else "right", no_wrap=True)
    for proof in proofs:
        evaluation = proof.run.evaluation
        low, high = (evaluation.ci95_low, evaluation.ci95_high) if evaluation else (None, None)
        table.add_row(
            str(proof.seed),
            f"{proof.seconds:.1f}",
            f"{proof.mean_return:.3f}",
            "-" if low is None or high is None else f"{low:.3f} to {high:.3f}",
            f"{proof.run.progress.env_steps or 0:,}",
            proof.run.run_id,
        )
    console.print()
    console.print(table)
    console.print(f"The optimum is {OPTIMAL_RETURN:.2f}. Files in {output}/:", highlight=False)
    for proof in proofs:
        for path in proof.files:
            console.print(f"  {path}", highlight=False, soft_wrap=True)
    console.print(f"[bold]{total_seconds:.1f} s in all[/bold], installation excluded.", highlight=False)


def _seeds(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise typer.BadParameter(f"{text!r} is no list of different seeds such as 0,1,2", param_hint="--seeds")
    return found


def _signals_interrupt() -> None:
    """SIGTERM and SIGHUP (a closed terminal) end the demo as Ctrl-C does: the cloud that it started is brought down."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


if __name__ == "__main__":
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(demo)
    program(prog_name="python -m demo")
