"""Every relative link of the pages leads to a file, and every anchor to a heading."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import REPOSITORY, pages

_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?: \"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.MULTILINE)


@cache
def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading: lower case, without punctuation, hyphens for blanks."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


@cache
def anchors(page: str) -> set[str]:
    headings = _HEADING.findall(re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.DOTALL | re.MULTILINE))
    found: set[str] = set()
    for heading in headings:
        anchor, number = slug(heading), 0
        while anchor in found:
            number += 1
            anchor = f"{slug(heading)}-{number}"
        found.add(anchor)
    return found


def test_anchors_are_made_as_github_makes_them():
    assert slug("4. A short run first") == "4-a-short-run-first"
    assert slug("`make bench-envs`") == "make-bench-envs"
    assert slug("Keys, limits, browsers, operators") == "keys-limits-browsers-operators"


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str):
    broken = []
    for target in _LINK.findall(_CODE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        if not file.exists() or (anchor and anchor not in anchors(str(file.resolve().relative_to(REPOSITORY)))):
            broken.append(target)
    assert broken == []


def test_every_page_is_in_the_index():
    index = (REPOSITORY / "docs/README.md").read_text()
    listed = {str(Path("docs") / target) for target in _LINK.findall(index)}
    assert {page for page in pages() if page.startswith("docs/")} - {"docs/README.md"} <= listed
