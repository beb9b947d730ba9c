"""Those who look at a page of the dashboard: their WebSockets, bounded in number and patience."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

from arenad.errors import Overloaded
from arenad.frontend import entrance, guard

REPEAT_S = 2.0
"""A viewer hears from us at least this often, and takes silence for a lost connection."""

STALL_S = 10.0
"""A viewer that takes nothing for so long is hung up on."""

_PING_S = 30.0
_CLOSE_TIMEOUT_S = 1.0


class Viewers:
    """All who look at one thing through this frontend."""

    def __init__(self, what: str, most: int, max_message_bytes: int) -> None:
        """`what` is the plural of what they have open."""
        self._what = what
        self._most = most
        self._max_message_bytes = max_message_bytes
        self._sockets: set[web.WebSocketResponse] = set()

    def __len__(self) -> int:
        """How many look."""
        return len(self._sockets)

    @asynccontextmanager
    async def one(self, request: web.Request) -> AsyncGenerator[web.WebSocketResponse]:
        """One more, for as long as it stays. Raises `RequestError` for one that may not look."""
        guard.check_origin(request)
        if len(self._sockets) >= self._most:
            told = f"{self._most} {self._what} are open already; close one"
            raise Overloaded(told, retry_after_s=REPEAT_S)
        socket = web.WebSocketResponse(
            timeout=_CLOSE_TIMEOUT_S,
            heartbeat=_PING_S,
            compress=False,  # it would take a thread for long messages
            max_msg_size=self._max_message_bytes,
        )
        self._sockets.add(socket)
        try:
            entrance.allow(request, STALL_S)
            await socket.prepare(request)
            yield socket
        finally:
            self._sockets.discard(socket)

    async def close(self) -> None:
        """Hang up on every one."""
        leaving = [
            each.close(code=1001, message=b"the frontend stops")
            for each in self._sockets
            if each.prepared
        ]
        await asyncio.gather(*leaving, return_exceptions=True)
