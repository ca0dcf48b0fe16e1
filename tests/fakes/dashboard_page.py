"""The dashboard, as its tests use it: a window of Chromium at a local cloud's page."""

import json
from pathlib import Path
from typing import Any

from tests.fakes.browser import Browser
from tests.fakes.running_cloud import Cloud

AXE = Path(__file__).parents[1] / "dashboard" / "axe.min.js"


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
