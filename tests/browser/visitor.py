"""What a person does with the browser, and what they would notice: violations, errors, ugly pages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

SCREENSHOTS = Path(__file__).resolve().parents[2] / "var" / "screenshots"
Scheme = Literal["light", "dark"]
DRAWN = "[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg'))"
MISPLACED = """
[...document.querySelectorAll('.chart')].flatMap((chart) => {
  const frame = chart.querySelector('.main-svg').getBoundingClientRect(), {xaxis: x, yaxis: y} = chart._fullLayout;
  const far = (marks, across, down) => [...chart.querySelectorAll(marks)].map((mark) => {
    const {e, f} = mark.getScreenCTM();
    return Math.max(Math.abs(e - frame.x - across(mark)), Math.abs(f - frame.y - down(mark)));
  });
  const found = [
    ...far('.scatterlayer, .barlayer', () => x._offset, () => y._offset),
    ...far('.xgrid', (line) => x._offset + x.l2p(line.__data__.x), () => 0),
    ...far('.ygrid', () => 0, (line) => y._offset + y.l2p(line.__data__.x)),
  ];
  const worst = Math.round(Math.max(0, ...found));
  return worst > 1 ? [`${chart.id || chart.dataset.file}: ${worst} px beside its axes`] : [];
})
"""
"""Charts whose marks or grid lines do not stand where the axes say."""


class Visitor:
    """One browser session; everything the console complains of is kept in `complaints`."""

    def __init__(self, browser: Browser, site: str, username: str, password: str) -> None:
        self.site, self.username, self.password = site, username, password
        self.context: BrowserContext = browser.new_context(base_url=site, reduced_motion="reduce")
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def sign_in(self) -> None:
        self.page.goto("/sign-in/")
        self.page.get_by_label("User name").fill(self.username)
        self.page.get_by_label("Password").fill(self.password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.site}/")

    def look(self, path: str, *, scheme: Scheme, width: int) -> None:
        """Open a page as this person sees it, and wait until its charts are drawn."""
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(path)
        self.wait_until(DRAWN)

    def wait_until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait for a JavaScript expression, asked from outside: the page's policy lets nothing be evaluated inside."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(50)

    def photograph(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def violations(self) -> list[str]:
        """What axe-core finds on the open page, each with its elements."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [f"{v['id']}: {v['help']}: {[node['html'][:160] for node in v['nodes']]}" for v in found]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def misplaced(self) -> list[str]:
        """Charts that show other values than they hold."""
        found: list[str] = self.page.evaluate(MISPLACED)
        return found

    def leave(self) -> None:
        self.context.close()
