"""The DevTools link over real pipes: order, errors, bounds, its end."""

import asyncio
import json
import logging
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_valve import RecordedValve
from scripted_browser import linked, tell, until

from arenad.worker import devtools as devtools_module
from arenad.worker import inflow
from arenad.worker.devtools import DevTools, Reply
from arenad.worker.page_port import BrowserError, BrowserGone, NoReply


def test_command_and_reply_meet() -> None:
    """Replies in another order than the commands find those who wait for them."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            both = asyncio.gather(
                devtools.command("A.one", {"x": 1}), devtools.command("A.two", session="s7")
            )
            one, two = await browser.command(), await browser.command()
            assert one == {"id": 1, "method": "A.one", "params": {"x": 1}}
            assert two == {"id": 2, "method": "A.two", "params": {}, "sessionId": "s7"}
            browser.say(id=2, result={"n": 2})
            browser.say(id=1, result={"n": 1})
            assert await both == [{"n": 1}, {"n": 2}]

    tell(story())


def test_wire_order_is_kept() -> None:
    """A reply is handled before the events that follow it, whoever it is for."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            seen: list[Any] = []
            done = asyncio.Event()
            devtools.on("s", "N.data", lambda params: seen.append(params["n"]))
            devtools.on("s", "N.end", lambda _: done.set())
            devtools.send("s", "N.stream", {}, lambda reply: seen.append(reply.result["n"]))
            await browser.command()
            browser.event("N.data", {"n": 0})
            browser.say(id=1, sessionId="s", result={"n": 1})
            browser.event("N.data", {"n": 99}, session="another")
            browser.event("N.data", {"n": 2})
            browser.event("N.end", {})
            await done.wait()
            assert seen == [0, 1, 2]

    tell(story())


def test_refusals_and_silence_are_told_apart() -> None:
    """What the browser refuses, what it does not answer, and that neither is a `TimeoutError`."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            refused = asyncio.gather(devtools.command("A.no"), return_exceptions=True)
            await browser.answer("A.no", error={"code": -1, "message": "not like this"})
            [error] = await refused
            assert type(error) is BrowserError
            assert str(error) == "A.no: not like this"
            with pytest.raises(NoReply, match=r"no reply within 0\.01 s"):
                await devtools.command("A.slow", timeout_s=0.01)
            assert not issubclass(NoReply, TimeoutError)

    tell(story())


def test_a_cancelled_command_is_forgotten() -> None:
    """Its late reply disturbs nobody."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            task = asyncio.get_running_loop().create_task(devtools.command("A.one"))
            number = (await browser.command())["id"]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert devtools._waiting == {}
            browser.say(id=number, result={})
            second = asyncio.gather(devtools.command("A.two"))
            await browser.answer("A.two", result={"fine": True})
            assert await second == [{"fine": True}]

    tell(story())


def test_a_bug_in_a_listener_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and the next message is handed on."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            calls: list[int] = []

            def fail(_: object) -> None:
                calls.append(1)
                raise ValueError("a bug")

            devtools.on("s", "N.bad", fail)
            both = asyncio.gather(devtools.command("A.one"))
            devtools.send("s", "A.two", {}, fail)
            await browser.command()
            await browser.command()
            browser.event("N.bad", {})
            browser.say(id=1, result={})
            browser.say(id=2, result={"fine": True})
            assert await both == [{"fine": True}]
            assert calls == [1, 1]

    with caplog.at_level(logging.ERROR):
        tell(story())
    assert [record.message for record in caplog.records] == ["a listener failed"] * 2


@pytest.mark.parametrize(
    "message", [b"not json", b'{"id":"x"}', b"[]", b'{"method":"N.x","params":3}', b"\xff", b""]
)
def test_unreadable_messages_are_skipped(message: bytes) -> None:
    """A message that makes no sense is not the end of those that do."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            devtools.on("", "N.x", lambda _: None)
            asked = asyncio.gather(devtools.command("A.one"))
            await browser.command()
            browser.write(message + b"\0")
            browser.say(id=1, result={"fine": True})
            assert await asked == [{"fine": True}]

    tell(story())


def test_a_huge_message_arrives_whole() -> None:
    """Thirty megabytes in whatever pieces a pipe makes of them."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            asked = asyncio.gather(devtools.command("A.big"))
            text = "x" * 30_000_000
            await browser.answer("A.big", result={"text": text})
            assert await asked == [{"text": text}]

    tell(story())


