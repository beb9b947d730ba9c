"""Sockets and streams of events that may be older than the prompt and carry other things too."""

import asyncio
import base64
from typing import Any

import pytest
from scripted_browser import tell

from arenad.errors import UpstreamFailed
from arenad.worker import channels
from arenad.worker.channels import EventMessages, SocketFrames
from arenad.worker.source import Inbox
from arenad.worker.traffic import Channel

OLD = Channel(("s", "1"), "ws://site/talk", is_socket=True)
ELSEWHERE = Channel(("s", "2"), "ws://site/metrics", is_socket=True)


def frame(payload: str | bytes, opcode: int | None = None) -> dict[str, Any]:
    if isinstance(payload, bytes):
        return {"opcode": opcode or 2, "payloadData": base64.b64encode(payload).decode()}
    return {"opcode": opcode or 1, "payloadData": payload}


def heard(source: Inbox, event: str, number: str = "1", **params: Any) -> None:
    source.on_event("s", event, {"requestId": number, **params})


def received(
    source: Inbox, payload: str | bytes, request: str = "1", opcode: int | None = None
) -> None:
    heard(source, "webSocketFrameReceived", request, response=frame(payload, opcode))


def sent(
    source: Inbox, payload: str | bytes, request: str = "1", opcode: int | None = None
) -> None:
    heard(source, "webSocketFrameSent", request, response=frame(payload, opcode))


def test_frames_of_the_socket_that_was_there() -> None:
    """Text and bytes in order; other sockets, pings and the page's signs of life are not the answer."""

    async def story() -> None:
        source = SocketFrames("/talk$", [OLD, ELSEWHERE])
        assert await source.head() == 101
        sent(source, "2")
        sent(source, "prompt elsewhere", "2")
        assert not source._is_sent
        sent(source, '{"ask": 1}')
        await source.sent()
        assert source.sent_texts() == ['{"ask": 1}']
        assert source.sent_texts() == []
        received(source, "a")
        received(source, "no", "2")
        received(source, "", opcode=9)
        received(source, "é".encode())
        assert await source.read() == ["a", "é".encode()]
        assert not source.has_end

    tell(story())


def test_a_socket_that_is_opened_for_the_prompt() -> None:
    """It is found by its address; its close is an end, and the grammar's word on it decides."""

    async def story() -> None:
        source = SocketFrames("/talk$", [])
        heard(source, "webSocketCreated", "7", url="ws://site/talk")
        heard(source, "webSocketCreated", "8", url="ws://site/other")
        sent(source, b"binary prompt", "7")
        await source.sent()
        assert source.sent_texts() == []
        received(source, "a", "7")
        received(source, "b", "8")
        heard(source, "webSocketClosed", "8")
        assert not source.is_over
        heard(source, "webSocketClosed", "7")
        assert await source.read() == ["a"]
        assert await source.read() == []

    tell(story())


@pytest.mark.parametrize("how", ["error", "target", "frame"])
def test_a_socket_that_breaks(how: str) -> None:
    """An error of the network, a worker that ends, a frame that cannot be handed over."""

    async def story() -> None:
        source = SocketFrames("/talk$", [OLD])
        heard(
            source, "requestWillBeSent", "9", request={"method": "POST", "url": "http://site/ask"}
        )
        await source.sent()
        if how == "error":
            heard(source, "webSocketFrameError", errorMessage="broken")
        elif how == "target":
            source.on_target_gone("other")
            source.on_target_gone("s")
        else:
            heard(source, "webSocketFrameReceived", response={"opcode": 2, "payloadData": "x"})
        with pytest.raises(UpstreamFailed, match="was cut"):
            await source.read()

    tell(story())


def test_a_reconnect_before_the_prompt_is_no_end() -> None:
    """Nothing is missed while nothing was asked."""

    async def story() -> None:
        source = SocketFrames("/talk$", [OLD])
        heard(source, "webSocketClosed")
        assert not source.is_over
        heard(source, "webSocketCreated", "5", url="ws://site/talk")
        sent(source, "prompt", "5")
        received(source, "x", "5")
        assert await source.read() == ["x"]

    tell(story())


