"""Read the answer to one request of the page's own, from the browser's network layer, as it arrives.

`Network.streamResourceContent` replies with what came so far and switches on the rest as events; the
reply is handled in wire order (see `devtools`), so no piece can overtake another. An answer that was
over before we could ask is fetched whole instead.
"""

import asyncio
import base64
import re
from collections import deque

from arenad.errors import UpstreamFailed
from arenad.worker.devtools import DevTools, Params, Reply

UNREAD_LIMIT_BYTES = 32 * 1024 * 1024
"""The browser cannot be made to wait, so a reader so far behind loses its answer, not our memory."""


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
        self._streaming = False
        self._over = False
        self._is_abandoned = False
        self._failed = ""
        self._changed = asyncio.Event()

    def on_event(self, event: str, params: Params) -> None:
        """Take one event of the Network domain."""
        if not self._request:
            if event == "requestWillBeSent" and self._is_ours(params["request"]):
                self._request = params["requestId"]
                self._changed.set()
            return
        if params.get("requestId") != self._request:
            return
        if event == "responseReceived":
            self._on_response(params["response"])
        elif event == "dataReceived" and "data" in params:
            self._take(params["data"])
        elif event == "loadingFinished":
            self._on_finished()
        elif event == "loadingFailed":
            self._fail(str(params.get("errorText", "the request failed")))

    def _is_ours(self, request: Params) -> bool:
        return request["method"] == self._method and bool(self._url.search(request["url"]))

    def _on_response(self, response: Params) -> None:
        self.status = int(response["status"])
        self.headers = {str(k).lower(): str(v) for k, v in response["headers"].items()}
        self._changed.set()
        self._devtools.send(
            self._session,
            "Network.streamResourceContent",
            {"requestId": self._request},
            self._on_streaming,
        )

    def _on_streaming(self, reply: Reply) -> None:
        if reply.error:
            return  # over already: `_on_finished` fetches it whole
        self._streaming = True
        self._take(reply.result.get("bufferedData", ""))

    def _on_finished(self) -> None:
        if self._streaming:
            self._end()
        else:
            self._devtools.send(
                self._session,
                "Network.getResponseBody",
                {"requestId": self._request},
                self._on_whole,
            )

    def _on_whole(self, reply: Reply) -> None:
        if reply.error:
            self._fail(reply.error)
        elif not self._streaming:
            body = str(reply.result.get("body", ""))
            is_base64 = bool(reply.result.get("base64Encoded"))
            self._add(base64.b64decode(body) if is_base64 else body.encode())
        self._end()

    def _take(self, encoded: str) -> None:
        if encoded:
            self._add(base64.b64decode(encoded))

    def _add(self, piece: bytes) -> None:
        if self._is_abandoned:
            return
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        if self._unread_bytes > UNREAD_LIMIT_BYTES:
            self._fail("the client reads so slowly that its answer had to be dropped")
            self._pieces.clear()
        self._changed.set()

    def _fail(self, why: str) -> None:
        self._failed = self._failed or why
        self._end()

    def _end(self) -> None:
        self._over = True
        self._changed.set()

    # -- for the one who reads ----------------------------------------------------------------------

    async def sent(self) -> None:
        """Until the page has made the request."""
        while not self._request:
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises `UpstreamFailed` when the answer was cut."""
        while not self._pieces and not self._over:
            await self._wait()
        if self._pieces:
            piece = b"".join(self._pieces)
            self._pieces.clear()
            self._unread_bytes = 0
            return piece
        if self._failed:
            raise UpstreamFailed(f"the site's answer was cut: {self._failed}")
        return b""

    def abandon(self) -> None:
        """Nobody reads on: keep only watching for the end."""
        self._is_abandoned = True
        self._pieces.clear()

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, read or not."""
        return self._over

    async def over(self) -> None:
        """Until the answer has ended, whether read or not."""
        while not self._over:
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
