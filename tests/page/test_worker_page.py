"""The port to a page, and what is captured of its traffic, in a real Chromium."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from real_browser import browser_in, hang, page_in, processes, serving, tell, until

from arenad.errors import UpstreamFailed
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError, BrowserGone, NoReply

FORM = """data:text/html,<!doctype html><meta charset=utf-8>
<textarea id=box></textarea><div id=rich contenteditable>old</div>
<fieldset disabled><button id=off>off</button></fieldset>
<button id=on onclick="document.title='pressed'">on</button>"""

TEXT = 'a0:"é 競技場 👩‍💻"\n'
ASK = "fetch('/answer', {method: 'POST', body: '%s'}).then((r) => r.text()).catch(() => 0); 0"
ASK_READER = """fetch('/answer', {method: 'POST', body: '%s'}).then(async (response) => {
    const reader = response.body.getReader();
    while (!(await reader.read()).done);
}); 0"""


async def _answers(page: Page) -> bool:
    try:
        await page.evaluate("1", 0.1)
    except NoReply:
        return False
    return True


def test_errors_of_the_page_are_told_apart(tmp_path: Path) -> None:
    """A script that throws, an address that does not open, a page that hangs, one that crashed."""

    async def story() -> None:
        async with browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            with pytest.raises(BrowserError, match="Error: broken"):
                await page.evaluate("throw new Error('broken')")
            with pytest.raises(BrowserError, match="ERR_UNSAFE_PORT"):
                await page.open("http://127.0.0.1:1/")
            await page.open(FORM)
            while await _answers(page):  # a renderer of its own may just be taking over the page
                for renderer in processes(browser, "renderer"):
                    hang(renderer)
            waiting = asyncio.get_running_loop().create_task(page.evaluate("1"))
            await asyncio.sleep(0)  # let it ask
            for renderer in processes(browser, "renderer"):
                renderer.send_signal(signal.SIGKILL)
            with pytest.raises(BrowserGone, match="crashed"):
                await waiting
            assert page.crashed.is_set()
            with pytest.raises(BrowserGone, match="crashed"):
                await page.evaluate("1")

    tell(story())


@pytest.mark.parametrize("ask", [ASK, ASK_READER], ids=["text", "reader"])
@pytest.mark.parametrize("headers", [{}, {"Cache-Control": "no-store"}], ids=["", "no-store"])
@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", "application/json"])
def test_instant_answers_are_read_whole(
    tmp_path: Path, ask: str, headers: dict[str, str], kind: str
) -> None:
    """However quickly an answer is over, and whatever it says it is, every byte is read."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"Content-Type": kind} | headers)

    async def story() -> None:
        routes = (web.post("/answer", answer), web.get("/", _blank))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            for number in range(30):
                capture = page.capture("/answer$", "POST")
                await page.evaluate(ask % f"{number} é 👩‍💻")
                assert await capture.head() == 200
                body = b""
                while pieces := await capture.read():
                    body += b"".join(pieces)
                assert body.decode() == f"{number} é 👩‍💻"

    tell(story())


async def _blank(request: web.Request) -> web.Response:
    del request
    return web.Response(text="<p>blank", content_type="text/html")


def test_an_answer_is_read_while_it_comes(tmp_path: Path) -> None:
    """Each piece is there before the next one is even written; a cut at the end is seen."""

    async def story() -> None:
        written, read = asyncio.Event(), asyncio.Event()

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(3):
                await response.write(TEXT.encode())
                written.set()
                await read.wait()
                read.clear()
            request.transport.abort()
            return response

        routes = (web.post("/answer", answer), web.get("/", _blank))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            capture = page.capture("/answer", "POST")
            await page.evaluate(ASK_READER % "x")
            await capture.sent()
            for _ in range(3):
                await written.wait()
                written.clear()
                assert b"".join(await capture.read()).decode() == TEXT
                read.set()
            with pytest.raises(UpstreamFailed, match="was cut"):
                await capture.read()

    tell(story())


def test_heads_without_a_body(tmp_path: Path) -> None:
    """A status with nothing behind it, a redirect, and a connection that ends before any head."""

    async def empty(request: web.Request) -> web.Response:
        return web.Response(status=int((await request.read()) or b"503"))

    async def redirect(request: web.Request) -> web.Response:
        del request
        raise web.HTTPTemporaryRedirect("/moved")

    async def moved(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="text/plain")

    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def story() -> None:
        routes = [web.post("/answer", empty), web.post("/there", redirect), web.get("/", _blank)]
        routes += [web.post("/moved", moved), web.post("/cut", cut)]
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            for status in (204, 429, 503):
                capture = page.capture("/answer", "POST")
                await page.evaluate(ASK % status)
                assert await capture.head() == status
                assert await capture.read() == []
            capture = page.capture("/there", "POST")
            await page.evaluate(ASK.replace("/answer", "/there") % "moved é")
            assert await capture.head() == 200
            assert b"".join(await capture.read()).decode() == "moved é"
            capture = page.capture("/cut", "POST")
            await page.evaluate(ASK.replace("/answer", "/cut") % "x")
            with pytest.raises(UpstreamFailed, match="did not answer"):
                await capture.head()

    tell(story())


OPENER = """<!doctype html><button style="position: fixed; inset: 0; width: 100px; height: 100px"
onclick="window.open('/second')">log in</button>"""
SECOND = """<!doctype html><script>
fetch("/inside").then(() => { opener.document.title = "logged in"; close() })
</script>"""
LOGGED_IN = """new Promise((done) => {
    const look = () => document.title === "logged in" ? done(0) : setTimeout(look, 10);
    look();
})"""


@pytest.mark.parametrize("is_renewed", [False, True], ids=["first", "renewed"])
def test_a_window_that_the_page_opens(tmp_path: Path, *, is_renewed: bool) -> None:
    """As for a login: it loads, tells its opener, closes; neither the press nor the page waits."""
    asked: list[str] = []

    def page_of(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.Response(text=text, content_type="text/html")

        return answer

    async def story() -> None:
        pages = {"/": OPENER, "/second": SECOND, "/inside": ""}
        routes = [web.get(path, page_of(text)) for path, text in pages.items()]
        async with serving(*routes) as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(address)
            if is_renewed:
                old, page = page, await Page.create(browser.devtools)
                await old.close()
                await page.open(address)
            heard = page.heard
            for number in range(1, 4):
                await page.evaluate("document.title = 'a stranger'")
                await page.press_at((50, 50))
                await page.evaluate(LOGGED_IN)
                assert asked.count("/inside") == number
            assert page.heard > heard
            await until(lambda: not page.traffic._sessions)
            assert not page.crashed.is_set()

    tell(story())


def test_a_request_is_heard_once(tmp_path: Path) -> None:
    """The browser tells of the page itself, too; that is no second session of it."""

    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(text="well")

    async def story() -> None:
        routes = (web.post("/answer", answer), web.get("/", _blank))
        async with serving(*routes) as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(address)
            told: list[str] = []
            take = page.traffic._on_event

            def note(session: str, event: str, params: dict[str, Any]) -> None:
                told.append(event)
                take(session, event, params)

            page.traffic._on_event = note
            page.traffic._listen(page._session)
            await page.evaluate(ASK % "x")
            await until(lambda: "loadingFinished" in told)
            assert told.count("requestWillBeSent") == 1
            assert not page.traffic._sessions

    tell(story())
