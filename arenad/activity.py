"""Counts what is under way in a process, so that it can leave in order once all of it is done."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class Activity:
    """Counts what is under way; must be made where a loop runs."""

    def __init__(self) -> None:
        """Nothing is under way."""
        self.count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._begun = asyncio.Event()

    @contextmanager
    def one(self) -> Generator[None]:
        """One more, for as long as this lasts."""
        self.count += 1
        self._idle.clear()
        self._begun.set()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._idle.set()

    async def quiet(self, for_s: float) -> None:
        """Until nothing has been under way for so long: who comes meanwhile is still served."""
        while True:
            await self._idle.wait()
            self._begun.clear()
            try:
                async with asyncio.timeout(for_s):
                    await self._begun.wait()
            except TimeoutError:
                if not self.count:
                    return
