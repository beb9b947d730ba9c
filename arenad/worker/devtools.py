"""A DevTools link to Chromium over its remote-debugging pipe: NUL-terminated JSON, no Node between.

Replies and events are handed on strictly in the order of the wire, synchronously: a reply that says
"so far there was this text" must be seen before the event that brings the next piece.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any, cast

import msgspec

from arenad.errors import ArenadError

COMMAND_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

Params = dict[str, Any]
OnEvent = Callable[[Params], None]

log = logging.getLogger("arenad.devtools")


class DevToolsError(ArenadError):
    """The browser refused a command, or is gone."""


class _Incoming(msgspec.Struct):
    """Any message of the browser: a reply has an `id`, an event a `method`."""

    id: int = 0
    method: str = ""
    sessionId: str = ""  # noqa: N815 - the protocol's name
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"{}")
    error: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Incoming).decode
_encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct):
    """How a command ended: a result, or an error."""

    result: Params
    error: str = ""


class DevTools(asyncio.Protocol):
    """One browser's link; sessions (targets) share it."""

    def __init__(self) -> None:
        """Use `open`."""
        self.lost = asyncio.Event()
        self._received = bytearray()
        self._scanned = 0
        self._last_id = 0
        self._waiting: dict[int, Callable[[Reply], None]] = {}
        self._listeners: dict[tuple[str, str], OnEvent] = {}
        self._out: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, read_fd: int, write_fd: int) -> "DevTools":
        """A link over two pipe ends, which it owns from now on."""
        loop = asyncio.get_running_loop()
        link = cls()
        await loop.connect_read_pipe(lambda: link, os.fdopen(read_fd, "rb", 0))
        out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write_fd, "wb", 0))
        link._out = out
        return link

    def on(self, session: str, event: str, listener: OnEvent) -> None:
        """Call `listener(params)` on each such event of the session; replaces an earlier one."""
        self._listeners[session, event] = listener

    def send(
        self, session: str, method: str, params: Params, on_reply: Callable[[Reply], None]
    ) -> int:
        """Send a command; `on_reply` is called in wire order. Raises `DevToolsError` on a lost link."""
        if self.lost.is_set() or self._out is None:
            raise DevToolsError("the browser is gone")
        self._last_id += 1
        message: Params = {"id": self._last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._waiting[self._last_id] = on_reply
        self._out.write(_encode(message) + b"\0")
        return self._last_id

    async def command(
        self,
        method: str,
        params: Params | None = None,
        session: str = "",
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> Params:
        """Send a command and wait for its result. Raises `DevToolsError`, `TimeoutError`."""
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def settle(reply: Reply) -> None:
            if not done.done():
                done.set_result(reply)

        number = self.send(session, method, params or {}, settle)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await done
        finally:
            self._waiting.pop(number, None)
        if reply.error:
            raise DevToolsError(f"{method}: {reply.error}")
        return reply.result

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Cut at NULs, hand on each message."""
        self._received += data
        start = 0
        while (end := self._received.find(b"\0", max(start, self._scanned))) >= 0:
            message = bytes(self._received[start:end])
            start = end + 1
            self._route(message)
        del self._received[:start]
        self._scanned = len(self._received)
        if self._scanned > MAX_MESSAGE_BYTES:
            log.error("the browser sent a message without end; hanging up on it")
            self.close()

    def _route(self, message: bytes) -> None:
        try:
            incoming = _decode(message)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("skipped a message of the browser that cannot be read: %s", error)
            return
        if incoming.id:
            if (on_reply := self._waiting.pop(incoming.id, None)) is not None:
                on_reply(_reply(incoming))
        elif listener := self._listeners.get((incoming.sessionId, incoming.method)):
            listener(msgspec.json.decode(incoming.params))

    def connection_lost(self, exc: Exception | None) -> None:
        """End every waiter."""
        del exc
        self.lost.set()
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(Reply({}, "the browser is gone"))

    def close(self) -> None:
        """Close our end: a browser started with a pipe ends with it."""
        if self._out is not None:
            self._out.close()
        self.lost.set()


def _reply(incoming: _Incoming) -> Reply:
    if incoming.error is not None:
        return Reply({}, str(incoming.error.get("message", "an error without a message")))
    return Reply(cast("Params", msgspec.json.decode(incoming.result)))


