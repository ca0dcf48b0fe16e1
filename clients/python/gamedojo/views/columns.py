"""A table that is as wide as the terminal: what matters least is left out where there is no room."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gamedojo.texts import sparkline

GAP = 2
LEAST_CURVE, MOST_CURVE = 6, 40


@dataclass(frozen=True)
class Column:
    """Cells below a title. Of all that do not fit, those of the highest `rank` go first; rank 0 stays."""

    title: str
    cells: Sequence[Text | str]
    rank: int = 0
    right: bool = True

    @property
    def width(self) -> int:
        """In characters, without the gap."""
        return max(cell_len(str(text)) for text in (self.title, *self.cells))


@dataclass(frozen=True)
class Curves:
    """A column of curves, which takes what room there is."""

    title: str
    values: Sequence[Sequence[float]]

    @property
    def can_be_drawn(self) -> bool:
        """One value is no curve."""
        return any(len(one) > 1 for one in self.values)

    def column(self, width: int, *, ascii_only: bool) -> Column:
        """Drawn."""
        lines = [sparkline(one, width, ascii_only=ascii_only) if len(one) > 1 else "" for one in self.values]
        return Column(self.title, [Text(line, style="cyan") for line in lines], right=False)


def fitting_table(columns: Sequence[Column | Curves], width: int, *, ascii_only: bool) -> Table:
    """A table of at most `width` characters; curves are drawn if they can have LEAST_CURVE characters."""
    kept = [one for one in columns if isinstance(one, Column) or one.can_be_drawn]
    while _width(kept) > width:
        least = max((one for one in kept if isinstance(one, Column)), key=lambda one: one.rank)
        if least.rank == 0:
            kept = [one for one in kept if isinstance(one, Column)]
            break
        kept.remove(least)
    room = min(MOST_CURVE, LEAST_CURVE + width - _width(kept))
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0))
    drawn = [one.column(room, ascii_only=ascii_only) if isinstance(one, Curves) else one for one in kept]
    for column in drawn:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
    for cells in zip(*(column.cells for column in drawn), strict=True):
        table.add_row(*cells)
    return table


def _width(columns: Sequence[Column | Curves]) -> int:
    widths = (LEAST_CURVE if isinstance(one, Curves) else one.width for one in columns)
    return sum(widths) + GAP * (len(columns) - 1)
