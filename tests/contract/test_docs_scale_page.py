"""docs/scale.md says what the arithmetic and the kept simulations say."""

from pathlib import Path

from benchmarks.scale.page import page

ROOT = Path(__file__).resolve().parents[2]


def test_it_is_as_the_code_says():
    assert page() == (ROOT / "docs/scale.md").read_text(), "run `make scale`"
