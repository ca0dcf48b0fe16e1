"""The dashboard in a real browser on a real local cloud: a build is dropped, watched, tried, rolled back, deleted.

The tests are one story, in the order of this file: each begins where the one before has left the cloud.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.fakes.browser import DESKTOP, ENTER, HOME, PHONE, TAB, Browser
from tests.fakes.running_cloud import Cloud
from tests.fakes.written_runs import put_to_sleep, write_run, write_sleeping_policy

AXE = Path(__file__).with_name("axe.min.js")


class Dashboard:
    """The window, at the cloud's dashboard."""

    def __init__(self, window: Browser, cloud: Cloud) -> None:
        self.window, self.cloud = window, cloud
        self.url = cloud.connection["control_url"] + "/dashboard"

    def go(self, view: str) -> None:
        self.window.script("location.hash = arguments[0]", f"#{view}")

    def enter_key(self) -> None:
        self.window.open(self.url)
        self.window.find("header .brand")
        if "Enter the API key" in self.window.text():
            self.window.fill("#api-key", self.cloud.connection["control_key"])
            self.window.click("main button", "Open")
        self.window.find("h1", "Runs")

    def hash(self) -> str:
        return str(self.window.script("return location.hash"))

    def newest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cloud.runs("basic")[0]
        return found

    def accessible(self) -> None:
        """No finding of axe-core, whose rules are WCAG 2.2 AA and good practice."""
        self.window.script(AXE.read_text(encoding="utf-8") + "; window.axe = axe")
        found = self.window.script(
            "return axe.run(document).then(r => r.violations.map(v => "
            "[v.id, v.help, v.nodes.map(n => n.html + ' ' + n.failureSummary).slice(0, 3)]))"
        )
        assert found == [], json.dumps(found, indent=1)

    def fits(self) -> None:
        """Nothing is wider than the window."""
        wide = self.window.script(
            "return [document.documentElement.scrollWidth - innerWidth, [...document.querySelectorAll('main *')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.table, svg, pre, .u-wrap'))"
            ".map(e => e.outerHTML.slice(0, 120))]"
        )
        assert wide[0] <= 0, wide

    def fail(self, part: str) -> None:
        """Until the page is loaded anew or `mend` is called, requests with this part in their address are refused."""
        self.window.script(
            "const [part, problem] = arguments; window.unharmed ??= window.fetch;"
            "window.fetch = (url, ...more) => String(url).includes(part)"
            "  ? Promise.resolve(new Response(JSON.stringify(problem), {status: 503})) : unharmed(url, ...more)",
            part,
            {"title": "Busy", "status": 503, "code": "ServiceUnavailable", "detail": "Injected.", "remedy": "Wait."},
        )

    def mend(self) -> None:
        self.window.script("window.fetch = window.unharmed")

    def choose(self, control: str, value: str) -> None:
        self.window.script(
            "const [id, value] = arguments; const e = document.getElementById(id);"
            "e.value = value; e.dispatchEvent(new Event('change'))",
            control,
            value,
        )

    def log_lines(self) -> list[str]:
        lines: list[str] = self.window.script("return [...document.querySelectorAll('#log p')].map(e => e.innerText)")
        return lines

    def quiet_console(self) -> None:
        """No error, no warning, nothing that the content policy blocked; answers of 4xx are the tests' own doing."""
        assert [one for one in self.window.console() if "the server responded with a status of 4" not in one] == []


@pytest.fixture
def dashboard(window: Browser, cloud: Cloud):
    made = Dashboard(window, cloud)
    window.size(*DESKTOP)
    window.dark(False)
    made.enter_key()
    yield made
    made.quiet_console()


def test_the_files_need_no_key_and_everything_else_does(cloud):
    url = cloud.connection["control_url"]
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        page = client.get(f"{url}/dashboard")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert client.get(f"{url}/training-runs").status_code == 403


def test_a_wrong_key_is_refused_with_words_and_kept_nowhere(window, cloud, pictures):
    window.open(cloud.connection["control_url"] + "/dashboard")
    window.fill("#api-key", "wrong")
    window.keys(ENTER)
    window.find("[role=alert]")
    assert window.script("return [sessionStorage.getItem('gamedojo-control-key') || '', localStorage.length]") == [
        "",
        0,
    ]
    Dashboard(window, cloud).accessible()


def test_an_empty_stack_says_what_to_do(dashboard):
    dashboard.window.shows("No runs yet")
    dashboard.accessible()
    dashboard.go("/policies")
    dashboard.window.shows("No policy is in service")
    dashboard.go("/compare")
    dashboard.window.shows("Nothing chosen")
    dashboard.accessible()


