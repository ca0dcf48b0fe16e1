"""What all views of the dashboard have in common, and how long lists are shown; then the story's policy is deleted.

Goes on where test_dashboard.py has left the cloud.
"""

import json

import pytest

from tests.fakes.browser import ENTER, PHONE, TAB, Browser
from tests.fakes.written_runs import write_run


def test_runs_are_filtered_and_compared(dashboard, pictures):
    window = dashboard.window
    window.find("tbody tr")
    window.screenshot(pictures / "dashboard-runs.png")
    window.fill("[type=search]", "nothing")
    window.click("main button", "Filter")
    window.shows("No run is like that")
    dashboard.go("/runs")
    window.find("tbody tr")
    window.script("document.querySelectorAll('[name=run]').forEach(e => e.click())")
    window.click("main button", "Compare chosen")
    window.find("h1", "Compare runs")
    window.find(".legend li")
    dashboard.accessible()
    window.screenshot(pictures / "dashboard-compare.png")


def test_everything_is_reached_by_keyboard(dashboard):
    window = dashboard.window
    window.find("tbody tr")
    window.script("document.activeElement.blur()")
    order = []
    for _ in range(16):
        window.keys(TAB)
        order.append(window.focused())
    assert order[:6] == ["skip", "gamedojo", "Runs", "Policies", "Environments", "Compare"]
    assert {"new-run", dashboard.newest()["run_id"]} <= set(order)
    window.script("document.getElementById('new-run').focus()")
    window.keys(ENTER)
    window.find("h1", "New run")
    Browser.eventually(lambda: window.focused() == "main", "the focus in the page", 5)


@pytest.mark.parametrize(
    "view", ["/runs", "/new", "/policies", "/policies/basic", "/environments", "/compare", "trained"]
)
def test_every_page_fits_a_phone(dashboard, cloud, view, pictures):
    window = dashboard.window
    window.size(*PHONE)
    dashboard.go(f"/runs/{cloud.runs('basic')[-1]['run_id']}" if view == "trained" else view)
    window.find("main h1")
    Browser.eventually(lambda: "Loading" not in window.text(), "the page", 15)
    dashboard.fits()
    dashboard.accessible()
    if view == "trained":
        window.find(".chart canvas")
        window.screenshot(pictures / "dashboard-phone.png")


def test_older_runs_come_page_by_page(dashboard, cloud):
    window = dashboard.window
    for number in range(23):
        write_run(cloud, f"paged-{number:04d}", "paged")
    shown = "return [...document.querySelectorAll('tbody th a')].map(e => e.textContent)"
    dashboard.go("/runs?policy=paged")
    window.find("tbody a", "paged-0022")
    first = window.script(shown)
    assert first == [f"paged-{number:04d}" for number in range(22, 2, -1)]
    window.click("main a", "Older runs")
    window.find("tbody a", "paged-0000")
    assert window.script(shown) == ["paged-0002", "paged-0001", "paged-0000"]
    assert "Older runs" not in window.text()
    dashboard.accessible()
    window.click("main a", "Newest")
    Browser.eventually(lambda: len(window.script(shown)) == 20, "the newest runs", 15)


def test_elo_of_self_play_is_a_curve_of_each_behavior(dashboard, cloud):
    window = dashboard.window
    lines = [
        json.dumps({"behavior": behavior, "iteration": n, "env_steps": 100 * n, "elo": 1200 + sign * n})
        for n in range(1, 6)
        for behavior, sign in (("Striker", 10), ("Goalie", -10))
    ]
    write_run(cloud, "elo-0001", "elo", {"progress.jsonl": "\n".join(lines).encode()})
    dashboard.go("/runs/elo-0001")
    window.find(".chart h3", "ELO")
    told = window.script("return document.querySelector('.plot').getAttribute('aria-label')")
    assert told.startswith("ELO over decisions. Striker: from 1,210 to 1,250")
    assert "Goalie: from 1,190 to 1,150" in told
    assert window.script("return document.querySelectorAll('.chart .legend li').length") == 2
    dashboard.accessible()


def test_a_policy_is_deleted_only_when_its_name_was_typed(dashboard, cloud):
    window = dashboard.window
    dashboard.go("/policies/basic")
    window.click("main .title button", "Delete")
    assert window.script("return document.querySelector('dialog .danger').disabled")
    dashboard.accessible()
    window.fill("#confirm-name", "basic")
    window.click("dialog button", "Delete basic")
    window.shows("No policy is in service", seconds=60)
    assert cloud.control("GET", "/policies").json()["policies"] == []


def test_the_key_is_forgotten_when_asked(dashboard):
    dashboard.window.click("#forget-key")
    dashboard.window.shows("Enter the API key")
    assert dashboard.window.script("return sessionStorage.length") == 0
