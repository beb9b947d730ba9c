"""The body of the recorder: gathers entries, has them written, says what it cannot keep.

Writing and reading block, so they have a thread of their own: a slow disk never makes this process
look hung. Who sent a batch hears of it when it is on disk; until then the sender keeps it too, so a
full disk fills their bounded buffers, and a killed recorder loses nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from arenad.errors import RequestError
from arenad.link import Link, Served, ignore, refuse
from arenad.recorder.store import Store, StoreFailed
from arenad.schema.frame import Body
from arenad.schema.history import GetHistory, Remember, Remembered
from arenad.schema.process import SessionIs

GATHER_S = 0.25
"""Entries that arrive so close together share a commit."""

RETRY_FIRST_S = 1.0
RETRY_LIMIT_S = 15.0

FINAL_S = 3.0
"""How long the last entries may take to be written when this process leaves."""

MAX_WAITING = 256
"""Senders wait for an answer to each batch, so this many only come from one that does not."""

T = TypeVar("T")

logger = logging.getLogger("arenad.recorder")


class Scribe:
    """Takes batches from any link, answers questions from the master's."""

    def __init__(self, store: Store, tell: Callable[[SessionIs], None]) -> None:
        """`tell` hears when writing fails, and when it goes on."""
        self._store = store
        self._tell = tell
        self._waiting: deque[tuple[Link, Remember]] = deque()
        self._arrived = asyncio.Event()
        self._leaving = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "store")
        self._trouble = ""

    def link(self) -> Link:
        """A link for a frontend that connects."""
        made = Link("a frontend", on_note=lambda body: self.take(made, body))
        return made

    def take(self, sender: Link, body: Body) -> None:
        """A note from a link."""
        if not isinstance(body, Remember):
            ignore(body)
        elif len(self._waiting) >= MAX_WAITING:
            logger.error("%s sends without waiting for answers; the link is closed", sender.name)
            sender.close()
        else:
            self._waiting.append((sender, body))
            self._arrived.set()

    async def serve(self, served: Served) -> Body:
        """Answer one question."""
        wish = served.body
        if not isinstance(wish, GetHistory):
            return await refuse(served)
        if self._leaving.is_set():
            raise RequestError("the recorder is just leaving; ask again in a moment")
        try:
            return await self._in_thread(lambda: self._store.read(wish))
        except StoreFailed as error:
            raise RequestError(f"the history cannot be read: {error}") from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- writing -----------------------------------------------------------------------------------

    async def write(self) -> None:
        """Commit what arrives, beginning with nothing, so that trouble is said at once.

        Ends after the last entries when it is time to leave, or with the first failure then.
        """
        delay_s = RETRY_FIRST_S
        while True:
            is_last = self._leaving.is_set()
            if await self._commit():
                if is_last and not self._waiting:
                    return
                delay_s = RETRY_FIRST_S
                await self._arrived.wait()
                await self._pause(GATHER_S)
            elif is_last:
                return
            else:
                await self._pause(delay_s)
                delay_s = min(2 * delay_s, RETRY_LIMIT_S)

    async def _pause(self, limit_s: float) -> None:
        """Let some time pass, unless it is time to leave."""
        try:
            async with asyncio.timeout(limit_s):
                await self._leaving.wait()
        except TimeoutError:
            pass

    async def _commit(self) -> bool:
        """Write all that waits; whether that worked."""
        batches = list(self._waiting)
        try:
            dropped = await self._in_thread(lambda: self._store.append([b for _, b in batches]))
        except StoreFailed as error:
            self._say_trouble(str(error))
            return False
        for sender, batch in batches:
            self._waiting.popleft()
            sender.note(Remembered(batch.source, batch.first + len(batch.entries) - 1))
        if not self._waiting and not self._leaving.is_set():
            self._arrived.clear()
        self._say_fine(dropped)
        return True

    def _say_trouble(self, trouble: str) -> None:
        """Aloud once until writing goes on; who asks is told the latest."""
        if not self._trouble:
            logger.error("history is not being recorded: %s", trouble)
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(SessionIs("broken", trouble))

    def _say_fine(self, dropped: int) -> None:
        if dropped:
            logger.warning("%d entries are missing in the history: nothing took them", dropped)
        if self._trouble:
            self._trouble = ""
            logger.warning("history is being recorded again")
            self._tell(SessionIs("ready", "history is being recorded again"))

    async def finish(self, writing: asyncio.Task[None]) -> None:
        """Write the last entries, as far as that works in time; then close the file."""
        self._leaving.set()
        self._arrived.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(FINAL_S):
                await asyncio.wait({writing})
                await self._in_thread(self._store.close)
        if lost := sum(len(batch.entries) for _, batch in self._waiting):
            logger.error("%d entries are not written: there was no time for more tries", lost)
        self._thread.shutdown(wait=False, cancel_futures=True)
