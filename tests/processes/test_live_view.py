"""A person in the loop of a whole daemon: a check and a login wall, cleared through the live view.

The person is scripted, and stands for the operator: nothing in arenad clicks a check.
"""

import asyncio
import contextlib
import json
import os
import shutil
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from chats import whole
from daemon import Daemon, running, until
from playwright.sync_api import Page, expect, sync_playwright

WIDTH = 1280
BOX = (498.0, 504.0)
"""Where the arena's check has its box, in an instance's window of this width."""

PASSWORD = "demo"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One instance; requests wait for a person."""
    with running(1, queue={"wait_for_person_s": 60}) as daemon:
        yield daemon


def _fault(daemon: Daemon, fault: str) -> None:
    """Every visitor meets this from now on; the instance begins with it."""
    body = json.dumps({"faults": fault}).encode()
    headers = {"Content-Type": "application/json"}
    url = f"{daemon.demo_url}/demo/faults"
    urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT")).close()
    assert daemon.ctl("restart", "w1", "--wait", "--timeout", "1").returncode in (0, 1)


def _condition(daemon: Daemon) -> str:
    child = daemon.child("w1")
    return str(child["condition"]) if child["phase"] == "ready" else ""


@contextlib.contextmanager
def _waiting(daemon: Daemon, condition: str) -> Iterator[None]:
    """A chat that waits for a person; in the end it is answered."""
    until(lambda: _condition(daemon) == condition, condition, 40.0)
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(asyncio.run, whole(daemon.api_url, "demo-echo-instant", "for you"))
    until(lambda: daemon.state()["traffic"]["queued"] == 1, "the chat waits")
    yield
    assert answer.result(timeout=30) == "for you"
    pool.shutdown()


# -- at the WebSocket, as the page is --------------------------------------------------------------


class Person:
    """Sees what is shown, and acts on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.sight: dict[str, Any] = {}
        self.pictures = 0

    async def act(self, **what: Any) -> None:
        await self.socket.send_str(json.dumps(what))

    async def sees(self, **wanted: Any) -> None:
        """Until the sight is so and a picture was seen; each picture is acknowledged."""
        while not (wanted.items() <= self.sight.items() and self.pictures):
            message = await self.socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                assert message.data[8:11] == b"\xff\xd8\xff", "no JPEG"
                number = int.from_bytes(message.data[:4])
                self.pictures += 1
                await self.act(type="drawn", number=number)
            else:
                assert message.type is aiohttp.WSMsgType.TEXT, message
                told = json.loads(message.data)
                assert told["type"] != "refused", told
                self.sight = told.get("sight", {})

    async def click(self, x: float, y: float) -> None:
        for kind in ("move", "down", "up"):
            button = "none" if kind == "move" else "left"
            await self.act(type="mouse", kind=kind, x=x, y=y, button=button, clicks=1)

    async def press(self, key: str, number: int, text: str = "") -> None:
        for kind in ("down", "up"):
            await self.act(type="key", kind=kind, key=key, code=key, number=number, text=text)


@contextlib.asynccontextmanager
async def _at_the_view(daemon: Daemon) -> AsyncIterator[Person]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            f"{daemon.gui_url}/gui/view/w1/ws", headers={"Origin": daemon.gui_url}
        ) as socket,
    ):
        async with asyncio.timeout(40):
            yield Person(socket)


def test_a_check_is_passed_by_a_person(daemon: Daemon) -> None:
    """Click; it is ready by itself, the waiting chat is answered, status had told where to go."""
    _fault(daemon, "challenge")

    async def story() -> None:
        async with _at_the_view(daemon) as person:
            await person.sees(condition="needs_human", title="Just a moment…", locked="")
            await person.click(*BOX)
            await person.sees(condition="ready")

    with _waiting(daemon, "needs_human"):
        url = f"{daemon.gui_url}/gui/view/w1"
        assert f"w1 needs a person: {url}" in daemon.ctl("status").stdout
        assert f"a person clears it at {url}" in daemon.ctl("story", "w1", "--json").stdout
        assert daemon.ctl("view", "w1").stdout == f"{url}\n"
        asyncio.run(story())


def test_a_login_is_done_by_a_person(daemon: Daemon) -> None:
    """Name by keys, password pasted, Enter; and what was typed is in no log and no history."""
    _fault(daemon, "login")

    async def story() -> None:
        async with _at_the_view(daemon) as person:
            await person.sees(condition="needs_login", locked="")
            for letter in "demo":
                await person.press(letter, ord(letter.upper()), letter)
            await person.press("Tab", 9)
            await person.act(type="text", text=PASSWORD)
            await person.press("Enter", 13, "\r")
            await person.sees(condition="ready")

    with _waiting(daemon, "needs_login"):
        asyncio.run(story())
    assert "KeyD" not in daemon.log()
    assert "insertText" not in daemon.log()


# -- in a browser, as an operator does -------------------------------------------------------------


@contextlib.contextmanager
def _browser(daemon: Daemon) -> Iterator[Page]:
    """A browser on the dashboard; what its console says is an error of the test."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=os.getuid() != 0
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 1300})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(f"{daemon.gui_url}/")
        yield tab
        browser.close()
    assert said == []


def test_an_operator_clicks_through_the_picture(daemon: Daemon) -> None:
    """From the dashboard's link to the check's box; and what was typed stands in the log nowhere."""
    _fault(daemon, "challenge")
    with _waiting(daemon, "needs_human"), _browser(daemon) as tab:
        tab.get_by_role("link", name="Clear it on the page of w1").click()
        expect(tab.get_by_text("Please do what the site asks of a person")).to_be_visible()
        tab.wait_for_selector('body[data-seen="yes"][data-locked="no"]')
        box = tab.locator("#picture").bounding_box()
        assert box is not None
        scale = box["width"] / WIDTH
        tab.mouse.click(box["x"] + BOX[0] * scale, box["y"] + BOX[1] * scale)
        expect(tab.get_by_text("Done: w1 is ready again.")).to_be_visible(timeout=20_000)
        if folder := os.environ.get("ARENAD_SCREENSHOTS"):
            tab.screenshot(path=f"{folder}/live_view.png", full_page=True)
