"""Read the answer to one request of the page's own, from the browser's network layer, as it comes.

`Network.streamResourceContent` replies with what came so far and switches on the rest as events;
the reply is handled in wire order (see `devtools`), so no piece can overtake another. It is asked
as soon as the request is seen, not at its response: then it is in time for nearly every answer. One
that was over even so is fetched whole.
"""

import asyncio
import base64
import re
from collections import deque

from arenad.errors import UpstreamFailed
from arenad.worker.devtools import BrowserGone, DevTools, DevToolsError, OnReply, Params, Reply

UNREAD_LIMIT_BYTES = 32 * 1024 * 1024
"""The browser cannot be made to wait: a reader so far behind loses its answer, not our memory."""


class Capture:
    """One awaited request: first its response's head, then its bytes, then its end."""

    def __init__(self, devtools: DevTools, session: str, url_pattern: str, method: str) -> None:
        """`url_pattern` is a regular expression, searched in the address."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._devtools = devtools
        self._session = session
        self._url = re.compile(url_pattern)
        self._method = method
        self._request = ""
        self._pieces: deque[bytes] = deque()
        self._unread_bytes = 0
        self._is_asking = False
        self._is_streaming = False
        self._is_abandoned = False
        self._is_over = False
        self._has_charset = False
        self._ending: str | None = None
        self._failed = ""
        self._gone = ""
        self._changed = asyncio.Event()

    # -- for the page, which hears the browser -----------------------------------------------------

    def on_event(self, event: str, params: Params) -> None:
        """Take one event of the Network domain."""
        if not self._request:
            if event == "requestWillBeSent" and self._is_ours(params["request"]):
                self._request = params["requestId"]
                self._changed.set()
                self._ask_streaming()
            return
        # A redirect keeps the request's id and its events: what is read is where it led to.
        if self._is_over or params.get("requestId") != self._request:
            return
        if event == "responseReceived":
            self._on_response(params["response"])
        elif event == "dataReceived":
            self._take(params.get("data", ""))
        elif event == "loadingFinished":
            self._on_end("")
        elif event == "loadingFailed":
            self._on_end(_why_cut(params))

    def lose(self, why: str) -> None:
        """The page or its browser is gone: nothing will come any more."""
        self._gone = why
        self._end("")

    def _is_ours(self, request: Params) -> bool:
        return request["method"] == self._method and bool(self._url.search(request["url"]))

    def _on_response(self, response: Params) -> None:
        self.status = int(response["status"])
        self.headers = {str(k).lower(): str(v) for k, v in response["headers"].items()}
        self._has_charset = bool(response.get("charset"))
        self._changed.set()
        if not self._is_asking and not self._is_streaming:
            self._ask_streaming()

    def _ask_streaming(self) -> None:
        self._is_asking = True
        self._ask("Network.streamResourceContent", self._on_streaming)

    def _ask(self, method: str, on_reply: OnReply) -> None:
        try:
            self._devtools.send(self._session, method, {"requestId": self._request}, on_reply)
        except DevToolsError as error:
            self.lose(str(error))

    def _on_streaming(self, reply: Reply) -> None:
        self._is_asking = False
        if not reply.error:
            self._is_streaming = True
            self._take(reply.result.get("bufferedData", ""))
        if self._ending is not None:
            self._on_end(self._ending)

    def _on_end(self, why: str) -> None:
        """The browser has seen the end; we have when all that came before it is here."""
        self._ending = why
        if self._is_asking:
            return  # `_on_streaming` comes back here
        if self._is_streaming or not self.status:
            self._end(why)
        else:
            self._is_asking = True
            self._ask("Network.getResponseBody", self._on_whole)

    def _on_whole(self, reply: Reply) -> None:
        if reply.error:
            self._end(self._ending or reply.error)
            return
        body = str(reply.result.get("body", ""))
        is_base64 = bool(reply.result.get("base64Encoded"))
        self._add(
            base64.b64decode(body) if is_base64 else _bytes_of(body, has_charset=self._has_charset)
        )
        self._end(self._ending or "")

    def _take(self, encoded: str) -> None:
        if encoded:
            self._add(base64.b64decode(encoded))

    def _add(self, piece: bytes) -> None:
        if self._is_abandoned or self._is_over or not piece:
            return
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        self._changed.set()
        if self._unread_bytes > UNREAD_LIMIT_BYTES:
            self.abandon()
            self._end("it is read so slowly that the rest had to be dropped")

    def _end(self, failed: str) -> None:
        if not self._is_over:
            self._failed = failed
            self._is_over = True
        self._changed.set()

    # -- for the one who reads ---------------------------------------------------------------------

    async def sent(self) -> None:
        """Until the page has made the request. Raises `BrowserGone`."""
        while not self._request and not self._is_over:
            await self._wait()
        self._check_there()

    async def head(self) -> int:
        """The response's status, once it is there. Raises `UpstreamFailed`, `BrowserGone`."""
        while not self.status and not self._is_over:
            await self._wait()
        self._check_there()
        if not self.status:
            raise UpstreamFailed(f"the site did not answer: {self._failed}")
        return self.status

    async def read(self) -> bytes:
        """The next bytes; none at the end.

        Raises `UpstreamFailed` when the answer was cut, `BrowserGone` when its page ended.
        """
        while not self._pieces and not self._is_over:
            await self._wait()
        if self._pieces:
            piece = b"".join(self._pieces)
            self._pieces.clear()
            self._unread_bytes = 0
            return piece
        self._check_there()
        if self._failed:
            raise UpstreamFailed(f"the site's answer was cut: {self._failed}")
        return b""

    def abandon(self) -> None:
        """Nobody reads on: keep only watching for the end."""
        self._is_abandoned = True
        self._pieces.clear()
        self._unread_bytes = 0

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, read or not."""
        return self._is_over

    async def over(self) -> None:
        """Until the answer has ended, whether read or not."""
        while not self._is_over:
            await self._wait()

    def _check_there(self) -> None:
        if self._gone:
            raise BrowserGone(self._gone)

    async def _wait(self) -> None:
        # Whoever waits has just looked, and looks again: a wake-up too many does no harm.
        self._changed.clear()
        await self._changed.wait()


def _why_cut(failure: Params) -> str:
    """Why a load failed; nothing when it only was the page that let go of it.

    A page that reads a body with a stream reader lets go of it at the end of the data. When the
    answer is `no-store`, Chromium 156 hands it over unbuffered, and that end is there before the
    load's completion has been reported: the load then counts as cancelled (`net::ERR_ABORTED`),
    with all of it read. (Measured: 40-100 % of such answers; none without `no-store`, none read
    with `text()`; with or without `streamResourceContent` and abort signals.) Whether the page let
    go too early is for the answer's grammar to say.
    """
    return "" if failure.get("canceled") else str(failure.get("errorText") or "the request failed")


def _bytes_of(body: str, *, has_charset: bool) -> bytes:
    """The bytes behind a whole body, which the browser hands over as text.

    Where the site names no charset (and a stream of events need not), it has read some types as
    windows-1252, which can be undone, and others as UTF-8.
    """
    encoded = body.encode("utf-8", "replace")
    if has_charset:
        return encoded
    try:
        undone = b"".join(_WINDOWS_1252.get(char) or char.encode("latin-1") for char in body)
        undone.decode()
    except UnicodeError:
        return encoded
    return undone


_WINDOWS_1252 = {
    bytes([byte]).decode("cp1252"): bytes([byte])
    for byte in range(0x80, 0xA0)
    if byte not in b"\x81\x8d\x8f\x90\x9d"  # undefined there; a browser leaves them as they are
}
