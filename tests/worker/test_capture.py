"""The capture of an answer, from scripted events over a real DevTools link."""

import asyncio
import base64
from typing import Any

import pytest
from scripted_browser import ScriptedBrowser, linked, tell

from arenad.errors import UpstreamFailed
from arenad.worker import capture as capture_module
from arenad.worker import source
from arenad.worker.capture import Capture
from arenad.worker.devtools import DevTools
from arenad.worker.page_port import BrowserGone
from arenad.worker.traffic import DECODERS

STREAM = "Network.streamResourceContent"
WHOLE = "Network.getResponseBody"
EVENTS = (
    "requestWillBeSent",
    "responseReceived",
    "dataReceived",
    "loadingFinished",
    "loadingFailed",
)
ALREADY_OVER = {"code": -32000, "message": "has already finished loading"}


def _capture(devtools: DevTools, *, follow: bool = False) -> Capture:
    capture = Capture(devtools, "/answer", "POST", follow=follow)
    devtools.on_lost(lambda: capture.lose("the browser is gone"))
    for event in EVENTS:

        def hear(params: dict[str, Any], event: str = event) -> None:
            capture.on_event("s", event, params)

        devtools.on("s", f"Network.{event}", hear, DECODERS.get(event))
    return capture


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class _Site(ScriptedBrowser):
    """The events of one request, by short names."""

    def request(self, number: str = "r1", method: str = "POST", url: str = "/answer") -> None:
        params = {"requestId": number, "request": {"method": method, "url": url}}
        self.event("Network.requestWillBeSent", params)

    def head(self, status: int = 200, number: str = "r1", charset: str = "utf-8") -> None:
        response = {"status": status, "headers": {"X-Kind": "test"}, "charset": charset}
        params = {"requestId": number, "response": response}
        self.event("Network.responseReceived", params)

    def data(self, text: str, number: str = "r1") -> None:
        self.event("Network.dataReceived", {"requestId": number, "data": _b64(text)})

    def finish(self, number: str = "r1") -> None:
        self.event("Network.loadingFinished", {"requestId": number})

    def fail(self, *, canceled: bool, number: str = "r1") -> None:
        params = {"requestId": number, "errorText": "net::ERR_TEST", "canceled": canceled}
        self.event("Network.loadingFailed", params)


def _site(browser: ScriptedBrowser) -> _Site:
    return _Site(browser._commands, browser._replies)


async def _all(capture: Capture) -> str:
    body = b""
    while pieces := await capture.read():
        body += b"".join(piece for piece in pieces if isinstance(piece, bytes))
    return body.decode()


def test_buffered_comes_before_streamed() -> None:
    """What had come before we asked stands before what comes after, around any head."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            asked = await site.answer(STREAM, result={"bufferedData": _b64("one ")})
            assert asked["params"] == {"requestId": "r1"}
            site.data("two ")
            site.head()
            site.data("three")
            site.finish()
            await capture.sent()
            assert await capture.head() == 200
            assert capture.headers == {"x-kind": "test"}
            assert await _all(capture) == "one two three"
            assert capture.is_over

    tell(story())


def test_only_its_own_request_is_read() -> None:
    """Other addresses, other methods and a second request of the same kind are not mixed in."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request("r0", method="OPTIONS")
            site.request("r0", url="/other")
            site.head(404, "r0")
            site.data("wrong", "r0")
            site.request("r1")
            await site.answer(STREAM, result={"bufferedData": ""})
            site.request("r2")
            site.head(500, "r2")
            site.data("wrong", "r2")
            site.head()
            site.data("right")
            site.finish("r2")
            site.finish()
            assert await capture.head() == 200
            assert await _all(capture) == "right"

    tell(story())


def test_a_redirect_is_followed() -> None:
    """The request keeps its id; what is read is the last answer."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            await site.answer(STREAM, result={})
            site.request(url="/elsewhere")
            site.head(201)
            site.data("moved")
            site.finish()
            assert await capture.head() == 201
            assert await _all(capture) == "moved"

    tell(story())


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("utf-8", "é Ã©", "é Ã©"),
        ("", "é 競技場", "é 競技場"),
        ("", "Ã©ç«¶ðŸ‘©â€\x8dðŸ’»", "é競👩\u200d💻"),
        ("", "\xc3\x81", "Á"),
        ("", "plain", "plain"),
        ("", "\xe9t\xe9", "été"),
    ],
)
def test_an_answer_that_was_over_is_fetched(charset: str, body: str, text: str) -> None:
    """Too late for a stream: the whole body, with the browser's guess at its encoding undone."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            site.head(charset=charset)
            site.finish()
            await site.answer(STREAM, error=ALREADY_OVER)
            await site.answer(WHOLE, result={"body": body, "base64Encoded": False})
            assert await _all(capture) == text

    tell(story())


def test_a_whole_body_may_be_base64() -> None:
    """Bytes that the browser takes for no text come encoded."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            await site.answer(STREAM, error={"message": "does not exist"})
            site.head()
            await site.answer(STREAM, error=ALREADY_OVER)
            site.finish()
            await site.answer(WHOLE, result={"body": _b64("é"), "base64Encoded": True})
            assert await _all(capture) == "é"

    tell(story())


def test_the_end_waits_for_what_was_buffered() -> None:
    """An end that is heard before the reply to our asking is not the end of the reading."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            site.head()
            site.fail(canceled=True)
            assert await capture.head() == 200
            assert not capture.is_over
            await site.answer(STREAM, result={"bufferedData": _b64("all of it")})
            assert await _all(capture) == "all of it"

    tell(story())


