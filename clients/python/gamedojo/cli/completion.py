"""What the shell offers for names: asked of the API if there is one, quickly; in any trouble nothing, and no word."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gamedojo.client import GamedojoClient

TIMEOUT_SECONDS = 2.0
"""Somebody waits with a finger on the Tab key."""

MOST = 50
Offers = list[tuple[str, str]]
"""What may be typed, and what the shell says of it."""


def complete_runs(incomplete: str) -> Offers:
    """The ids of the newest runs."""
    return _offers(incomplete, _runs)


def complete_policies(incomplete: str) -> Offers:
    """The names of the policies in service."""
    return _offers(incomplete, lambda client: ((one.policy, one.version) for one in client.policies()))


def complete_builds(incomplete: str) -> Offers:
    """The ids of the builds that were uploaded."""
    return _offers(incomplete, _builds)


def _runs(client: "GamedojoClient") -> Iterable[tuple[str, str]]:
    return ((run.run_id, f"{run.policy} {run.status}") for run in client.runs(limit=MOST).runs)


def _builds(client: "GamedojoClient") -> Iterable[tuple[str, str]]:
    return ((one.build_id, one.key.rpartition("/")[2]) for one in client.builds(limit=MOST).builds if one.build_id)


def _offers(incomplete: str, ask: Callable[["GamedojoClient"], Iterable[tuple[Any, str]]]) -> Offers:
    from gamedojo.client import GamedojoClient
    from gamedojo.errors import GamedojoError
    from gamedojo.retrying import RetryPolicy

    try:
        with GamedojoClient(timeout_seconds=TIMEOUT_SECONDS, retry=RetryPolicy(attempts=1)) as client:
            return [(name, note) for name, note in ask(client) if name.startswith(incomplete)]
    except GamedojoError:
        return []
