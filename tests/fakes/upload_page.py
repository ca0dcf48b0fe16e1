"""The page that `make test-security` writes: hostile and broken uploads, and what is said of each."""

from typing import NamedTuple

_TITLE = """\
# Hostile and broken uploads

Written by `make test-security`. Each of these is made by the tests, uploaded, and refused by InspectBuild before
anything is paid for, with this code and these words. The training container looks again as it unpacks; its own code
stands beside.
"""


class Refused(NamedTuple):
    """One upload, and how it was refused; `container`: empty where the container has nothing against it."""

    what: str
    code: str
    cause: str
    remedy: str
    container: str


def page(refused: list[Refused]) -> str:
    """The same whatever order the tests ran in."""
    rows = [f"| {' | '.join(_cell(cell) for cell in one)} |" for one in sorted(refused)]
    head = ["| upload | code | cause | remedy | container |", "|---|---|---|---|---|"]
    return "\n".join([_TITLE, f"{len(refused)} uploads.", "", *head, *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") or "-"
