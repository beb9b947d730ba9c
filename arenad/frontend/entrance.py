"""Who may come in, and how long the head of a request may take: HTTP before there is a request.

What goes wrong here has no handler; it is answered in the same words as everything else.
"""

import asyncio
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from arenad.errors import InvalidRequest, RequestError, Unavailable
from arenad.frontend import guard, openai
from arenad.schema.config import ApiConfig

KEEPALIVE_TIMEOUT_S = 75.0
"""A connection that asks nothing is closed after so long."""

TURNED_AWAY_S = 1.0
"""Who is turned away has so long to read it; a close at once would take the words along."""

TAKEN_BYTES = 64 * 1024
"""Who takes less of an answer in the time for it is taken for one who takes nothing."""

RETRY_AFTER_S = 1
MAX_HEADERS = 128
BAD_REQUEST = web.HTTPBadRequest.status_code


class TooManyConnections(Unavailable):
    """As many connections are open as are kept at once."""

    code = "too_many_connections"


class HeadTooLarge(InvalidRequest):
    """A line of a request's head is over the limit."""

    http_status = 431
    code = "request_header_fields_too_large"


class HeadTooSlow(InvalidRequest):
    """The head did not arrive in time."""

    http_status = 408
    code = "request_timeout"


class Entrance:
    """Gives each new connection its protocol."""

    def __init__(self, server: web.Server, limits: ApiConfig) -> None:
        """`limits` are those of the configuration."""
        self._server = server
        self._limits = limits

    def __call__(self) -> asyncio.Protocol:
        """A connection that is served, or one that is told why not."""
        most = self._limits.max_connections
        if len(self._server.connections) >= most:
            told = f"connections: {most} are open (api.max_connections); try again, or keep fewer"
            return _TurnedAway(TooManyConnections(told, retry_after_s=RETRY_AFTER_S))
        return _Connection(self._server, self._limits)


def allow(request: web.Request, patience_s: float) -> None:
    """Its client is hung up on once it takes nothing of this answer for so long."""
    if isinstance(request.protocol, _Connection):
        request.protocol.patience_s = patience_s


class _TurnedAway(asyncio.Protocol):
    """Says an error to whoever comes, and closes."""

    def __init__(self, error: RequestError) -> None:
        self._error = error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _say(cast("asyncio.Transport", transport), self._error)


class _Connection(RequestHandler):
    """One connection; its idle time is aiohttp's to watch, the time of a head is ours.

    So is how long its client may take nothing of what waits to be sent: `patience_s`.
    """

    __slots__ = ("_head_timer", "_limits", "_taking_timer", "patience_s")

    def __init__(self, server: web.Server, limits: ApiConfig) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # pyright: ignore[reportArgumentType] - aiohttp's own way to have none
            logger=guard.server_log,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
            max_headers=MAX_HEADERS,
        )
        self._limits = limits
        self.patience_s = limits.body_timeout_s
        self._head_timer: asyncio.TimerHandle | None = None
        self._taking_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiter = self._waiter
        is_new = waiter is None and self._request_count == 0  # nobody had the time to wait yet
        if not is_new and (waiter is None or waiter.done()):
            self._forget_head()
        elif self._head_timer is None:  # some of a head has come, not all
            self._head_timer = self._loop.call_later(self._limits.head_timeout_s, self._too_slow)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_head()
        self._forget_taking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """As much waits to be sent as may; its sender waits, too."""
        super().pause_writing()
        self._give_time()

    def resume_writing(self) -> None:
        """The client takes it."""
        self._forget_taking()
        super().resume_writing()

    def _forget_taking(self) -> None:
        if self._taking_timer is not None:
            self._taking_timer.cancel()
            self._taking_timer = None

    def _give_time(self) -> None:
        if self.transport is not None:
            left_bytes = self.transport.get_write_buffer_size()
            self._taking_timer = self._loop.call_later(self.patience_s, self._look, left_bytes)

    def _look(self, left_before_bytes: int) -> None:
        """A client that is slow has taken some of it."""
        self._taking_timer = None
        if self.transport is None:
            return
        if left_before_bytes - self.transport.get_write_buffer_size() >= TAKEN_BYTES:
            self._give_time()
        else:
            guard.log.info("a client took nothing for %g s, and is hung up on", self.patience_s)
            self.transport.abort()  # which ends who waits to send

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        limit_s = self._limits.head_timeout_s
        told = f"the head of the request did not arrive within {limit_s:g} s (api.head_timeout_s)"
        if self.transport is not None:
            _say(self.transport, HeadTooSlow(f"{told}; send it at once"))

    async def start(self) -> None:
        """Serve until it is closed; what a client has not taken by then it takes soon or never."""
        transport = self.transport
        try:
            await super().start()
        finally:
            if transport is not None and transport.get_write_buffer_size():
                self._loop.call_later(self._limits.body_timeout_s, transport.abort)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What aiohttp refuses before it asks a handler: an `Expect` that it does not know."""
        self.patience_s = self._limits.body_timeout_s
        if isinstance(resp, web.HTTPException) and isinstance(request, web.Request):
            resp = guard.routed_wrong(request, resp) if resp.status >= BAD_REQUEST else resp
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - aiohttp's signature
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> web.StreamResponse:
        """What is no HTTP, in the words that clients know; it ends the connection."""
        if not isinstance(exc, HttpProcessingError):
            self.log_exception("a request ended outside of its handler", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a second answer cannot be sent")
        refused = openai.refusal(self._error(exc))
        headers = {"Server": "arenad", "x-request-id": guard.new_id()}
        response = web.Response(
            body=refused.body, status=refused.status, content_type=guard.JSON, headers=headers
        )
        response.force_close()
        return response

    def _error(self, error: BaseException | None) -> RequestError:
        if isinstance(error, LineTooLong):
            most = self._limits.max_header_bytes
            told = f"a line of the request's head is over {most} bytes (api.max_header_bytes)"
            return HeadTooLarge(f"{told}; send less")
        if isinstance(error, ContentEncodingError):
            return guard.wrong_coding("is not read here")
        if isinstance(error, HttpProcessingError):
            said = " ".join(error.message.split())
            return InvalidRequest(f"the request is no HTTP: {said[:200]}; send HTTP/1.1")
        return RequestError("internal error; the log of the daemon has more")


def _say(transport: asyncio.Transport, error: RequestError) -> None:
    """Answer with the error, and close when it can have been read."""
    status, body = openai.refusal(error)
    lines = [
        f"HTTP/1.1 {status} {error.code}",
        f"Content-Type: {guard.JSON}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "Server: arenad",
        f"x-request-id: {guard.new_id()}",
    ]
    if error.retry_after_s is not None:
        lines.append(f"Retry-After: {error.retry_after_s:g}")
    transport.write("\r\n".join([*lines, "", ""]).encode() + body)
    if transport.can_write_eof():
        transport.write_eof()
    asyncio.get_running_loop().call_later(TURNED_AWAY_S, transport.abort)
