"""Read an answer from a connection that may be older than the prompt and carry other things too.

A WebSocket brings frames, an EventSource messages; the browser tells each of them. Which of them
are the answer, and where it ends, the grammar says. What came before the prompt is not read.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable
from contextlib import suppress

from arenad.worker.devtools import Params
from arenad.worker.source import UNREAD_LIMIT_BYTES, Inbox
from arenad.worker.traffic import Channel, Key

TEXT_FRAME, BINARY_FRAME = 1, 2
KEEP_ALIVE_CHARS = 2
"""What a socket.io page says every few seconds is no prompt."""

GREETING_S = 1.0
"""So long after a page's first word its question may come; not every one can be read."""

MARKED_CHARS = 500
"""The mark of a prompt is looked for in its beginning; a page may send the rest apart."""

SENT_LIMIT = 100
"""So many frames of the page's own are kept, from the prompt on."""


class SocketFrames(Inbox):
    """The frames of the page's WebSockets whose address matches."""

    def __init__(self, url_pattern: str, there: Iterable[Channel], prompt: str = "") -> None:
        """`there` are the connections that are open; by `prompt` the page's question is known."""
        super().__init__()
        self.status = 101
        self._mark = mark_of(prompt)
        self._is_talking = False
        self._url = re.compile(url_pattern)
        self._keys = {each.key for each in there if self._url.search(each.url)}
        self._sent: list[str] = []
        self._sent_bytes = 0

    @property
    def has_end(self) -> bool:
        """A socket may go on, with other things: the finish sign tells, where there is one."""
        return False

    def on_event(self, session: str, event: str, params: Params) -> None:
        """Take one event of the Network domain."""
        key = session, str(params.get("requestId"))
        if event == "webSocketCreated" and self._url.search(params["url"]):
            self._keys.add(key)
        elif event == "requestWillBeSent" and params["request"]["method"] != "GET":
            # A prompt may be posted, and only its answer come by socket.
            self._said(str(params["request"].get("postData", "")).encode())
        elif key in self._keys:
            self._on_channel(key, event, params)

    def _on_channel(self, key: Key, event: str, params: Params) -> None:
        if event == "webSocketFrameSent":
            self._on_sent(params["response"])
        elif event == "webSocketFrameReceived":
            self._on_frame(params["response"])
        elif event == "webSocketFrameError":
            self._close(key, str(params.get("errorMessage") or "the socket failed"))
        elif event == "webSocketClosed":
            self._close(key, "")  # whether that was too early is for the grammar to say

    def on_target_gone(self, session: str) -> None:
        """Its sockets are gone too."""
        for key in [key for key in self._keys if key[0] == session]:
            self._close(key, "the frame or worker of the socket has ended")

    def _close(self, key: Key, why: str) -> None:
        """A page may have several; while one is left, or before the prompt, none is missed."""
        self._keys.discard(key)
        if not self._keys and self._is_sent:
            self._end(why)

    def _on_sent(self, frame: Params) -> None:
        payload = str(frame.get("payloadData", ""))
        if (
            frame.get("opcode") not in (TEXT_FRAME, BINARY_FRAME)
            or len(payload) <= KEEP_ALIVE_CHARS
        ):
            return
        self._said(_bytes_of(frame))
        is_kept = self._sent_bytes + len(payload) <= UNREAD_LIMIT_BYTES
        if frame["opcode"] == TEXT_FRAME and len(self._sent) < SENT_LIMIT and is_kept:
            self._sent.append(payload)
            self._sent_bytes += len(payload)

    def _said(self, payload: bytes) -> None:
        """The page has said something: its question if the prompt's mark is in it, else perhaps.

        A page that was quicker to show its prompt box than to connect greets its server first, and
        is greeted: what came before the question is no answer to it.
        """
        self._is_talking = True
        if not self._is_sent and self._mark in payload:
            self._is_sent = True
            if self._mark:
                self._clear()
        self._changed.set()

    async def sent(self) -> None:
        """Until the page has asked; where that cannot be told, until it has said anything."""
        while not self._is_sent and not self._is_talking and not self._is_over:
            await self._wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(GREETING_S):
                await super().sent()
        self._is_sent = True
        self._check_there()

    def _on_frame(self, frame: Params) -> None:
        payload = str(frame.get("payloadData", ""))
        if frame.get("opcode") == TEXT_FRAME:
            self._add(payload)
        elif frame.get("opcode") == BINARY_FRAME:
            try:
                self._add(base64.b64decode(payload))
            except binascii.Error:
                self._end("a frame came that the browser could not hand over")

    def sent_texts(self) -> list[str]:
        """What the page has said on the socket since the last look."""
        texts, self._sent, self._sent_bytes = self._sent, [], 0
        return texts


def mark_of(prompt: str) -> bytes:
    """The longest word of plain letters in a prompt's beginning, which no encoding changes."""
    words = re.findall(r"[A-Za-z0-9]{3,}", prompt[:MARKED_CHARS])
    return max(words, key=len, default="").encode()


def _bytes_of(frame: Params) -> bytes:
    payload = str(frame.get("payloadData", ""))
    if frame.get("opcode") == TEXT_FRAME:
        return payload.encode("utf-8", "replace")
    try:
        return base64.b64decode(payload)
    except binascii.Error:
        return b""


class EventMessages(Inbox):
    """The messages of the page's EventSources whose address matches, framed as they had come."""

    def __init__(self, url_pattern: str, there: Iterable[Channel], *, follow: bool) -> None:
        """`there` are the streams that are open; `follow`: another one may go on."""
        super().__init__()
        self._url = re.compile(url_pattern)
        self._keys = {each.key for each in there if self._url.search(each.url)}
        self._follow = follow
        if self._keys:
            self.status = 200

    @property
    def has_end(self) -> bool:
        """As a socket."""
        return False

    def on_event(self, session: str, event: str, params: Params) -> None:
        """Take one event of the Network domain."""
        key = session, str(params.get("requestId"))
        if event == "requestWillBeSent":
            self._on_request(key, params)
        elif key not in self._keys or self._is_over:
            return
        elif event == "responseReceived":
            self.status = int(params["response"]["status"])
            self.headers = {
                str(k).lower(): str(v) for k, v in params["response"]["headers"].items()
            }
            self._changed.set()
        elif event == "eventSourceMessageReceived":
            self._add(_framed(params))
        elif event in ("loadingFinished", "loadingFailed"):
            self._keys.discard(key)
            if self._is_sent and not self._keys and not self._follow:
                # How a stream of events that has no end is ended says nothing: see its grammar.
                self._end("" if self.status else str(params.get("errorText", "")))

    def _on_request(self, key: Key, params: Params) -> None:
        request = params["request"]
        is_stream = params.get("type") == "EventSource" and self._url.search(request["url"])
        if is_stream:
            self._keys.add(key)
        if is_stream or request["method"] != "GET":  # a prompt may be posted to an open stream
            self._is_sent = True
            self._changed.set()

    def on_target_gone(self, session: str) -> None:
        """Its streams are gone too."""
        gone = {key for key in self._keys if key[0] == session}
        self._keys -= gone
        if gone and not self._keys:
            self._end("the frame or worker of the stream has ended")


def _framed(message: Params) -> str:
    """A message in the form that the grammar `sse` reads."""
    data = str(message.get("data", "")).replace("\r\n", "\n").replace("\r", "\n")
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {message.get('eventName') or 'message'}\n{lines}\n"
