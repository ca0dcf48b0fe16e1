"""The dashboard's files: what is served, under which policy, and what they may hold under it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.api import site

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "functions" / "dashboard" / "site"
OWN = sorted(path for path in FOLDER.iterdir() if not path.name.startswith("uplot"))
ORIGINS = "https://predict.example https://bucket.example"


def get(name: str | None, **headers: str) -> dict[str, Any]:
    event = {
        "httpMethod": "GET",
        "path": "/dashboard" + (f"/{name}" if name else ""),
        "pathParameters": {"file": name} if name else None,
        "headers": headers,
        "requestContext": {"apiId": "control1"},
    }
    return site.answer(event, FOLDER, predict_api_id="predict1", connect_origins=ORIGINS)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_file_is_served_as_what_it_is(path):
    answer = get(path.name)
    assert (answer["statusCode"], answer["body"]) == (200, path.read_text(encoding="utf-8"))
    wanted = {
        ".html": "text/html",
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg",
        ".txt": "text/plain",
    }
    assert answer["headers"]["Content-Type"].startswith(wanted[path.suffix])


def test_without_a_file_the_browser_is_sent_to_the_page():
    answer = get(None)
    assert (answer["statusCode"], answer["headers"]["Location"]) == (302, "dashboard/index.html")


@pytest.mark.parametrize("name", ["nothing.html", "../app.py", "..", "", ".", "site", "/etc/passwd.txt", "a\0.html"])
def test_nothing_outside_the_folder_is_served(name):
    answer = get(name or "index.htm")
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["code"] == "RouteNotFound"


def test_a_file_that_has_not_changed_is_not_sent_again():
    tag = get("app.js")["headers"]["ETag"]
    answer = get("app.js", **{"If-None-Match": tag})
    assert (answer["statusCode"], answer["body"]) == (304, "")
    assert get("app.js", **{"if-none-match": '"another"'})["statusCode"] == 200


def test_the_page_learns_the_ids_of_both_apis():
    assert json.loads(get("settings.json")["body"]) == {"control_api_id": "control1", "predict_api_id": "predict1"}


def test_scripts_and_styles_are_own_files_and_requests_go_to_named_origins_alone():
    policy = dict(one.split(" ", 1) for one in get("index.html")["headers"]["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self' {ORIGINS}"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"


def test_the_page_has_nothing_inline():
    page = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_files_are_small_and_put_no_text_into_markup(path):
    text = path.read_text()
    assert len(text.splitlines()) < 400
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|localStorage", text)


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".js"], ids=lambda path: path.name)
def test_modules_import_what_is_there(path):
    for names, module in re.findall(r'import \{([^}]*)\} from "\./(\w+\.js)"', path.read_text()):
        text = (FOLDER / module).read_text()
        for name in (one.strip() for one in names.split(",")):
            assert re.search(rf"export (async )?(function|class|const) {name}\b", text), (module, name)


def test_the_picture_has_the_states_of_the_state_machine_that_do_something():
    machine = json.loads((ROOT / "statemachine" / "train_and_deploy.asl.json").read_text())
    tasks = {name for name, state in machine["States"].items() if state["Type"] == "Task"}
    (drawn,) = re.findall(r"STATES = \[(.*?)\]", (FOLDER / "machine.js").read_text(), re.DOTALL)
    assert set(re.findall(r'"(\w+)"', drawn)) == tasks
