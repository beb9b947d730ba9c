"""viewers: how many may look, and what becomes of one that takes nothing; over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from scripted import Wire, play, serving, until

from arenad.frontend import guard, viewers
from arenad.frontend.viewers import Viewers


class Page:
    """Sends each viewer a text again and again, until it cannot."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.viewers = Viewers("pages", 1, 4096)

    async def ws(self, request: web.Request) -> web.StreamResponse:
        async with self.viewers.one(request) as socket:
            while not socket.closed:
                await socket.send_str(self.text)
                await asyncio.sleep(0.01)
        return socket


@asynccontextmanager
async def _serving(text: str) -> AsyncIterator[tuple[Page, tuple[str, int]]]:
    page = Page(text)
    app = guard.application(lambda _request, _response: None)
    app.add_routes([web.get("/", page.ws)])
    async with serving(app) as address:
        yield page, address


def test_a_viewer_that_takes_nothing_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its place is free again; the log says why."""
    caplog.set_level("INFO")
    monkeypatch.setattr(viewers, "STALL_S", 0.1)

    async def story() -> None:
        async with _serving("x" * 1_000_000) as (page, address):
            wire = await Wire.slow(address)
            wire.upgrade("/")
            await until(lambda: page.viewers)
            await until(lambda: not page.viewers)
            assert "a client took nothing for 0.1 s, and is hung up on" in caplog.text

    play(story())


def test_one_too_many_is_refused_and_all_are_told_of_the_end() -> None:
    """With 429 and its remedy; at the end with the code for a server that goes (RFC 6455, 7.4.1)."""

    async def story() -> None:
        async with _serving("x") as (page, address):
            url = f"http://{address[0]}:{address[1]}/"
            async with aiohttp.ClientSession() as http:
                first = await http.ws_connect(url)
                async with http.get(url) as refused:
                    assert refused.status == 429
                    told = (await refused.json())["error"]["message"]
                    assert told == "1 pages are open already; close one"
                    assert refused.headers["Retry-After"] == "2"
                closing = asyncio.ensure_future(page.viewers.close())
                while (await first.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert first.close_code == 1001
                await closing

    play(story())
