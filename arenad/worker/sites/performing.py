"""One answer within its deadlines: asked for, read, and passed on event by event."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from arenad.errors import RequestError, TimedOut
from arenad.schema.chat import Chat, Event, Finish
from arenad.worker.sites.reading import Reading
from arenad.worker.source import Source

Emit = Callable[[Event], Awaitable[None]]
OnNews = Callable[[], Awaitable[None]]


class Asked(NamedTuple):
    """An answer on its way, and how it is read."""

    source: Source
    reading: Reading


async def perform(
    chat: Chat, ask: Callable[[], Awaitable[Asked]], emit: Emit, on_news: OnNews | None = None
) -> Finish:
    """Ask, and pass on what comes. Raises a `RequestError`, and what `ask` and its source raise.

    The first deadline is for all until the first event, the next ones are between events.
    Of two sides, one that is whole by then is kept when the other one is too late.
    `on_news` is awaited once it was asked, before what each read has brought, and at the end.
    """
    tell = on_news or _nothing
    now_s = asyncio.get_running_loop().time
    too_late = f"nothing came within {chat.first_event_timeout_s:.3g} s"
    reading: Reading | None = None
    late: RequestError | None = None
    try:
        async with asyncio.timeout(chat.first_event_timeout_s) as deadline:
            source, reading = await ask()
            await tell()
            async with aclosing(reading.events(source)) as batches:
                async for events in batches:
                    deadline.reschedule(None)  # a client that reads slowly is not the site's
                    await tell()
                    for event in events:
                        await emit(event)
                    too_late = f"the answer paused for more than {chat.idle_timeout_s:.3g} s"
                    deadline.reschedule(now_s() + chat.idle_timeout_s)
    except TimeoutError as error:
        late = TimedOut(too_late)
        if reading is None or not reading.has_whole_side:
            raise late from error
    last, outcome = reading.end(late)
    for event in last:
        await emit(event)
    await tell()
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


async def _nothing() -> None:
    """Nobody wants to know."""
