"""The sessions of one page: frames, workers, and the connections that stay."""

import asyncio
from typing import Any

import pytest
from recorded_valve import RecordedValve
from scripted_browser import ScriptedBrowser, linked, tell, until

from arenad.worker import source as source_module
from arenad.worker import traffic
from arenad.worker.devtools import DevTools, Params
from arenad.worker.source import Inbox
from arenad.worker.traffic import Traffic


class Heard(Inbox):
    """A source that only notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str]] = []
        self.gone: list[str] = []

    def on_event(self, session: str, event: str, params: Params) -> None:
        del params
        self.events.append((session, event))

    def on_target_gone(self, session: str) -> None:
        self.gone.append(session)


async def begun(devtools: DevTools, browser: ScriptedBrowser) -> Traffic:
    """Traffic that listens in the page's session `s`."""
    made = Traffic(devtools, "s", "ours")
    beginning = asyncio.ensure_future(made.begin())
    await browser.answer("Network.enable", result={})
    await browser.answer("Target.setAutoAttach", result={})
    whole = await browser.answer("Target.setAutoAttach", result={})
    assert whole["params"]["filter"] == [{"type": "shared_worker"}, {"type": "page"}]
    await beginning
    return made


def attach(
    browser: ScriptedBrowser, session: str, context: str = "ours", parent: str = "s"
) -> None:
    info = {"targetId": session, "type": "worker", "browserContextId": context}
    browser.event("Target.attachedToTarget", {"sessionId": session, "targetInfo": info}, parent)


async def commands(browser: ScriptedBrowser, count: int) -> list[tuple[str, str]]:
    got: list[dict[str, Any]] = [await browser.command() for _ in range(count)]
    return [(command["sessionId"], command["method"]) for command in got]


def test_the_page_itself_is_heard_once() -> None:
    """The browser tells of it as of a window that a page opens: that second session stays idle."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            page.frame = "the page"
            page.attend(source := Heard())
            info = {"targetId": "the page", "type": "page", "browserContextId": "ours"}
            told = {"sessionId": "again", "targetInfo": info}
            browser.event("Target.attachedToTarget", told, "")
            attach(browser, "window", parent="")
            assert await commands(browser, 4) == [
                ("again", "Runtime.runIfWaitingForDebugger"),
                ("window", "Network.enable"),
                ("window", "Target.setAutoAttach"),
                ("window", "Runtime.runIfWaitingForDebugger"),
            ]
            for session in ("again", "s", "window"):
                browser.event("Network.dataReceived", {"requestId": "1"}, session)
            await until(lambda: len(source.events) >= 2)
            assert source.events == [("s", "dataReceived"), ("window", "dataReceived")]

    tell(story())


def test_workers_are_heard_before_they_run() -> None:
    """Each is listened to first and let go then, also below another one; its end is told."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            page.attend(source := Heard())
            for session, parent in (("w1", "s"), ("w2", "w1"), ("shared", "")):
                attach(browser, session, parent=parent)
                assert await commands(browser, 3) == [
                    (session, "Network.enable"),
                    (session, "Target.setAutoAttach"),
                    (session, "Runtime.runIfWaitingForDebugger"),
                ]
            browser.event("Network.dataReceived", {"requestId": "1"}, "w2")
            browser.event("Network.dataReceived", {"requestId": "1"}, "s")
            browser.event("Target.detachedFromTarget", {"sessionId": "w2"}, "w1")
            browser.event("Network.dataReceived", {"requestId": "1"}, "w2")
            browser.event("Network.loadingFinished", {"requestId": "1"}, "w1")
            await until(lambda: len(source.events) >= 3)
            assert source.events == [
                ("w2", "dataReceived"),
                ("s", "dataReceived"),
                ("w1", "loadingFinished"),
            ]
            assert source.gone == ["w2"]

    tell(story())


