"""One answer within its deadlines: asked for, read, and passed on event by event."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from arenad.due import deadline
from arenad.errors import RequestError, TimedOut
from arenad.schema.chat import Chat, Finish
from arenad.worker.sites.reading import Reading
from arenad.worker.sites.telling import Emit
from arenad.worker.source import Source

OnNews = Callable[[], Awaitable[None]]


class Asked(NamedTuple):
    """An answer on its way, and how it is read."""

    source: Source
    reading: Reading


class Deadline(NamedTuple):
    """Until when something may take, by the loop's clock, and what is told when it took longer."""

    at_s: float
    too_late: str

    @classmethod
    def of_whole(cls, chat: Chat) -> "Deadline":
        """For the whole answer, which begins now."""
        limit_s = chat.total_timeout_s
        told = f"the whole answer took longer than {limit_s:.3g} s"
        return cls(asyncio.get_running_loop().time() + limit_s, told)

    def within(self, limit_s: float, too_late: str) -> "Deadline":
        """So long from now, but no longer than this one."""
        at_s = asyncio.get_running_loop().time() + limit_s
        return Deadline(at_s, too_late) if at_s < self.at_s else self


async def perform(
    chat: Chat,
    whole: Deadline,
    ask: Callable[[], Awaitable[Asked]],
    emit: Emit,
    on_news: OnNews | None = None,
) -> Finish:
    """Ask, and pass on what comes. Raises a `RequestError`, and what `ask` and its source raise.

    Within `whole`, the first deadline is for all until the first event, the next ones are between
    events. Of two sides, one that is whole by then, and passed on, is kept when the other is late.
    `on_news` is awaited once it was asked, before what each read has brought, and at the end.
    """
    tell = on_news or _nothing
    first_s, idle_s = chat.first_event_timeout_s, chat.idle_timeout_s
    due = whole.within(first_s, f"nothing came within {first_s:.3g} s")
    paused = f"the answer paused for more than {idle_s:.3g} s"
    reading: Reading | None = None
    late: RequestError | None = None
    is_passed_on = True
    try:
        async with deadline() as limit:
            limit.at(due.at_s)
            source, reading = await ask()
            await tell()
            async with aclosing(reading.events(source)) as batches:
                async for events in batches:
                    is_passed_on = False
                    due = whole  # a client that reads slowly is not the site's pause
                    limit.at(due.at_s)
                    await tell()
                    for event in events:
                        await emit(event)
                    is_passed_on = True
                    due = whole.within(idle_s, paused)
                    limit.at(due.at_s)
    except TimeoutError as error:
        late = TimedOut(due.too_late)
        if reading is None or not (is_passed_on and reading.has_whole_side):
            raise late from error
    last, outcome = reading.end(late)
    now_s = asyncio.get_running_loop().time()
    try:  # what is whole is worth a pause more, though the deadline for all of it is over
        async with asyncio.timeout_at(max(whole.at_s, now_s + idle_s)):
            for event in last:
                await emit(event)
            await tell()
    except TimeoutError as error:
        raise TimedOut(f"the answer's end was not taken within {idle_s:.3g} s") from error
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


async def _nothing() -> None:
    """Nobody wants to know."""