def test_a_message_without_end_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never ends is not kept: the link ends instead."""
    monkeypatch.setattr(devtools_module, "MAX_MESSAGE_BYTES", 100_000)

    async def story() -> None:
        async with linked() as (devtools, browser):
            asked = asyncio.gather(devtools.command("A.one"), return_exceptions=True)
            browser.write(b"x" * 200_000)
            await devtools.lost.wait()
            [error] = await asked
            assert isinstance(error, BrowserGone)
            assert not devtools._received

    tell(story())


def test_a_browser_that_does_not_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are not piled up without bound."""
    monkeypatch.setattr(devtools_module, "UNSENT_LIMIT_BYTES", 1_000_000)

    async def story() -> None:
        async with linked() as (devtools, _):
            # Nobody gets a turn to read in between.
            for _ in range(2):
                devtools.send("", "A.big", {"x": "x" * 1_000_000}, lambda _: None)
            with pytest.raises(NoReply, match="does not read"):
                devtools.send("", "A.big", {}, lambda _: None)

    tell(story())


def test_the_end_of_the_link_ends_every_waiter() -> None:
    """Those who wait, those who listen, and those who ask afterwards."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            told: list[str] = []
            replies: list[Reply] = []
            devtools.on_lost(lambda: told.append("lost"))
            asked = asyncio.gather(devtools.command("A.one"), return_exceptions=True)
            devtools.send("s", "A.two", {}, replies.append)
            await browser.command()
            browser.leave()
            [error] = await asked
            assert isinstance(error, BrowserGone)
            assert replies == [Reply({}, "the browser is gone", is_gone=True)]
            assert told == ["lost"]
            assert devtools.lost.is_set()
            with pytest.raises(BrowserGone):
                await devtools.command("A.three")
            devtools.close()
            devtools.close()

    tell(story())


def test_the_end_of_a_session_is_its_own() -> None:
    """A crashed page ends its own waiters, not those of the browser."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            lost = asyncio.gather(devtools.command("A.one", session="s"), return_exceptions=True)
            kept = asyncio.gather(devtools.command("A.two"))
            await browser.command()
            devtools.end_session("s", "the page crashed")
            [error] = await lost
            assert isinstance(error, BrowserGone)
            await browser.answer("A.two", result={})
            assert await kept == [{}]

    tell(story())


@given(data=st.data(), texts=st.lists(st.text(), min_size=1, max_size=5))
def test_any_split_gives_the_same_messages(data: st.DataObject, texts: list[str]) -> None:
    """However the pipe cuts the bytes, each message arrives once, in order."""
    wire = b"".join(
        json.dumps({"method": "N.x", "params": {"text": text}}).encode() + b"\0" for text in texts
    )
    cuts = data.draw(st.sets(st.integers(0, len(wire)), max_size=20))
    edges = sorted({0, len(wire), *cuts})

    async def story() -> None:
        devtools, seen = DevTools(), list[str]()
        devtools.on("", "N.x", lambda params: seen.append(params["text"]))
        for start, end in pairwise(edges):
            devtools.data_received(wire[start:end])
        assert seen == texts

    asyncio.run(story())


def _event(method: str, params: dict[str, Any]) -> bytes:
    """As a browser writes it."""
    told = {"method": method, "params": params, "sessionId": "s"}
    return json.dumps(told, separators=(",", ":")).encode() + b"\0"


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_network_that_brings_too_much_is_held_back(
    monkeypatch: pytest.MonkeyPatch, *, is_slow: bool
) -> None:
    """More than goes at the pace is rested from; what is no news of the network counts nothing."""
    monkeypatch.setattr(inflow, "BURST_BYTES", 100_000)
    monkeypatch.setattr(inflow, "QUIET_S", 0.001)
    monkeypatch.setattr(inflow, "PACE_BYTES_S", 1 if is_slow else 100_000_000)

    async def story() -> None:
        async with linked() as (devtools, browser):
            devtools.valve = valve = RecordedValve()
            seen: list[int] = []
            for event in ("Page.data", "Network.data"):
                devtools.on("s", event, lambda params: seen.append(params["n"]))
            for number in range(20):
                browser.event("Page.data", {"n": number, "text": "x" * 8000})
            await until(lambda: len(seen) == 20)
            assert valve.told == []
            many = [_event("Network.data", {"n": n, "text": "x" * 8000}) for n in range(100)]
            devtools.data_received(b"".join(many))
            assert len(seen) == 120
            assert valve.told == ["shut: it brings too much at once"]
            if not is_slow:
                await until(lambda: not valve.reasons)
            else:
                await asyncio.sleep(0.05)
                assert len(valve.told) == 1

    tell(story())
