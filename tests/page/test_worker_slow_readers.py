"""An answer that is read slowly, or not at all: the site waits, and what is read in the end is whole."""

import asyncio
import base64
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiohttp import web
from other_pages import rules
from real_browser import browser_in, serving, tell, until

from arenad.schema.chat import Event, Image
from arenad.schema.config import HealthConfig
from arenad.worker.health import Health
from arenad.worker.listen import listen
from arenad.worker.page import Page
from arenad.worker.sites.pictures import bringing
from arenad.worker.source import Piece

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
LINES = 48
"""Of a megabyte each: more than is kept of what nobody reads."""

PAUSE_S = 0.1
"""After each: what a busy browser has taken before it is held back must be less than is kept."""

BEGINNING_S = 1.0
"""As a model's: what a site sends before the browser could be told to stream it must be little."""

READ = """fetch("/answer", {method: "POST"}).then(async (answer) => {
    for (const body = answer.body.getReader(); !(await body.read()).done;);
}); 0"""
LISTEN = """window.socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
socket.onopen = () => socket.send("a question"); 0"""
WAYS = {
    "fetch": (READ, "{url_pattern: /answer$, grammar: sse, answer: {text: $value}}"),
    "eventsource": (
        "window.events = new EventSource('/answer'); 0",
        "{transport: eventsource, url_pattern: /answer$, grammar: sse, answer: {text: $value}}",
    ),
    "websocket": (
        LISTEN,
        "{transport: websocket, url_pattern: /socket$, grammar: json-frames, answer: {text: t}}",
    ),
}


async def _blank(request: web.Request) -> web.Response:
    del request
    return web.Response(text="<p>blank", content_type="text/html")


def _lines() -> list[str]:
    return [f"{number:06}" + "x" * 1_000_000 for number in range(LINES)]


async def _answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await asyncio.sleep(BEGINNING_S)
    for line in _lines():
        await response.write(f"data: {line}\n\n".encode())
        await asyncio.sleep(PAUSE_S)
    return response


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.receive()
    for line in _lines():
        await socket.send_str(line)
        await asyncio.sleep(PAUSE_S)
    return socket


def _text(pieces: Iterable[Piece]) -> str:
    return "".join(each if isinstance(each, str) else each.decode() for each in pieces)


@pytest.mark.parametrize("way", WAYS)
def test_the_site_waits_for_a_reader_that_has_stopped(tmp_path: Path, way: str) -> None:
    """Nothing more comes in, the browser passes for well, and later all of it is there."""
    ask, stream = WAYS[way]

    async def story() -> None:
        routes = [web.get("/", _blank), web.get("/socket", _socket)]
        routes += [web.get("/answer", _answer), web.post("/answer", _answer)]
        async with serving(*routes) as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(address)
            unread = await listen(page, rules(stream), prompt="a question")
            await page.evaluate(ask)
            await unread.head()
            text = _text(await unread.read())
            await until(lambda: browser.valve.is_shut)
            health = Health(browser, page, HealthConfig(probe_s=0.1, timeout_s=0.5), lambda: True)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(health.trouble(), 2.5)
            assert browser.valve.is_shut
            while pieces := await unread.read():
                text += _text(pieces)
            assert re.findall(r"\d{6}(?=x)", text) == [line[:6] for line in _lines()]
            assert text.count("x") == LINES * 1_000_000
            await until(lambda: not browser.valve.is_shut)

    tell(story())


async def _image(request: web.Request) -> web.Response:
    del request
    return web.Response(body=PNG, content_type="image/png")


def test_an_image_is_brought_while_the_answer_around_it_is_not_read(tmp_path: Path) -> None:
    """Who brings it does not read on meanwhile; the network is held back again afterwards."""
    ask, stream = WAYS["fetch"]
    told: list[Event] = []
    brought = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(2):
            await response.write(b"data: " + b"x" * 1_000_000 + b"\n\n")
            await brought.wait()
        return response

    async def emit(event: Event) -> None:
        told.append(event)

    async def story() -> None:
        routes = [web.get("/", _blank), web.post("/answer", answer), web.get("/i", _image)]
        async with serving(*routes) as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(address)
            unread = await listen(page, rules(stream), prompt="a question")
            await page.evaluate(ask)
            text = _text(await unread.read())
            await until(lambda: browser.valve.is_shut)
            await bringing(page, emit, 1_000_000)(Image("/i"))
            assert told == [Image(f"data:image/png;base64,{base64.b64encode(PNG).decode()}")]
            assert browser.valve.is_shut
            brought.set()
            while pieces := await unread.read():
                text += _text(pieces)
            assert text.count("x") == 2_000_000

    tell(story())
