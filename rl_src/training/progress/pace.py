"""How fast a training goes: what limits it, and what would make it faster.

Builds, deciding (with all else between two steps) and learning share the time of a batch: the first two in turns,
learning beside them. With B builds a batch takes S seconds, of which b are waited for the builds. More builds do not
shorten S - b, our own time: B S / (S - b) of them would keep us busy all the time. Fewer will do where learning, L
seconds beside them, takes longer: B S / L.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Limit = Literal["learning", "builds", "inference"]

LINES_TO_ADVISE = 10
"""Iterations after which an advice is given."""

LEAST_GAIN = 1.2
"""An advice must promise that many times the pace."""

_LEARNING = (
    "Learning takes {learning:.1f} times as long as playing, which more builds would not change: {remedies} would."
)
_MORE_BUILDS = (
    "Training waits for its builds {waiting:.0%} of the time: environment.num_builds {builds} instead of {now} would "
    "make it up to {gain:.1f} times as fast. Several builds at their own pace repeat no seed (environment.lockstep)."
)
_NO_CORES = (
    "Training waits for its builds {waiting:.0%} of the time, and {cores} cores have no room for more than {now}: an "
    "instance with more cores, or more agents in the scene, would make it up to {gain:.1f} times as fast."
)
_DECIDING = (
    "Deciding takes most of the time, which more builds would not change: more agents in a scene, which decide "
    "together, or a smaller network would."
)


@dataclass(frozen=True)
class Setup:
    """What trains. `builds`: on each host; `most_builds`: that its `cores` are enough for; `device`: that learns."""

    builds: int
    cores: int
    most_builds: int
    device: str = "cpu"


def limited_by(sampling_seconds: float, build_seconds: float, learning_seconds: float) -> Limit:
    """What a batch took longest for: sampling and learning go on side by side, so the longer of them counts.

    Args:
        sampling_seconds: until the batch was full.
        build_seconds: of these, waited for the builds.
        learning_seconds: the update on it.
    """
    if learning_seconds > sampling_seconds:
        return "learning"
    return "builds" if build_seconds > sampling_seconds / 2 else "inference"


def advice(lines: Sequence[Mapping[str, Any]], setup: Setup) -> str | None:
    """What would make the training faster, by its progress lines; None before there are enough."""
    if len(lines) < LINES_TO_ADVISE:
        return None
    sampling, waiting, learning = (
        sum(line[f"{name}_seconds"] for line in lines) for name in ("sampling", "build", "learning")
    )
    match limited_by(sampling, waiting, learning):
        case "learning":
            gpu = "an instance with a GPU, " if setup.device == "cpu" else ""
            remedies = f"{gpu}a larger minibatch_size or fewer num_epochs"
            return _LEARNING.format(learning=learning / max(sampling, 1e-9), remedies=remedies)
        case "builds":
            return _on_builds(sampling, waiting, learning, setup)
        case _:
            return _DECIDING


def _on_builds(sampling: float, waiting: float, learning: float, setup: Setup) -> str | None:
    gain = sampling / max(sampling - waiting, learning, 1e-9)
    useful = math.ceil(setup.builds * gain)
    possible = min(useful, max(setup.builds, setup.most_builds))
    words = {"waiting": waiting / sampling, "now": setup.builds, "cores": setup.cores}
    reached = min(gain, possible / setup.builds)
    if reached >= LEAST_GAIN:
        return _MORE_BUILDS.format(**words, builds=possible, gain=reached)
    return _NO_CORES.format(**words, gain=gain) if gain >= LEAST_GAIN else None
