"""The port through which an answer is read, whatever brings it: sent, head, pieces, end."""

import asyncio
from collections import deque
from typing import Protocol

from arenad.errors import UpstreamFailed
from arenad.worker.devtools import Params
from arenad.worker.page_port import BrowserGone
from arenad.worker.valve import Reason, Valve

HELD_BYTES = 256 * 1024
"""With so much unread, the browser's network is held back until half of it has been read.

What is on its way in the browser by then still comes: a few MB, if the site sends at full speed,
which is held to a pace before (`inflow`).
"""

READ_BYTES = 64 * 1024
"""One read brings little more than so much: whoever passes it on counts on pieces of some size."""

UNREAD_LIMIT_BYTES = 32 * 1024 * 1024
"""Where nothing holds the browser back: a reader so far behind loses its answer, not our memory."""

_UNREAD: Reason = "the answer is not read"

Piece = bytes | str
"""A piece of a body, or one frame of text."""


class Source(Protocol):
    """One awaited answer: that it was asked for, its head, its pieces, its end."""

    status: int
    headers: dict[str, str]

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, read or not."""
        ...

    @property
    def has_end(self) -> bool:
        """Whether it ends by itself; if not, its grammar's finish sign is the end."""
        ...

    async def sent(self) -> None:
        """Until the page has asked. Raises `BrowserGone`."""
        ...

    async def head(self) -> int:
        """The status, once it is there. Raises `UpstreamFailed`, `BrowserGone`."""
        ...

    async def read(self) -> list[Piece]:
        """What has come since, in the order of the wire; nothing at the end.

        Raises `UpstreamFailed` when the answer was cut, `BrowserGone` when its page ended.
        """
        ...

    async def over(self) -> None:
        """Until the answer has ended, whether read or not."""
        ...

    def sent_texts(self) -> list[str]:
        """What the page has said on the same socket since the last look."""
        ...

    def abandon(self) -> None:
        """Nobody reads on: keep only watching for the end."""
        ...

    def lose(self, why: str) -> None:
        """The page or its browser is gone: nothing will come any more."""
        ...


class Inbox:
    """What a source that hears the browser has in common: bounded pieces, waiters, the end."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._is_sent = False
        self._pieces: deque[Piece] = deque()
        self._unread_bytes = 0
        self._is_abandoned = False
        self._is_read = False
        self._is_over = False
        self._failed = ""
        self._gone = ""
        self.valve: Valve | None = None
        self._changed = asyncio.Event()

    # -- for who hears the browser -----------------------------------------------------------------

    def on_event(self, session: str, event: str, params: Params) -> None:
        """Take one event of the Network domain, heard in this session."""
        raise NotImplementedError

    def on_target_gone(self, session: str) -> None:
        """A frame or a worker has ended, and with it whatever it was reading."""

    def lose(self, why: str) -> None:
        """The page or its browser is gone: nothing will come any more."""
        self._gone = why
        self._end("")

    def _add(self, piece: Piece) -> None:
        if self._is_abandoned or self._is_over or not piece:
            return
        if isinstance(piece, bytes) and len(piece) > READ_BYTES:
            # A browser that is ahead hands over MBs at once; whoever passes them on counts reads.
            starts = range(0, len(piece), READ_BYTES)
            self._pieces.extend(piece[start : start + READ_BYTES] for start in starts)
        else:
            self._pieces.append(piece)
        self._unread_bytes += len(piece)
        self._changed.set()
        if self._unread_bytes > HELD_BYTES and self._is_read and self.valve is not None:
            self.valve.shut(_UNREAD)
        if self._unread_bytes > UNREAD_LIMIT_BYTES:
            self.abandon()
            self._end("it is read so slowly that the rest had to be dropped")

    def _end(self, failed: str) -> None:
        if not self._is_over:
            self._failed = failed
            self._is_over = True
            self.let_go()
        self._changed.set()

    def let_go(self) -> None:
        """The browser's network need not wait for us any more."""
        if self.valve is not None:
            self.valve.open(_UNREAD)

    # -- for the one who reads ---------------------------------------------------------------------

    @property
    def failed(self) -> str:
        """Why it ended too early; empty if it did not."""
        return self._failed

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, read or not."""
        return self._is_over

    @property
    def has_end(self) -> bool:
        """Whether it ends by itself."""
        return True

    async def sent(self) -> None:
        """Until the page has asked. Raises `BrowserGone`."""
        while not self._is_sent and not self._is_over:
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

    async def read(self) -> list[Piece]:
        """What has come since, in order; nothing at the end. Raises as `Source.read` says."""
        self._is_read = True
        while not self._pieces and not self._is_over:
            await self._wait()
        if self._pieces:
            return self._taken()
        self._check_there()
        if self._failed:
            raise UpstreamFailed(f"the site's answer was cut: {self._failed}")
        return []

    def _taken(self) -> list[Piece]:
        pieces: list[Piece] = []
        taken_bytes = 0
        while self._pieces and taken_bytes < READ_BYTES:
            pieces.append(piece := self._pieces.popleft())
            taken_bytes += len(piece)
        self._unread_bytes -= taken_bytes
        if self._unread_bytes < HELD_BYTES / 2:
            self.let_go()
        return pieces

    def sent_texts(self) -> list[str]:
        """Nothing is said where a request is made."""
        return []

    def abandon(self) -> None:
        """Nobody reads on: keep only watching for the end."""
        self._is_abandoned = True
        self._clear()

    def _clear(self) -> None:
        self._pieces.clear()
        self._unread_bytes = 0
        self.let_go()

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
