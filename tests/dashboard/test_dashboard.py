"""The dashboard in a real browser on a real local cloud: a build is dropped, watched, tried, rolled back, deleted.

The tests are one story, in the order of this file: each begins where the one before has left the cloud.
"""

import json

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.fakes.browser import DESKTOP, ENTER, HOME, PHONE, TAB, Browser
from tests.fakes.dashboard_page import Dashboard
from tests.fakes.written_runs import put_to_sleep, write_sleeping_policy


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