def test_what_is_not_there_is_told_with_its_remedy(dashboard):
    dashboard.go("/runs/none-1")
    dashboard.window.shows("RunNotFound")
    dashboard.window.shows("What to do")
    dashboard.go("/nowhere")
    dashboard.window.shows("There is no such page")
    dashboard.accessible()


def test_a_request_that_is_wrong_is_refused_field_by_field(dashboard, basic_file):
    window = dashboard.window
    window.click("#new-run")
    window.find("h1", "New run")
    window.click("button", "Start training")
    window.shows("There is no build to train on")
    window.fill("textarea", "{not json")
    window.choose_file("#zip", basic_file)
    window.click("button", "Start training")
    window.shows("Other settings are no JSON")
    window.fill("textarea", '{"hyperparameters": {"learning_rate": 1}}')
    window.click("button", "Start training")
    window.shows("hyperparameters.learning_rate")
    dashboard.accessible()


def test_a_dropped_zip_is_uploaded_trained_and_watched_until_it_is_in_service(dashboard, basic_file, pictures):
    window = dashboard.window
    dashboard.go("/new")
    window.find("h1", "New run")
    window.choose_file("#zip", basic_file)
    window.shows("Basic.zip")
    window.fill("#field-policy", "basic")
    window.screenshot(pictures / "dashboard-new-run.png")
    window.click("button", "Start training")
    window.find("h1", "basic-")
    window.find(".machine .present")
    window.find(".machine .present", "Check training", seconds=120)
    window.find(".chart .u-wrap canvas", seconds=120)
    window.screenshot(pictures / "dashboard-run-live.png")
    window.find("#log [role=log] p", seconds=60)
    window.shows("Live")
    window.click("#log button", "Pause")
    window.shows("Held still")
    held = dashboard.log_lines()
    dashboard.accessible()
    window.find(".badge.succeeded", seconds=240)
    window.shows("Goes into service")
    assert dashboard.log_lines() == held
    window.click("#log button", "Go on")
    window.find("#log h3", "Evaluation", seconds=60)
    window.find("#log-state", "Complete", seconds=30)
    assert dashboard.log_lines()[: len(held)] == held
    assert dashboard.newest()["status"] == "SUCCEEDED"
    for title in ("Return", "Episode length", "Losses", "Decisions a second"):
        window.find(".chart h3", title)
    assert "over decisions" in window.script("return document.querySelector('.plot').getAttribute('aria-label')")


def test_a_finished_runs_page_has_cost_report_artifacts_and_configuration(dashboard, pictures):
    window = dashboard.window
    dashboard.go(f"/runs/{dashboard.newest()['run_id']}")
    window.shows("At most")
    window.click("button", "Get links")
    window.find(".files a[href*='model.tar.gz']")
    window.click("button", "Show the report")
    window.shows("Likeliest actions")
    window.click("summary", "As a request")
    window.shows('"key": "uploads/')
    window.click("summary", "Log of its")
    window.shows("Verify endpoint")
    dashboard.accessible()
    window.dark(True)
    dashboard.accessible()
    window.script("scrollTo(0, 0)")
    window.screenshot(pictures / "dashboard-run-dark.png")


def test_a_finished_runs_log_is_chosen_by_job_and_read_by_keyboard(dashboard, pictures):
    window = dashboard.window
    dashboard.go(f"/runs/{dashboard.newest()['run_id']}")
    window.find("#log h3", "Evaluation")
    window.find("#log-state", "Complete")
    assert window.script("return document.querySelector('#log button').hidden")
    dashboard.choose("log-job", "training")
    window.find("#log h3", "Training")
    assert any('"iteration"' in line for line in dashboard.log_lines())
    region = "document.querySelector('#log [role=log]')"
    end = f"return {region}.scrollHeight - {region}.clientHeight - {region}.scrollTop"
    assert window.script(end) < 2, "the newest lines are seen first"
    window.script("document.getElementById('log-job').focus()")
    window.keys(TAB, HOME)
    assert window.script(f"return document.activeElement === {region}")
    Browser.eventually(lambda: window.script(f"return {region}.scrollTop") == 0, "the first line", 5)
    dashboard.accessible()
    window.script("document.activeElement.blur(); document.querySelector('#log').scrollIntoView()")
    window.screenshot(pictures / "dashboard-log.png")


