"""Debian's Chromium, driven over the W3C WebDriver protocol that its chromedriver speaks."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from local.ports import free_port
from tests.fakes.waiting import wait_for

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TAB, ENTER, SPACE, HOME = "\ue004", "\ue007", " ", "\ue011"
DESKTOP, PHONE = (1280, 900), (390, 844)


class Browser:
    """One window. Elements are found by CSS, or by `text` among those that the selector finds."""

    def __init__(self, http: httpx.Client, session: str) -> None:
        self._http, self._session = http, session

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"/session/{self._session}{path}", json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def script(self, source: str, *arguments: Any) -> Any:
        """The source's `return`; a promise is waited for."""
        return self._call("POST", "/execute/sync", {"script": source, "args": list(arguments)})

    def devtools(self, command: str, **parameters: Any) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def find(self, selector: str, text: str = "", seconds: float = 15) -> str:
        """The first such element, once it is there."""
        look = "return [...document.querySelectorAll(arguments[0])].find(e => e.textContent.includes(arguments[1]))"
        found = self.eventually(lambda: self.script(look, selector, text), f"{selector} {text!r}", seconds)
        return str(found[_ELEMENT])

    def click(self, selector: str, text: str = "") -> None:
        self._call("POST", f"/element/{self.find(selector, text)}/click", {})

    def fill(self, selector: str, text: str) -> None:
        element = self.find(selector)
        self._call("POST", f"/element/{element}/clear", {})
        self._call("POST", f"/element/{element}/value", {"text": text})

    def choose_file(self, selector: str, path: Path) -> None:
        self._call("POST", f"/element/{self.find(selector)}/value", {"text": str(path)})

    def keys(self, *keys: str) -> None:
        """Press and let go, wherever the focus is."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})

    def text(self) -> str:
        return str(self.script("return document.body.innerText"))

    def shows(self, text: str, seconds: float = 15) -> None:
        """Return once the page has this text."""
        self.eventually(lambda: text.lower() in self.text().lower(), f"{text!r} in:\n{self.text()}", seconds)

    def focused(self) -> str:
        return str(self.script("const e = document.activeElement; return e.id || e.textContent.trim() || e.tagName"))

    def size(self, width: int, height: int) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def dark(self, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def console(self) -> list[str]:
        """Warnings and errors since the last look, blocked content among them."""
        return [one["message"] for one in self._call("POST", "/se/log", {"type": "browser"})]

    @staticmethod
    def eventually(look: Callable[[], Any], what: str, seconds: float) -> Any:
        return wait_for(look, what, seconds, pause_seconds=0.1)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless window in a profile of its own; ended after."""
    driver = shutil.which("chromedriver")
    assert driver, "the dashboard's tests need Debian's packages chromium and chromium-driver"
    port = free_port()
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
    try:
        Browser.eventually(lambda: _ready(http), "chromedriver", 30)
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "WARNING"}}
        made = http.post("/session", content=json.dumps({"capabilities": {"alwaysMatch": wanted}}))
        assert made.status_code == 200, made.text
        session = made.json()["value"]["sessionId"]
        browser = Browser(http, session)
        browser.size(*DESKTOP)
        yield browser
        http.delete(f"/session/{session}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def _ready(http: httpx.Client) -> bool:
    try:
        return bool(http.get("/status").json()["value"]["ready"])
    except httpx.TransportError:
        return False
