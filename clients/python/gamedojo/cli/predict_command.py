"""The command predict."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamedojo.cli.arguments import AsJson, PolicyName, open_client
from gamedojo.cli.output import print_json, say
from gamedojo.cli.request_options import read_json, read_json_file
from gamedojo.errors import InputError

if TYPE_CHECKING:
    from gamedojo.models import Action, Prediction


def predict(
    policy: PolicyName,
    observation: Annotated[
        str, typer.Option(help="JSON: one sensor's numbers, a list of sensors, or an object by sensor name.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="The same from a file, or a whole request; - reads standard input.")
    ] = None,
    npy: Annotated[
        list[str] | None,
        typer.Option(metavar="SENSOR=FILE", help="A sensor's numbers from a .npy file, as pictures are; repeatable."),
    ] = None,
    divisor: Annotated[
        float, typer.Option(min=1e-30, help="What the numbers of .npy files are divided by: 255 for a camera's bytes.")
    ] = 1.0,
    masks: Annotated[str, typer.Option(help="JSON: 1 for what is allowed, branch after branch, or a batch.")] = "",
    state: Annotated[
        str,
        typer.Option(help="Of a policy with a memory: null at an episode's start, then what the last answer printed."),
    ] = "",
    behavior: Annotated[str, typer.Option(help="Needed only when the policy has several.")] = "",
    sample: Annotated[
        bool, typer.Option("--sample", help="Sample the action instead of taking the likeliest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a policy for an action, or for the actions of a batch."""
    request = _request(observation, file, npy or [], divisor)
    if behavior:
        request["behavior"] = behavior
    if masks:
        request["action_masks"] = read_json(masks, "The mask")
    if state:
        request["state"] = read_json(state, "The state") if state == "null" or state[0] == "[" else state
    if sample:
        request["deterministic"] = False
    with open_client() as client:
        prediction = client.predict_raw(policy, request)
    if as_json:
        print_json(prediction)
    else:
        _print(prediction)


def _request(observation: str, file: Path | None, npy: list[str], divisor: float) -> dict[str, Any]:
    if (bool(observation), file is not None, bool(npy)).count(True) != 1:
        raise InputError("An observation is needed, from one place.", "Give either --observation or --file, or --npy.")
    if npy:
        return {"observations": dict(_sensor(one, divisor) for one in npy)}
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


def _sensor(setting: str, divisor: float) -> tuple[str, Any]:
    from gamedojo.cli.npy import read_npy

    sensor, equals, path = setting.partition("=")
    if not (sensor and equals and path):
        raise InputError(f"--npy {setting!r} names no sensor and file.", "Write SENSOR=FILE, as in Camera=frame.npy.")
    return sensor, read_npy(Path(path), divisor)


def _print(prediction: "Prediction") -> None:
    actions = prediction.actions if prediction.action is None else (prediction.action,)
    for action in actions or ():
        say(_action_words(action))
    states = prediction.state if isinstance(prediction.state, tuple) else (prediction.state,)
    for state in states:
        if state is not None:
            say(f"state {state}")


def _action_words(action: "Action") -> str:
    parts = []
    if action.discrete:
        parts.append("discrete " + " ".join(str(index) for index in action.discrete))
    if action.continuous:
        parts.append("continuous " + " ".join(f"{value:.6g}" for value in action.continuous))
    return "   ".join(parts) or "no action"