def test_strangers_and_crowds_only_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not ours, or one too many, is let go unheard."""
    monkeypatch.setattr(traffic, "MAX_SESSIONS", 1)

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            attach(browser, "stranger", context="theirs")
            assert await commands(browser, 1) == [("stranger", "Runtime.runIfWaitingForDebugger")]
            attach(browser, "w1")
            await commands(browser, 3)
            attach(browser, "w2")
            assert await commands(browser, 1) == [("w2", "Runtime.runIfWaitingForDebugger")]
            page.on_detached({"sessionId": "w2"})
            assert page._sessions == {"w1"}

    tell(story())


def test_open_connections_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they close, or their worker ends, or there are too many."""
    monkeypatch.setattr(traffic, "MAX_CHANNELS", 3)

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            attach(browser, "w")
            await commands(browser, 3)

            async def urls(*, is_socket: bool, wanted: list[str]) -> None:
                await until(
                    lambda: [each.url for each in page.channels(is_socket=is_socket)] == wanted
                )

            browser.event("Network.webSocketCreated", {"requestId": "1", "url": "ws://a"})
            request = {"method": "GET", "url": "http://b"}
            browser.event(
                "Network.requestWillBeSent",
                {"requestId": "2", "type": "EventSource", "request": request},
            )
            browser.event(
                "Network.requestWillBeSent", {"requestId": "3", "type": "Fetch", "request": request}
            )
            browser.event("Network.webSocketCreated", {"requestId": "1", "url": "ws://c"}, "w")
            await urls(is_socket=True, wanted=["ws://a", "ws://c"])
            await urls(is_socket=False, wanted=["http://b"])
            browser.event("Network.webSocketCreated", {"requestId": "4", "url": "ws://d"})
            await urls(is_socket=True, wanted=["ws://c", "ws://d"])
            browser.event("Network.webSocketClosed", {"requestId": "4"})
            browser.event("Network.loadingFailed", {"requestId": "2"})
            await urls(is_socket=False, wanted=[])
            browser.event("Target.detachedFromTarget", {"sessionId": "w"})
            await urls(is_socket=True, wanted=[])

    tell(story())


def test_a_lost_browser_is_told_to_the_source() -> None:
    """Also when it is lost in the moment in which a worker begins."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            page.lose("nobody listens")
            page.attend(source := Heard())
            devtools.close()
            page._on_attached({"sessionId": "w", "targetInfo": {}})
            assert source.is_over

    tell(story())


def test_only_the_source_that_is_told_holds_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was left neither shuts it, by a reply that comes yet, nor opens it by being given up."""
    monkeypatch.setattr(source_module, "HELD_BYTES", 10)

    async def story() -> None:
        async with linked() as (devtools, browser):
            devtools.valve = valve = RecordedValve()
            page = await begun(devtools, browser)
            left, told = Heard(), Heard()
            for source in (left, told):
                page.attend(source)
                source._add("x")
                await source.read()
            left._add("x" * 11)
            assert not valve.reasons
            told._add("x" * 11)
            left.abandon()
            assert valve.reasons

    tell(story())


def test_a_page_is_calm_when_its_sockets_are_open_and_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where it has none; not before the answer to a handshake, nor while they speak."""
    monkeypatch.setattr(traffic, "CALM_S", 0.02)
    monkeypatch.setattr(traffic, "CALM_LIMIT_S", 60.0)

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            await page.calm()
            browser.event("Network.webSocketCreated", {"requestId": "1", "url": "ws://a"})
            await until(lambda: bool(page.channels(is_socket=True)))
            waiting = asyncio.ensure_future(page.calm())
            await asyncio.sleep(0.1)
            assert not waiting.done()
            browser.event("Network.webSocketHandshakeResponseReceived", {"requestId": "1"})
            await waiting
            browser.event("Network.webSocketCreated", {"requestId": "2", "url": "ws://b"})
            await until(lambda: len(page.channels(is_socket=True)) == 2)
            waiting = asyncio.ensure_future(page.calm())
            browser.event("Network.webSocketClosed", {"requestId": "2"})
            await waiting

    tell(story())


def test_a_page_that_never_rests_is_used_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server may have to be asked before it says anything."""
    monkeypatch.setattr(traffic, "CALM_LIMIT_S", 0.05)

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = await begun(devtools, browser)
            browser.event("Network.webSocketCreated", {"requestId": "1", "url": "ws://a"})
            await until(lambda: bool(page.channels(is_socket=True)))
            await page.calm()

    tell(story())
