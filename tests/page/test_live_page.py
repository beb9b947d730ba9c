"""The live view's page in a real browser, with a frontend of the test's own words."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect, sync_playwright

WEB = Path(__file__).resolve().parents[2] / "web"
VIEW = "http://localhost/gui/view/w1"
SIGHT = {
    "address": "http://site/",
    "title": "Site",
    "condition": "needs_login",
    "reason": "a login wall",
    "controls": True,
    "locked": "",
    "viewers": 1,
}
MOST = 64 * 1024


class Viewed:
    """The page, and what it has asked for."""

    def __init__(self, tab: Page) -> None:
        self.tab = tab
        self.acts: list[dict[str, Any]] = []
        tab.route("**/*", self._serve)
        tab.route_web_socket("**/ws", self._link)
        tab.goto(VIEW)
        tab.wait_for_selector('body[data-locked="no"]')

    @staticmethod
    def _serve(route: Route) -> None:
        name = route.request.url.partition("/gui/static/")[2] or "view.html"
        route.fulfill(path=WEB / name)

    def _link(self, socket: WebSocketRoute) -> None:
        socket.on_message(lambda text: self.acts.append(json.loads(text)))
        socket.send(json.dumps({"type": "sight", "sight": SIGHT}))

    @property
    def texts(self) -> list[str]:
        """What was to be written."""
        return [act["text"] for act in self.acts if act["type"] == "text"]


@pytest.fixture
def viewed() -> Iterator[Viewed]:
    """The page of an instance that a person may act on."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=os.getuid() != 0
        )
        yield Viewed(browser.new_page())
        browser.close()


PASTE = """text => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  hands.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
}"""


def test_a_text_that_is_too_long_is_refused_as_a_whole(viewed: Viewed) -> None:
    """Written in the form or pasted on the picture: a part of it would look as if it were all."""
    box, said = viewed.tab.locator("#paste-text"), viewed.tab.locator("#said")
    told = f"Not done: {MOST + 1} characters are over the {MOST} that are taken at once"
    long = "é" * (MOST + 1)
    box.fill(long)
    viewed.tab.get_by_role("button", name="Write").click()
    expect(said).to_contain_text(told)
    assert box.input_value() == long
    box.fill("👍" * MOST)
    viewed.tab.get_by_role("button", name="Write").click()
    expect(said).to_be_empty()
    assert box.input_value() == ""
    viewed.tab.evaluate(PASTE, long)
    expect(said).to_contain_text(told)
    viewed.tab.evaluate(PASTE, "short")
    expect(said).to_be_empty()
    assert viewed.texts == ["👍" * MOST, "short"]
