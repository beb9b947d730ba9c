"""A deadline that is put off again and again, for what waits once for each piece of a stream.

A timer that is set and taken back for each piece costs more than the piece. This one is set once
and looks, when it goes off, whether it is still time.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing

NEVER_S = float("inf")


def _ignore() -> None:
    """It is too late for whatever was due."""


class Due:
    """Calls back once a time has come that was not put off by then; made where a loop runs."""

    def __init__(self, on_due: Callable[[], None]) -> None:
        """Nothing is due."""
        self._on_due = on_due
        self._loop = asyncio.get_running_loop()
        self._at_s = NEVER_S
        self._timer: asyncio.Handle | None = None  # uvloop's for a time that has come has no `when`
        self._looks_s = NEVER_S

    def at(self, at_s: float) -> None:
        """It is due at this time, by the loop's clock; `NEVER_S`: not any more."""
        self._at_s = at_s
        if at_s != NEVER_S and (self._timer is None or self._looks_s > at_s):
            self._set()

    def within(self, limit_s: float) -> None:
        """It is due so long from now."""
        self.at(self._loop.time() + limit_s)

    def _set(self) -> None:
        self._unset()
        self._timer = self._loop.call_at(self._at_s, self._look)
        self._looks_s = self._at_s

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._at_s:
            self._at_s = NEVER_S
            self._on_due()
        elif self._at_s != NEVER_S:
            self._set()

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Nothing will be due any more. Whose deadline it was, and holds this, is let go of."""
        self._unset()
        self._at_s, self._on_due = NEVER_S, _ignore


@asynccontextmanager
async def deadline() -> AsyncGenerator[Due]:
    """As `asyncio.timeout`, but cheap to put off: raises `TimeoutError` once it is due."""
    async with asyncio.timeout(None) as scope:
        with closing(Due(lambda: scope.reschedule(0.0))) as due:
            yield due
