"""Runs while they go on: live in a terminal, plain lines elsewhere, JSON lines for programs.

Where to look: `protocol` (what a view is), `watching` (from the API to a view), `terminal` (redrawn in place; what it
draws is in `pictures`), `lines` (plain and JSON), `tracking` (what is known of one run).
"""

from rich.console import Console, Group, RenderableType
from rich.text import Text

from gamedojo.models import Run
from gamedojo.texts import outcome_text
from gamedojo.views.lines import JsonLinesView, PlainView
from gamedojo.views.pictures import STATUS_STYLES
from gamedojo.views.protocol import WatchView
from gamedojo.views.terminal import TerminalView
from gamedojo.views.watching import watch_run, watch_runs

__all__ = [
    "STATUS_STYLES",
    "JsonLinesView",
    "PlainView",
    "TerminalView",
    "WatchView",
    "picture_of",
    "view_for",
    "watch_run",
    "watch_runs",
]


def view_for(console: Console, *, as_json: bool = False, redraws: bool = True, several: bool = False) -> WatchView:
    """The view that suits where the output goes.

    Args:
        console: stdout.
        as_json: for a program.
        redraws: False: what is written cannot be taken back, even if the console has colors, as in a CI's log.
        several: more than one run may be shown, so that plain lines name theirs.
    """
    if as_json:
        return JsonLinesView(console)
    if redraws and console.is_terminal and not console.is_dumb_terminal:
        return TerminalView(console)
    return PlainView(console, names_runs=several)


def picture_of(run: Run, console: Console) -> RenderableType:
    """A run as it stands: what the terminal view shows of it, and its outcome."""
    view = TerminalView(console)
    view.show(run)
    return Group(view.render(), Text(outcome_text(run))) if run.is_final else view.render()
