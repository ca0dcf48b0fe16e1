"""The page about faults: each part of the tests rewrites its own section."""

from pathlib import Path

import pytest

from tests.fakes.fault_page import CALLS, ON_THE_CLOUD, Survived, cloud_section, write_section


@pytest.mark.parametrize("order", [(CALLS, ON_THE_CLOUD), (ON_THE_CLOUD, CALLS)])
def test_the_page_is_the_same_whichever_part_ran_first(tmp_path: Path, order: tuple[str, str]) -> None:
    page = tmp_path / "faults.md"
    for heading in order:
        write_section(page, heading, f"of {heading}\n\n### Messages\n\n- one")
    text = page.read_text()
    assert text.startswith("# Faults\n")
    assert text.index(f"## {CALLS}\n\nof {CALLS}") < text.index(f"## {ON_THE_CLOUD}\n\nof {ON_THE_CLOUD}")
    assert text.count("### Messages") == 2


def test_a_section_is_replaced_and_the_other_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "faults.md"
    write_section(page, CALLS, "old")
    write_section(page, ON_THE_CLOUD, "stays")
    before = page.read_text()
    write_section(page, CALLS, "new")
    assert page.read_text() == before.replace("old", "new")
    write_section(page, CALLS, "old")
    assert page.read_text() == before


def test_rows_of_the_cloud_name_no_run_by_its_id() -> None:
    section = cloud_section([Survived("killed", "records of basic-0123456789ab", "FAILED")])
    assert "| killed | records of &lt;run> | FAILED |" in section