def test_what_the_page_says_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that talks without end fills nothing."""
    monkeypatch.setattr(channels, "UNREAD_LIMIT_BYTES", 100)
    source = SocketFrames("/talk$", [OLD])
    for _ in range(1000):
        sent(source, "x" * 30)
    assert len(source._sent) == 3
    monkeypatch.setattr(channels, "UNREAD_LIMIT_BYTES", 10**9)
    for _ in range(1000):
        sent(source, "x" * 30)
    assert len(source._sent) == channels.SENT_LIMIT


STREAM = Channel(("s", "1"), "http://site/events", is_socket=False)


def said(source: Inbox, text: str, name: str = "message", request: str = "1") -> None:
    heard(source, "eventSourceMessageReceived", request, eventName=name, data=text)


def test_messages_of_an_open_stream() -> None:
    """The prompt is posted; what comes is framed as it had come."""

    async def story() -> None:
        source = EventMessages("/events$", [STREAM], follow=False)
        assert await source.head() == 200
        heard(
            source, "requestWillBeSent", "2", type="Fetch", request={"method": "GET", "url": "/x"}
        )
        assert not source._is_sent
        heard(
            source, "requestWillBeSent", "3", type="Fetch", request={"method": "POST", "url": "/x"}
        )
        await source.sent()
        said(source, "a\nb", "token")
        said(source, "no", request="3")
        said(source, "")
        assert await source.read() == [
            "event: token\ndata: a\ndata: b\n\n",
            "event: message\ndata: \n\n",
        ]

    tell(story())


@pytest.mark.parametrize("follow", [False, True])
def test_a_stream_that_is_opened_for_the_prompt(follow: bool) -> None:
    """Its head is there to be refused; its end is one unless another may follow."""

    async def story() -> None:
        source = EventMessages("/events$", [], follow=follow)
        request = {"method": "GET", "url": "http://site/events"}
        heard(source, "requestWillBeSent", "4", type="EventSource", request=request)
        await source.sent()
        waiting = asyncio.ensure_future(source.head())
        await asyncio.sleep(0)
        heard(source, "responseReceived", "4", response={"status": 503, "headers": {"A": "b"}})
        assert await waiting == 503
        assert source.headers == {"a": "b"}
        heard(source, "loadingFinished", "4")
        assert source.is_over is not follow

    tell(story())


def test_a_stream_that_never_comes() -> None:
    """No head, an error; a worker that ends takes its streams along."""

    async def story() -> None:
        source = EventMessages("/events$", [], follow=False)
        request = {"method": "GET", "url": "http://site/events"}
        heard(source, "requestWillBeSent", "4", type="EventSource", request=request)
        heard(source, "loadingFailed", "4", errorText="net::ERR_TEST")
        with pytest.raises(UpstreamFailed, match="did not answer: net::ERR_TEST"):
            await source.head()
        other = EventMessages("/events$", [STREAM], follow=False)
        other.on_target_gone("x")
        assert not other.is_over
        other.on_target_gone("s")
        with pytest.raises(UpstreamFailed, match="has ended"):
            await other.read()

    tell(story())


def test_what_comes_before_the_question_is_no_answer() -> None:
    """A page that greets its server only after send was pressed is greeted before it is answered."""

    async def story() -> None:
        source = SocketFrames("/talk$", [OLD], "What is a heron?")
        sent(source, '["hello"]')
        received(source, "greetings")
        assert not source._is_sent
        sent(source, '{"ask": "What is a heron?"}')
        received(source, "a bird")
        await source.sent()
        assert await source.read() == ["a bird"]
        assert source.sent_texts() == ['["hello"]', '{"ask": "What is a heron?"}']

    tell(story())


@pytest.mark.parametrize("bytes_", [b"\x0a\x10What is a heron?", b"opaque"])
def test_a_question_in_bytes_or_in_a_form_of_its_own(
    bytes_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none can be told from other words, what the page said counts after a moment."""
    monkeypatch.setattr(channels, "GREETING_S", 0.01)

    async def story() -> None:
        source = SocketFrames("/talk$", [OLD], "What is a heron?")
        sent(source, bytes_)
        received(source, "a bird")
        await source.sent()
        assert await source.read() == ["a bird"]

    tell(story())


def test_a_question_may_be_posted() -> None:
    """Only its answer comes by socket then."""

    async def story() -> None:
        source = SocketFrames("/talk$", [OLD], "What is a heron?")
        post = {"method": "POST", "url": "http://site/ask", "postData": '{"q":"What is a heron?"}'}
        heard(source, "requestWillBeSent", "9", request=post)
        assert source._is_sent
        await source.sent()

    tell(story())
