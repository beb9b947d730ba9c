"""The dashboard of a real daemon, in a real browser."""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from daemon import Daemon, running, until
from playwright.sync_api import Page, expect, sync_playwright


@pytest.fixture(scope="module")
def one() -> Iterator[Daemon]:
    """One instance to look at."""
    with running(1) as daemon:
        yield daemon


@pytest.fixture
def page(one: Daemon) -> Iterator[Page]:
    """The dashboard, open; what its console says is an error of the test."""
    browser_path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, chromium_sandbox=os.getuid() != 0
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(f"{one.gui_url}/")
        yield tab
        browser.close()
    assert said == []


def test_shows_and_scales(one: Daemon, page: Page) -> None:
    """The verdict is there; a second instance asked for on the page comes up, on the page too."""
    expect(page.get_by_text("1 of 1 instance ready").first).to_be_visible(timeout=20_000)
    expect(page.get_by_role("row", name="w1").first).to_be_visible()
    number = page.get_by_role("spinbutton")
    number.fill("2")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("2 of 2 instances ready").first).to_be_visible(timeout=30_000)
    until(lambda: one.state()["instances_wanted"] == 2, "the master wants two")
    if folder := os.environ.get("ARENAD_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/dashboard.png", full_page=True)


def test_foreign_pages_are_turned_away(one: Daemon) -> None:
    """Neither another origin nor a rebound host name can act through the dashboard's server."""

    def post(headers: dict[str, str]) -> int:
        request = urllib.request.Request(
            f"{one.gui_url}/gui/api/scale",
            data=b'{"instances": 0}',
            headers={"Content-Type": "application/json", **headers},
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        with caught.value as refusal:
            return refusal.code

    assert post({"Origin": "https://example.com"}) == 403
    assert post({"Host": "rebound.example.com"}) == 403
    assert one.state()["instances_wanted"] >= 1
