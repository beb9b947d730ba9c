"""Read the answer to one request of the page's own, from the browser's network layer, as it comes.

`Network.streamResourceContent` replies with what came so far and switches on the rest as events;
the reply is handled in wire order (see `devtools`), so no piece can overtake another. It is asked
as soon as the request is seen, not at its response: then it is in time for nearly every answer. One
that was over even so is fetched whole. Whatever in the page makes the request (a script, a frame of
another site, a worker), it is read in the session that told of it.
"""

import re
from binascii import a2b_base64

from arenad.worker.devtools import DevTools, OnReply, Params, Reply
from arenad.worker.page_port import BrowserError
from arenad.worker.source import Inbox


class Capture(Inbox):
    """One awaited request: first its response's head, then its bytes, then its end.

    With `follow` the next request of the kind goes on where one has ended, without end. A page may
    begin it before the browser has told all of the last one: what it tells of it by then waits.
    """

    def __init__(
        self, devtools: DevTools, url_pattern: str, method: str, *, follow: bool = False
    ) -> None:
        """`url_pattern` is a regular expression, searched in the address."""
        super().__init__()
        self._devtools = devtools
        self._url = re.compile(url_pattern)
        self._method = method
        self._follow = follow
        self._session = ""
        self._later: list[tuple[str, str, Params]] = []
        self._begin()

    def _begin(self) -> None:
        self._request = ""
        self._is_head_there = False
        self._is_asking = False
        self._is_streaming = False
        self._passed_bytes = 0
        self._has_charset = False
        self._ending: str | None = None

    @property
    def has_end(self) -> bool:
        """A request has; a row of them has not."""
        return not self._follow

    # -- for who hears the browser -----------------------------------------------------------------

    def on_event(self, session: str, event: str, params: Params) -> None:
        """Take one event of the Network domain, heard in this session."""
        if not self._request:
            self._take_up(session, event, params)
            return
        if self._is_over:
            return
        # A redirect keeps the request's id and its events: what is read is where it led to.
        if (session, params.get("requestId")) != (self._session, self._request):
            self._keep(session, event, params)
        elif event == "responseReceived":
            self._on_response(params["response"])
        elif event == "dataReceived":
            self._on_piece(params)
        elif event == "loadingFinished":
            self._on_end("")
        elif event == "loadingFailed":
            self._on_end(_why_cut(params))

    def on_target_gone(self, session: str) -> None:
        """The frame or worker that read it is gone."""
        self._later = [each for each in self._later if each[0] != session]
        if self._request and session == self._session:
            self._end("the frame or worker that was reading it has ended")

    def _take_up(self, session: str, event: str, params: Params) -> None:
        if event == "requestWillBeSent" and self._is_ours(params["request"]):
            self._session, self._request = session, params["requestId"]
            self._is_sent = True
            self._changed.set()
            self._ask_streaming()

    def _keep(self, session: str, event: str, params: Params) -> None:
        """For when the request that is read has ended: the events of the next ones of the kind."""
        if not self._follow or event == "dataReceived":  # which brings nothing that was not asked
            return
        is_next = event == "requestWillBeSent" and self._is_ours(params["request"])
        request = session, params.get("requestId")
        if is_next or any((s, p.get("requestId")) == request for s, _, p in self._later):
            if len(self._later) >= MAX_LATER:
                self._end("too many requests of its kind were begun at once")
                return
            self._later.append((session, event, params))

    def _is_ours(self, request: Params) -> bool:
        return request["method"] == self._method and bool(self._url.search(request["url"]))

    def _on_response(self, response: Params) -> None:
        self._is_head_there = True
        if not self.status or int(response["status"]) >= HTTP_ERROR:
            self.status = int(response["status"])
            self.headers = {str(k).lower(): str(v) for k, v in response["headers"].items()}
        self._has_charset = bool(response.get("charset"))
        self._changed.set()
        if not self._is_asking and not self._is_streaming:
            self._ask_streaming()

    def _on_piece(self, params: Params) -> None:
        if self._is_streaming:
            self._add(params.get("data", b""))
        else:
            self._passed_bytes += int(params.get("dataLength", 0))

    def _ask_streaming(self) -> None:
        self._is_asking = True
        self._ask("Network.streamResourceContent", self._on_streaming)

    def _ask(self, method: str, on_reply: OnReply) -> None:
        try:
            self._devtools.send(self._session, method, {"requestId": self._request}, on_reply)
        except BrowserError as error:
            self.lose(str(error))

    def _on_streaming(self, reply: Reply) -> None:
        self._is_asking = False
        if not reply.error:
            self._is_streaming = True
            before = a2b_base64(reply.result.get("bufferedData", ""))
            if len(before) < self._passed_bytes:
                # More than the browser keeps: no answer begins with a hole.
                first = f"its first {self._passed_bytes} bytes"
                self._end(f"{first} came faster than they could be read")
            self._add(before)
        if self._ending is not None:
            self._on_end(self._ending)

    def _on_end(self, why: str) -> None:
        """The browser has seen the end; we have when all that came before it is here."""
        self._ending = why
        if self._is_asking:
            return  # `_on_streaming` comes back here
        if self._is_streaming or not self._is_head_there:
            self._end_request(why)
        else:
            self._is_asking = True
            self._ask("Network.getResponseBody", self._on_whole)

    def _on_whole(self, reply: Reply) -> None:
        if reply.error:
            self._end_request(self._ending or reply.error)
            return
        body = str(reply.result.get("body", ""))
        is_base64 = bool(reply.result.get("base64Encoded"))
        self._add(a2b_base64(body) if is_base64 else _bytes_of(body, has_charset=self._has_charset))
        self._end_request(self._ending or "")

    def _end_request(self, why: str) -> None:
        if self._follow and not why and self.status < HTTP_ERROR:
            self._begin()
            later, self._later = self._later, []
            for told in later:
                self.on_event(*told)
        else:
            self._end(why)


HTTP_ERROR = 400
MAX_LATER = 256
"""So many events of further requests may wait for the end of the one that is read."""


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
