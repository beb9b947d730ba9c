"""Everything that a page's network brings for a while, to find out what of it is the answer."""

import asyncio
import base64
import binascii
from contextlib import suppress

from arenad.errors import UpstreamFailed
from arenad.worker.capture import Capture
from arenad.worker.channels import BINARY_FRAME, TEXT_FRAME
from arenad.worker.devtools import DevTools, Params
from arenad.worker.page_port import BrowserError
from arenad.worker.sites.guess import Heard
from arenad.worker.source import Inbox, Piece
from arenad.worker.traffic import Channel, Key

MAX_REQUESTS = 64
MAX_OPEN = 64
MAX_FRAMES = 20_000
MAX_FRAMES_CHARS = 8 * 1024 * 1024
READ_S = 2.0


class _Open:
    """A connection that stays, and the messages that it has brought."""

    def __init__(self, url: str, *, is_socket: bool) -> None:
        self.url = url
        self.is_socket = is_socket
        self.pieces: list[Piece] = []


class Transcript(Inbox):
    """Hears every fetch, EventSource and WebSocket of the page; bounded."""

    def __init__(self, devtools: DevTools, channels: list[Channel]) -> None:
        """`channels` are the connections that are open already."""
        super().__init__()
        self._devtools = devtools
        self._requests: dict[Key, tuple[Capture, str, str]] = {}
        known = channels[-MAX_OPEN:]
        self._open = {each.key: _Open(each.url, is_socket=each.is_socket) for each in known}
        self._frames = 0
        self._chars = 0

    def abandon(self) -> None:
        """Nobody will ask what was heard: let go of it, and hear only when requests end."""
        super().abandon()
        self._open.clear()
        for capture, _, _ in self._requests.values():
            capture.abandon()

    def on_event(self, session: str, event: str, params: Params) -> None:
        """Take one event of the Network domain."""
        key = session, str(params.get("requestId"))
        if event == "webSocketCreated":
            self._begin_open(key, str(params["url"]), is_socket=True)
        elif event == "requestWillBeSent" and key not in self._requests:
            self._begin(key, params)
        if key in self._requests:
            self._requests[key][0].on_event(session, event, params)
        elif key in self._open:
            self._keep(self._open[key], event, params)

    def _begin(self, key: Key, params: Params) -> None:
        request, kind = params["request"], params.get("type")
        url = str(request["url"])
        if kind == "EventSource":
            self._begin_open(key, url, is_socket=False)
        elif kind in ("Fetch", "XHR") and self._has_room:
            method = str(request["method"])
            self._requests[key] = Capture(self._devtools, "", method), url, method

    def _begin_open(self, key: Key, url: str, *, is_socket: bool) -> None:
        """A page that opens them without end is heard on the first ones."""
        if not self._is_abandoned and len(self._open) < MAX_OPEN:
            self._open[key] = _Open(url, is_socket=is_socket)

    def _keep(self, opened: _Open, event: str, params: Params) -> None:
        piece: Piece | None = None
        if event == "webSocketFrameReceived":
            piece = _frame(params["response"])
        elif event == "eventSourceMessageReceived":
            lines = [f"data: {line}" for line in str(params["data"]).split("\n")]
            piece = "\n".join([f"event: {params['eventName']}", *lines, "", ""])
        if piece is not None and self._frames < MAX_FRAMES and self._chars < MAX_FRAMES_CHARS:
            self._frames += 1
            self._chars += len(piece)
            opened.pieces.append(piece)

    @property
    def _has_room(self) -> bool:
        return not self._is_abandoned and len(self._requests) < MAX_REQUESTS

    @property
    def is_under_way(self) -> bool:
        """Whether a request of the page's has not ended."""
        return any(not capture.is_over for capture, _, _ in self._requests.values())

    async def heard(self) -> list[Heard]:
        """All of it, once what still runs has had a moment to end."""
        found: list[Heard] = []
        for capture, url, method in self._requests.values():
            pieces = await _all_of(capture)
            found.append(Heard("fetch", url, method, tuple(pieces)))
        for opened in self._open.values():
            kind = "websocket" if opened.is_socket else "eventsource"
            found.append(Heard(kind, opened.url, "GET", tuple(opened.pieces)))
        return found


def _frame(frame: Params) -> Piece | None:
    """What a WebSocket has brought: a text, or bytes."""
    payload = str(frame.get("payloadData", ""))
    if frame.get("opcode") == TEXT_FRAME:
        return payload
    if frame.get("opcode") != BINARY_FRAME:
        return None
    with suppress(binascii.Error):
        return base64.b64decode(payload)
    return None


async def _all_of(capture: Capture) -> list[Piece]:
    """What it has brought; what goes on for ever is read as far as it came."""
    read: list[Piece] = []
    with suppress(TimeoutError, UpstreamFailed, BrowserError):
        async with asyncio.timeout(READ_S):
            while pieces := await capture.read():
                read += pieces
    return read
