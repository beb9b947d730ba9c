"""Serve chats on the worker's own Unix socket: slots, the page's turn, recovery after a broken chat."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from arenad.errors import Busy, RequestError
from arenad.link import Link, Served, Tasks
from arenad.schema.chat import Chat
from arenad.schema.frame import Body
from arenad.worker.session import Event
from arenad.worker.sites.page_driven import PageSite

log = logging.getLogger("arenad.worker")

REQUEST_FAULTS = ("invalid_request", "model_not_found", "content_rejected", "resting", "busy")
"""Failures that say nothing against the page."""


class ChatServer:
    """Counts slots and hands the page to one chat after another."""

    def __init__(
        self, site: PageSite, slots: int, on_session: Callable[[Event, str], Awaitable[None]]
    ) -> None:
        """`on_session` is awaited, with the page still held, after each chat that was performed."""
        self.busy = 0
        self.answered = 0
        self.failed = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._is_closing = False
        self._site = site
        self._slots = slots
        self._on_session = on_session
        self._page_turn = asyncio.Lock()
        self._tasks = Tasks()

    def link(self) -> Link:
        """A link for a frontend that connects."""
        return Link("a frontend", self.serve)

    def refuse_new(self) -> None:
        """From now on only finish what runs."""
        self._is_closing = True

    async def serve(self, served: Served) -> Body:
        """One call of a frontend. Raises a `RequestError`."""
        if not isinstance(served.body, Chat):
            raise RequestError(f"{type(served.body).__name__} is not served by a worker")
        if self._is_closing or self.busy >= self._slots:
            raise Busy("the instance has no free slot")
        self.busy += 1
        self.idle.clear()
        try:
            return await self._chat(served.body, served)
        finally:
            self.busy -= 1
            if not self.busy:
                self.idle.set()

    async def _chat(self, chat: Chat, served: Served) -> Body:
        await self._page_turn.acquire()
        after: Awaitable[None] | None = None
        try:
            finish = await self._site.chat(chat, served.item)
        except RequestError as error:
            self.failed += 1
            if error.kind not in REQUEST_FAULTS:
                after = self._on_session(Event.CHAT_FAILED, error.message)
            log.warning("request %s failed: %s", chat.request_id, error.message)
            raise
        except asyncio.CancelledError:
            log.info("request %s was cancelled; stopping the page", chat.request_id)
            after = self._stop()
            raise
        else:
            self.answered += 1
            after = self._on_session(Event.CHAT_DONE, "")
            return finish
        finally:
            self._tasks.start(self._then_release(after), "recover the page")

    async def _stop(self) -> None:
        if not await self._site.stop():
            await self._on_session(Event.CHAT_FAILED, "the page did not stop an answer")

    async def _then_release(self, after: Awaitable[None] | None) -> None:
        """The next chat waits for this, not for the client of the last one."""
        try:
            if after is not None:
                await after
        finally:
            self._page_turn.release()

    async def close(self) -> None:
        """End what still runs."""
        with suppress(asyncio.CancelledError):
            await self._tasks.close()