def test_a_log_that_cannot_be_read_keeps_the_page_and_comes_once_it_can(dashboard):
    window = dashboard.window
    dashboard.fail("/logs")
    dashboard.go(f"/runs/{dashboard.newest()['run_id']}")
    window.find("#log [role=alert]", "Injected.")
    window.find(".chart canvas")
    dashboard.accessible()
    dashboard.mend()
    window.find("#log [role=log] p", seconds=60)
    assert not window.script("return document.querySelector('#log [role=alert]')")


def test_a_finished_runs_episodes_are_watched_and_held_still(dashboard, pictures):
    window = dashboard.window
    dashboard.go(f"/runs/{dashboard.newest()['run_id']}")
    window.find("#replays img[alt^='Film of Basic: 3 episodes']")
    Browser.eventually(
        lambda: window.script("return document.querySelector('#replays img').naturalWidth"), "a film", 30
    )
    window.click("#replays button", "Hold still")
    window.find("#replays canvas[aria-label^='First picture']")
    assert window.script("return getComputedStyle(document.querySelector('#replays img')).display") == "none"
    assert window.script(
        "const film = document.querySelector('#replays canvas');"
        "const [red, green, blue] = film.getContext('2d').getImageData(film.width / 2, 5, 1, 1).data;"
        "return [red, green, blue].every(shade => shade > 200)"
    )
    window.script("document.activeElement.blur(); document.querySelector('#replays').scrollIntoView()")
    window.screenshot(pictures / "dashboard-replay.png")
    window.size(*PHONE)
    dashboard.fits()
    window.size(*DESKTOP)
    window.click("#replays button", "Play")
    assert window.script("return getComputedStyle(document.querySelector('#replays canvas')).display") == "none"
    dashboard.accessible()


def test_a_policy_is_tried_by_a_form_made_from_what_it_observes(dashboard, cloud, pictures):
    window = dashboard.window
    dashboard.go("/policies")
    window.click("main a", "basic")
    window.find("#try-it")
    assert window.script("return document.querySelectorAll('.numbers input').length") == 20
    assert (
        window.script("return document.getElementById('field-address-of-the-predict-api').value")
        == (cloud.connection["predict_url"])
    )
    window.fill("#field-key-of-the-predict-api", "wrong")
    window.click("button", "Ask for an action")
    window.find("#try-it [role=alert]")
    window.fill("#field-key-of-the-predict-api", cloud.connection["predict_key"])
    window.fill("[aria-label$='number 11']", "1")
    window.click("button", "Ask for an action")
    window.find(".answer", "of 0 to 2")
    window.shows("Answered in")
    observation = [float(index == 10) for index in range(20)]
    told = cloud.predict("basic", json={"observations": [observation]}).json()["action"]["discrete"]
    assert window.script("return [...document.querySelectorAll('.answer strong')].map(e => +e.textContent)") == told
    dashboard.accessible()
    window.script("document.activeElement.blur(); scrollTo(0, 0)")
    window.screenshot(pictures / "dashboard-policy.png")


def test_a_policys_traffic_and_latency_are_charts_of_a_window_of_time(dashboard, cloud, pictures):
    window = dashboard.window

    def total() -> dict[str, int]:
        told: dict[str, int] = cloud.control("GET", "/policies/basic/traffic").json()["total"]
        return told

    dashboard.go("/policies/basic")
    window.find("#traffic .chart canvas")
    shown = (
        "return [...document.querySelectorAll('#traffic .chart')].filter(e => !e.hidden)"
        ".map(e => e.querySelector('h3').textContent)"
    )
    assert window.script(shown) == ["Invocations", "Latency of the model, ms"]
    endpoint = cloud.control("GET", "/policies/basic").json()["endpoint_name"]
    with pytest.raises(ClientError, match="400"):
        cloud.sagemaker_runtime.invoke_endpoint(EndpointName=endpoint, Body=b"no", ContentType="application/json")
    Browser.eventually(lambda: total()["errors_4xx"], "the refused request", 30)
    asked = total()["invocations"]
    assert asked > 1
    dashboard.choose("traffic-window", "24h")
    window.find("#traffic .hint", "By 15 min")
    assert window.script(shown) == ["Invocations", "Errors", "Latency of the model, ms"]
    window.find("#traffic dd", f"{asked} times")
    told = window.script(
        "return [...document.querySelectorAll('#traffic .plot')].map(e => e.getAttribute('aria-label'))"
    )
    assert told[0].startswith("Invocations over time. invocations: from")
    assert "median" in told[2]
    dashboard.accessible()
    window.script("document.querySelector('#traffic').scrollIntoView()")
    window.screenshot(pictures / "dashboard-traffic.png")
    dashboard.choose("traffic-window", "7d")
    window.find("#traffic .hint", "By 2 h;")
    window.find("#traffic dd", f"{asked} times")
    dashboard.fail("/traffic")
    dashboard.choose("traffic-window", "24h")
    window.find("#traffic [role=alert]", "Injected.")
    window.find("#try-it")
    dashboard.mend()
    dashboard.choose("traffic-window", "1h")
    window.find("#traffic .chart canvas")


