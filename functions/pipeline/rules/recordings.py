"""Which file of the zip a request means by the name of a recording.

A trainer file names recordings by their place in a Unity project, which the zip does not have: what counts is the name.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipeline.contracts.job import BehavioralCloning, BehaviorSettings
from pipeline.contracts.request import RunOptions
from pipeline.errors import InvalidRequestError

SUFFIX = ".demo"


def with_recordings(options: RunOptions, recordings: Iterable[str]) -> RunOptions:
    """The options with each recording's name replaced by its path in the zip.

    Raises:
        InvalidRequestError: a recording is not there, or its name stands for several.
    """
    paths = [PurePosixPath(path) for path in recordings]
    behaviors = {
        name: own.model_copy(update={"behavioral_cloning": _found(own.behavioral_cloning, paths)})
        for name, own in options.behaviors.items()
    }
    changes: dict[str, BehavioralCloning | dict[str, BehaviorSettings] | None] = {
        "behavioral_cloning": _found(options.behavioral_cloning, paths),
        "behaviors": behaviors,
    }
    return options.model_copy(update=changes)


def _found(settings: BehavioralCloning | None, recordings: list[PurePosixPath]) -> BehavioralCloning | None:
    if settings is None:
        return None
    return settings.model_copy(update={"demo": str(_path(settings.demo, recordings))})


def _path(name: str, recordings: list[PurePosixPath]) -> PurePosixPath:
    """The very path, or else the one file or folder of this name."""
    asked = PurePosixPath(name.replace("\\", "/"))
    folders = {folder for path in recordings for folder in path.parents if folder.name}
    there = {*recordings, *folders}
    for path in (asked, asked.with_name(asked.name + SUFFIX)):
        if path in there:
            return path
    matches = sorted(path for path in there if path.name in (asked.name, asked.name + SUFFIX))
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise InvalidRequestError(
            f"The zip holds several recordings {name!r}: {', '.join(map(str, matches))}.",
            f"Name one by its path as behavioral_cloning.demo, for example {matches[0]}.",
        )
    known = ", ".join(map(str, recordings[:10])) or "none"
    raise InvalidRequestError(
        f"The recording {name!r} is not in the zip; recordings there: {known}.",
        f"Put the {SUFFIX} file into the zip beside the program, and zip again.",
    )
