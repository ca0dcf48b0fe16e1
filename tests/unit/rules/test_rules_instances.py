"""Which machines have disks of their own, by their names."""

import json
from pathlib import Path

import pytest

from pipeline.rules import cost
from pipeline.rules.instances import has_own_disks

PRICED = json.loads(Path(cost.__file__).with_name("instance_prices.json").read_text())["usd_per_hour"]


@pytest.mark.parametrize(
    "family", ["c5d", "m6gd", "g4dn", "p4d", "p4de", "p3dn", "g5", "g6e", "gr6", "p5", "trn1", "i3en"]
)
def test_local_disks_are_known_by_a_d_or_by_the_family(family: str) -> None:
    assert has_own_disks(f"ml.{family}.xlarge")


@pytest.mark.parametrize("family", ["c7i", "c7i-flex", "m5", "c5n", "p3", "inf2", "g5g", "t3"])
def test_other_machines_have_none(family: str) -> None:
    assert not has_own_disks(f"ml.{family}.xlarge")


def test_of_the_machines_with_a_price_those_with_gpus_of_today_have_disks() -> None:
    families = {one.split(".")[1] for one in PRICED if has_own_disks(one)}
    assert families == {"g4dn", "g5"}