@pytest.mark.parametrize("canceled", [True, False])
def test_a_cut_is_told_from_a_page_that_let_go(canceled: bool) -> None:
    """A broken connection is an error, after all that came; a page that read to the end is not."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            await site.answer(STREAM, result={})
            site.head()
            site.data("text")
            site.fail(canceled=canceled)
            assert await capture.read() == [b"text"]
            if canceled:
                assert await capture.read() == []
            else:
                with pytest.raises(UpstreamFailed, match=r"was cut: net::ERR_TEST"):
                    await capture.read()

    tell(story())


def test_a_lost_body_is_told() -> None:
    """An answer that the browser has not kept is an error, not an empty answer."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            site.head()
            site.fail(canceled=True)
            await site.answer(STREAM, error=ALREADY_OVER)
            await site.answer(WHOLE, error={"message": "No data found"})
            with pytest.raises(UpstreamFailed, match="No data found"):
                await capture.read()

    tell(story())


def test_a_cut_before_the_head_ends_every_waiter() -> None:
    """Whoever waits for the head, for bytes or for the end is woken."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            waiting = asyncio.gather(
                capture.sent(),
                capture.head(),
                capture.read(),
                capture.over(),
                return_exceptions=True,
            )
            site.request()
            await site.answer(STREAM, result={})
            site.fail(canceled=False)
            sent, head, read, over = await waiting
            assert (sent, over) == (None, None)
            assert isinstance(head, UpstreamFailed)
            assert isinstance(read, UpstreamFailed)
            assert "did not answer: net::ERR_TEST" in str(head)

    tell(story())


@pytest.mark.parametrize("moment", ["before the request", "before the head", "in the body"])
def test_a_lost_browser_ends_every_waiter(moment: str) -> None:
    """At whatever moment it goes, nobody waits on; what had come can still be read."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            waiting = asyncio.gather(capture.sent(), capture.head(), return_exceptions=True)
            if moment != "before the request":
                site.request()
                await site.answer(STREAM, result={"bufferedData": _b64("some")})
            if moment == "in the body":
                site.head()
            site.leave()
            sent, head = await waiting
            assert isinstance(sent, BrowserGone) is (moment == "before the request")
            assert isinstance(head, BrowserGone) is (moment != "in the body")
            if moment != "before the request":
                assert await capture.read() == [b"some"]
            with pytest.raises(BrowserGone):
                await capture.read()

    tell(story())


def test_several_waiters_are_all_woken() -> None:
    """One event of the browser is news for everybody who waits."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            waiting = asyncio.gather(*(capture.head() for _ in range(3)), capture.over())
            site.request()
            await site.answer(STREAM, result={})
            site.head(204)
            site.finish()
            assert await waiting == [204, 204, 204, None]
            assert await capture.read() == []

    tell(story())


def test_a_slow_reader_loses_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing is kept, and no answer with a hole is given out."""
    monkeypatch.setattr(source, "UNREAD_LIMIT_BYTES", 10)

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            await site.answer(STREAM, result={})
            site.head()
            for _ in range(3):
                site.data("123456")
            site.finish()
            await capture.over()
            with pytest.raises(UpstreamFailed, match="read so slowly"):
                await capture.read()
            assert not capture._pieces

    tell(story())


def test_an_abandoned_answer_is_watched_not_kept() -> None:
    """Nothing is stored for nobody, but the end is still seen."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            await site.answer(STREAM, result={"bufferedData": _b64("some")})
            await capture.sent()
            capture.abandon()
            site.data("more")
            site.finish()
            site.head()
            await capture.over()
            assert not capture._pieces

    tell(story())


def test_a_next_request_may_begin_before_the_last_one_has_ended() -> None:
    """A page that polls need not wait for what the browser still tells us: none is missed."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools, follow=True)
            for number in ("r1", "r2", "r3"):
                site.request(number)
                site.head(number=number)
                site.event("Network.dataReceived", {"requestId": number})
            site.request("r2", url="/other")
            site.finish("r2")
            await site.answer(STREAM, result={"bufferedData": _b64("one ")})
            assert await capture.read() == [b"one "]
            site.finish("r1")
            asked = await site.answer(STREAM, error=ALREADY_OVER)
            assert asked["params"] == {"requestId": "r2"}
            await site.answer(WHOLE, result={"body": "two ", "base64Encoded": False})
            assert await capture.read() == [b"two "]
            await site.answer(STREAM, result={"bufferedData": _b64("three")})
            assert await capture.read() == [b"three"]
            assert not capture.is_over
            site.fail(canceled=False, number="r3")
            with pytest.raises(UpstreamFailed, match="ERR_TEST"):
                await capture.read()

    tell(story())


def test_requests_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded; and then it is told."""
    monkeypatch.setattr(capture_module, "MAX_LATER", 10)

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools, follow=True)
            for number in range(20):
                site.request(f"r{number}")
            with pytest.raises(UpstreamFailed, match="too many requests of its kind"):
                await capture.read()
            assert len(capture._later) == 10

    tell(story())


@pytest.mark.parametrize(
    ("kept", "is_whole"), [("a beginning, ", True), ("ginning, ", False), ("", False)]
)
def test_an_answer_never_begins_with_a_hole(kept: str, *, is_whole: bool) -> None:
    """What came before it was streamed is all in the reply, or it is told that it is not."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            site, capture = _site(browser), _capture(devtools)
            site.request()
            command = await site.command()
            site.head()
            site.event("Network.dataReceived", {"requestId": "r1", "dataLength": 13})
            site.say(id=command["id"], sessionId="s", result={"bufferedData": _b64(kept)})
            site.data("an end")
            site.finish()
            if is_whole:
                assert await _all(capture) == "a beginning, an end"
                return
            with pytest.raises(UpstreamFailed, match="faster than they could be read"):
                await _all(capture)

    tell(story())
