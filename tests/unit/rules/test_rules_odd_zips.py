"""Zips that look hostile and are not, and refusals that have much to name."""

import struct
import zlib

from tests.fakes.inspected_builds import look, rejected
from tests.fakes.unity_zips import SCRIPT, build, with_extra, zipped


def test_a_second_name_that_is_the_same_is_fine() -> None:
    name = "Game_Data/\u00e9"
    same = with_extra(name, 0x7075, struct.pack("<BL", 1, zlib.crc32(name.encode())) + name.encode())
    assert look(build(more=[(same, b"")])).executable == "Game.x86_64"


def test_joiners_belong_to_some_scripts() -> None:
    assert look(build(more=[("Game_Data/\u0646\u06cc\u200c\u0645", b"")])).executable == "Game.x86_64"


def test_a_named_program_that_cannot_run_is_told_as_one() -> None:
    error = rejected(build(more=[("start.sh", b"#!/bin/sh\r\n")]), "start.sh")
    assert "lines end as on Windows" in error.cause
    assert "(LF)" in error.remedy


def test_of_many_programs_some_are_named() -> None:
    many = zipped(*((f"{number:02}{part}", SCRIPT) for number in range(9) for part in ("", "_Data/")))
    assert rejected(many).cause == "The zip holds several programs: 00, 01, 02, 03, 04 and 4 more."
