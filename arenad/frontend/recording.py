"""Tells the recorder of ended requests, over its socket, without ever keeping a request waiting.

The master holds that socket open, so a connection made while the recorder is away waits there for
the next one. What is not on its disk yet is kept here, bounded, and sent to the next one again.
"""

import asyncio
import logging
import os
from contextlib import suppress

from arenad import link
from arenad.errors import LinkLost
from arenad.frontend.account import Account
from arenad.outbox import Outbox
from arenad.schema.frame import Body
from arenad.schema.history import Outcome, Remembered

CONNECT_TIMEOUT_S = 2.0
RECONNECT_S = 2.0
HANG_UP_TIMEOUT_S = 1.0

log = logging.getLogger("arenad.recording")


class Recording:
    """A frontend's outbox and its link to the recorder, made when there is something to say."""

    def __init__(self, path: str, frontend: str) -> None:
        """An empty path: nobody records, and nothing is kept. `frontend` is our own name."""
        self._path = path
        self._frontend = frontend
        self._outbox = Outbox(os.urandom(8).hex())
        self._news = asyncio.Event()
        self._tasks = link.Tasks()
        self._link: link.Link | None = None

    def start(self) -> None:
        """Begin to send what is put."""
        if self._path:
            self._tasks.start(self._keep(), "tell the recorder")

    def put(self, account: Account, outcome: Outcome) -> None:
        """One request more has ended, like this."""
        if self._path:
            self._outbox.put(account.ended(outcome, self._frontend))
            if not self._outbox.is_under_way:
                self._news.set()

    async def _keep(self) -> None:
        while True:
            await self._news.wait()
            if self._link is None and not await self._connect():
                await asyncio.sleep(RECONNECT_S)
                continue
            self._news.clear()
            if self._link is not None and (batch := self._outbox.batch()) is not None:
                self._link.note(batch)

    async def _connect(self) -> bool:
        try:
            made = await link.connect(self._path, "the recorder", CONNECT_TIMEOUT_S, self._on_note)
        except LinkLost as error:
            log.info("cannot reach the recorder (%s); trying again in %g s", error, RECONNECT_S)
            return False
        self._link = made
        self._tasks.start(self._until_lost(made), "wait for the recorder's end")
        return True

    async def _until_lost(self, made: link.Link) -> None:
        await made.lost.wait()
        self._link = None
        self._outbox.rewind()
        if len(self._outbox):
            self._news.set()

    def _on_note(self, body: Body) -> None:
        if isinstance(body, Remembered):
            self._outbox.remembered(body)
            if self._outbox.unsent:
                self._news.set()

    async def close(self) -> None:
        """Say what is left without waiting for an answer, and hang up."""
        await self._tasks.close()
        if self._outbox.unsent and self._link is None:
            await self._connect()
        if (made := self._link) is not None:
            for batch in self._outbox.rest():
                made.note(batch)
            made.close()  # once what is buffered has been written
            with suppress(TimeoutError):
                async with asyncio.timeout(HANG_UP_TIMEOUT_S):
                    await made.lost.wait()
        await self._tasks.close()
