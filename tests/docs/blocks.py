"""The fenced blocks of the project's pages, with what an HTML comment before a fence says of it.

    <!-- not run: the reason -->     the commands are looked at, and not run
    <!-- exits: 2 -->                the last command of the block ends with this status

A `console` block holds commands after "$ " (the next line belongs to one that ends in a backslash) and what they print;
a `bash` block is a script.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "clients/python", "clients/unity", "benchmarks", "events")

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>not run|exits): (?P<text>[^\n]*?) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block. `page` is relative to the repository, `line` that of the fence."""

    page: str
    line: int
    language: str
    body: str
    not_run: str = ""
    exits: int = 0

    @property
    def commands(self) -> tuple[str, ...]:
        """Of a console block its commands, of a bash block the script as one."""
        if self.language == "bash":
            return (self.body,)
        found: list[str] = []
        continues = False
        for line in self.body.splitlines():
            if continues:
                found[-1] += "\n" + line
            elif line.startswith("$ "):
                found.append(line[2:])
            else:
                continue
            continues = line.endswith("\\")
        return tuple(found)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every page of the project, relative to the repository."""
    below = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.md")]
    return sorted(str(path.relative_to(REPOSITORY)) for path in (*REPOSITORY.glob("*.md"), *below))


def blocks(page: str) -> Iterator[Block]:
    """The page's blocks, from top to bottom."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        mark, said = match["mark"], match["text"]
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start("indent")) + 1,
            language=match["language"],
            body=match["body"],
            not_run=said if mark == "not run" else "",
            exits=int(said) if mark == "exits" else 0,
        )


def all_blocks(*languages: str) -> list[Block]:
    """The blocks of these languages on all pages."""
    return [block for page in pages() for block in blocks(page) if block.language in languages]