def test_a_run_is_cancelled_after_a_question_and_offers_to_go_on(dashboard):
    window = dashboard.window
    dashboard.go(f"/new?from={dashboard.newest()['run_id']}")
    window.find("h1", "Train again")
    assert window.script("return document.getElementById('field-policy').value") == "basic"
    window.fill("#field-seed", "7")
    others = json.loads(window.script("return document.querySelector('textarea').value"))
    others["evaluation"]["promote_if"] = "always"
    window.fill("textarea", json.dumps(others))
    window.click("button", "Start training")
    Browser.eventually(lambda: dashboard.hash().startswith("#/runs/"), "the run's page", 30)
    window.click("main button", "Cancel")
    dashboard.accessible()
    window.click("dialog button", "Back")
    window.click("main button", "Cancel")
    window.click("dialog button", "Cancel the run")
    window.find(".badge.cancelled", seconds=120)
    window.find("main button", "Redrive", seconds=120)
    assert (dashboard.newest()["status"], dashboard.newest()["options"]["seed"]) == ("CANCELLED", 7)


def test_a_redriven_run_goes_into_service_and_the_version_before_is_brought_back(dashboard, cloud):
    window = dashboard.window
    run_id = dashboard.newest()["run_id"]
    before = cloud.control("GET", "/policies/basic").json()["version"]
    dashboard.go(f"/runs/{run_id}")
    window.click("main button", "Redrive")
    window.find(".badge.running")
    window.find(".badge.succeeded", seconds=240)
    dashboard.go("/policies/basic")
    window.find(".versions li")
    assert window.script("return [...document.querySelectorAll('.versions a')].map(e => e.textContent)") == [
        run_id,
        before,
    ]
    dashboard.accessible()
    window.click(f"[aria-label='Roll back to {before}']")
    window.click("dialog button", "Roll back")
    Browser.eventually(lambda: dashboard.hash().startswith("#/runs/"), "the run's page", 30)
    window.find(".badge.succeeded", seconds=120)
    assert cloud.control("GET", "/policies/basic").json()["version"] == before
    dashboard.accessible()


def test_a_policy_asleep_is_woken(dashboard, cloud):
    window = dashboard.window
    put_to_sleep(cloud, "basic")
    dashboard.go("/policies")
    window.find(".badge.cancelled", "Asleep")
    window.click("main a", "basic")
    window.find("main h1", "basic")
    window.find("#traffic .chart canvas")
    dashboard.accessible()
    window.click("main .title button", "Wake")
    Browser.eventually(lambda: dashboard.hash().startswith("#/runs/"), "the run's page", 30)
    window.find(".badge.succeeded", seconds=120)
    window.shows("Nothing was printed")
    dashboard.go("/policies/basic")
    window.find("main .title .badge.succeeded", "In service")
    assert not window.script("return [...document.querySelectorAll('main button')].some(e => e.textContent === 'Wake')")
    assert cloud.predict("basic", json={"observations": [[float(n == 10) for n in range(20)]]}).status_code == 200


def test_of_a_policy_that_nobody_asked_the_page_says_so(dashboard, cloud):
    write_sleeping_policy(cloud, "quiet")
    dashboard.go("/policies/quiet")
    dashboard.window.find("#traffic .empty", "Nobody has asked")
    dashboard.window.shows("once it is woken")
    dashboard.accessible()
    assert cloud.control("DELETE", "/policies/quiet").status_code == 200


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
    assert order[:6] == ["skip", "gamedojo", "Runs", "Policies", "Compare", "new-run"]
    assert dashboard.newest()["run_id"] in order
    window.script("document.getElementById('new-run').focus()")
    window.keys(ENTER)
    window.find("h1", "New run")
    Browser.eventually(lambda: window.focused() == "main", "the focus in the page", 5)


@pytest.mark.parametrize("view", ["/runs", "/new", "/policies", "/policies/basic", "/compare", "trained"])
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
