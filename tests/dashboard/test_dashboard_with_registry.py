"""Mirrored environments: listed, trained on, deleted. The cloud is the story's of the other files."""

import hashlib
from pathlib import Path

import pytest

from tests.fakes.browser import PHONE


@pytest.fixture
def mirrored(cloud, basic_file: Path) -> str:
    """An environment that is there."""
    body = basic_file.read_bytes()
    request = {
        "environment": "SmallBasic",
        "key": cloud.upload("Basic.zip", body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "source": "https://registry.example/a/rather/long/path/of/a/server/linux/SmallBasic.zip",
        "arguments": ["--walls", "7"],
        "expected_return": 0.93,
    }
    answer = cloud.control("POST", "/registry", json=request)
    assert answer.status_code == 200, answer.text
    return request["environment"]


def test_without_any_the_page_says_how_they_come(dashboard):
    dashboard.go("/environments")
    dashboard.window.shows("gamedojo registry mirror 3DBall")
    dashboard.accessible()


def test_one_is_chosen_for_a_run_by_its_id(dashboard, cloud, mirrored, pictures):
    window = dashboard.window
    dashboard.go("/environments")
    window.find("main h2", mirrored)
    assert "0.93" in window.text()
    dashboard.accessible()
    window.screenshot(pictures / "dashboard-environments.png")
    window.click("main a", "Train")
    window.find("h1", "New run")
    assert window.script("return document.querySelector('select').value") == f"registry:{mirrored}"
    window.fill("#field-decisions-to-train", "600")
    window.fill("#field-other-settings", '{"evaluation": {"episodes": 5}, "endpoint": {"deploy": false}}')
    window.click("main button", "Start training")
    window.find("h1", "smallbasic-")
    (run,) = cloud.runs("smallbasic")
    assert run["source_key"].startswith(f"registry/{mirrored}/")
    cloud.finished(run["run_id"])


def test_it_fits_a_phone_and_goes_after_a_question(dashboard, cloud, mirrored):
    window = dashboard.window
    window.size(*PHONE)
    dashboard.go("/environments")
    window.find("main h2", mirrored)
    dashboard.fits()
    dashboard.accessible()
    window.click("main button", "Delete")
    window.click("dialog button", "Delete")
    window.shows("No environment is mirrored")
    assert cloud.control("GET", "/registry").json()["environments"] == []
