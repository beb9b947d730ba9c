"""Serve chats on the worker's own Unix socket: slots, the page's turn, recovery after a chat."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

from msgspec.structs import replace

from arenad.errors import Busy, RequestError, TimedOut
from arenad.link import Link, Serve, Served, Tasks, refuse
from arenad.schema.chat import AskHeld, Began, Chat, Event, Finish, Held
from arenad.schema.frame import Body
from arenad.worker import session
from arenad.worker.sites.telling import Emit

HANG_UP_TIMEOUT_S = 1.0

OnSession = Callable[[session.Event, str, float | None], Awaitable[None]]
Work = Callable[[], Coroutine[Any, Any, None]]
Guard = Callable[[Work], Coroutine[Any, Any, None]]
"""Carries out some work, and is the one who hears of what goes wrong with it."""


log = logging.getLogger("arenad.worker")


class Site(Protocol):
    """What performs chats."""

    together: int
    """How many at the same time: a page holds one."""

    async def chat(self, chat: Chat, emit: Emit) -> Finish:
        """Perform one chat. Raises a `RequestError`."""
        ...

    async def stop(self) -> bool:
        """After a chat that was cancelled: be ready for the next one; whether that worked."""
        ...


class ChatServer:
    """Counts slots and hands the page to one chat after another."""

    def __init__(
        self,
        site: Site,
        slots: int,
        on_session: OnSession,
        others: Serve = refuse,
        guard: Guard | None = None,
    ) -> None:
        """`on_session` is awaited, with the page still held, after each chat that was performed.

        It gets what happened, why, and for how many seconds the site asked to be left in peace.
        `others` serves what is no chat. What comes after a chat has no caller who would hear of
        its failure: that is the `guard`'s.
        """
        self.busy = 0
        self.on_busy: Callable[[], None] = _ignore
        self.answered = 0
        self.failed = 0
        self.is_answering = False
        self.idle = asyncio.Event()
        self.idle.set()
        self._is_closing = False
        self._site = site
        self._slots = slots
        self._on_session = on_session
        self._others = others
        self._guard: Guard = guard or _unguarded
        self._page_turn = asyncio.Semaphore(site.together)
        self._links: set[Link] = set()
        self._held: tuple[str, ...] = ()
        self._tasks = Tasks()

    def link(self) -> Link:
        """A link for a frontend that connects."""

        def on_note(body: Body) -> None:
            if isinstance(body, AskHeld):
                link.note(Held(self._held))

        self._links = {link for link in self._links if not link.lost.is_set()}
        self._links.add(link := Link("a frontend", self.serve, on_note))
        return link

    def tell_held(self, conversations: tuple[str, ...]) -> None:
        """Tell every frontend which conversations can be gone on with here, from now on."""
        self._held = conversations
        for link in self._links:
            link.note(Held(conversations))

    @asynccontextmanager
    async def page_turn(self) -> AsyncGenerator[None, None]:
        """Hold the page, between chats, for something else than a chat."""
        async with self._page_turn:
            yield

    def refuse_new(self) -> None:
        """From now on only finish what runs."""
        self._is_closing = True

    async def serve(self, served: Served) -> Body:
        """One call of a frontend. Raises a `RequestError`."""
        if not isinstance(served.body, Chat):
            return await self._others(served)
        if self._is_closing or self.busy >= self._slots:
            raise Busy("the instance has no free slot")
        self.busy += 1
        self.idle.clear()
        self.on_busy()
        try:
            return await self._perform(await self._await_turn(served.body), served.item)
        finally:
            self.busy -= 1
            if not self.busy:
                self.idle.set()
            self.on_busy()

    async def _await_turn(self, chat: Chat) -> Chat:
        """Take the page, which may still recover from its last chat; gives what time is left."""
        limit_s = min(chat.first_event_timeout_s, chat.total_timeout_s)
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        try:
            async with asyncio.timeout(limit_s):
                await self._page_turn.acquire()
        except TimeoutError as error:
            raise TimedOut(f"the page was not free within {limit_s:g} s") from error
        waited_s = now_s() - began_s
        return replace(
            chat,
            first_event_timeout_s=chat.first_event_timeout_s - waited_s,
            total_timeout_s=chat.total_timeout_s - waited_s,
        )

    async def _perform(self, chat: Chat, send: Emit) -> Finish:
        async def emit(event: Event) -> None:
            self.is_answering |= not isinstance(event, Began)
            await send(event)

        after: Work = self._stop
        log.debug("request %s is performed", chat.request_id)
        try:
            finish = await self._site.chat(chat, emit)
        except RequestError as error:
            self.failed += 1
            log.warning("request %s failed: %s", chat.request_id, error.message)
            event = session.after_chat(error.kind)
            after = partial(self._tell, event, error.message, error.retry_after_s)
            raise
        except asyncio.CancelledError:
            log.info("request %s was cancelled; stopping the page", chat.request_id)
            raise
        else:
            self.answered += 1
            after = partial(self._tell, session.Event.CHAT_DONE, "", None)
            return finish
        finally:
            self.is_answering = False
            # The next chat waits for this, not the client of the last one.
            task = self._tasks.start(self._guard(after), "recover the page")
            task.add_done_callback(lambda _: self._page_turn.release())

    async def _tell(self, event: session.Event | None, reason: str, rest_s: float | None) -> None:
        if event is not None:
            await self._on_session(event, reason, rest_s)

    async def _stop(self) -> None:
        if not await self._site.stop():
            reason = "the page did not stop an answer"
            await self._on_session(session.Event.NOT_STOPPED, reason, None)

    async def close(self) -> None:
        """Hang up on the frontends, which ends what still runs, and what that starts."""
        for link in self._links:
            link.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_TIMEOUT_S):
                await self.idle.wait()
        await self._tasks.close()


def _ignore() -> None:
    pass


async def _unguarded(work: Work) -> None:
    await work()
