import json
import zipfile
from pathlib import Path

import pytest
import typer

from demo.__main__ import _seeds
from demo.corridor import CELLS, walk
from demo.proof import Proof
from demo.sample import with_request
from gamedojo.models import Run

RUN = Run(run_id="r", policy="basic", status="SUCCEEDED")


def test_the_request_lies_at_the_zips_root_and_the_rest_is_untouched(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    build = tmp_path / "in" / "Basic.zip"
    with zipfile.ZipFile(build, "w") as archive:
        entry = zipfile.ZipInfo("Basic.x86_64")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, b"\x7fELF")
    before = build.read_bytes()
    with zipfile.ZipFile(with_request(build, {"seed": 7}, tmp_path / "out")) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["Basic.x86_64", "gamedojo.json"]
        assert archive.getinfo("Basic.x86_64").external_attr >> 16 == 0o755
        assert json.loads(archive.read("gamedojo.json")) == {"seed": 7}
    assert build.read_bytes() == before


def test_seeds_are_read() -> None:
    assert _seeds("0,1, 2") == [0, 1, 2]


@pytest.mark.parametrize("text", ["a", "1,,2", "-1", "3,3", "1.5"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _seeds(text)


@pytest.mark.parametrize(
    ("mean_return", "action", "shortfall"),
    [(0.93, 2, ""), (0.90, 2, ""), (0.899, 2, "evaluated mean return is 0.899"), (0.93, 1, "moves earn 0.07")],
)
def test_good_enough_is_what_was_evaluated_and_what_is_served(mean_return: float, action: int, shortfall: str) -> None:
    proof = Proof(3, RUN, 1.0, mean_return, walk([action] * CELLS), 5.0, ())
    assert shortfall in proof.shortfall(0.90)
    assert bool(shortfall) == bool(proof.shortfall(0.90))
