"""The way of one request from its arrival to an instance and back: wait, reserve, ask, retry, cancel.

A seat is reserved in the same step that chooses it, with nothing awaited between, so two requests
can never take the same slot.
"""

import asyncio
import itertools
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import cast

from arenad import link
from arenad.errors import (
    Busy,
    LinkLost,
    ModelNotFound,
    Overloaded,
    RequestError,
    TimedOut,
    Unavailable,
    WorkerLost,
)
from arenad.frontend.balance import Load, SeatKey, choose, offers
from arenad.frontend.openai import Wish
from arenad.frontend.queue import Queue, Ticket
from arenad.schema.chat import CONTENT, Chat, Event, Finish
from arenad.schema.config import ChatConfig, QueueConfig
from arenad.schema.process import FrontendBeat, Model, Roster, Seat

CONNECT_TIMEOUT_S = 2.0
GRACE_S = 5.0
"""The worker keeps the deadlines; we wait so much longer before we call the worker itself lost."""

log = logging.getLogger("arenad.dispatch")


class Dispatch:
    """Knows the roster, holds a link to each instance, seats and asks."""

    def __init__(self, queue: QueueConfig, chat: ChatConfig) -> None:
        """Nobody is in the roster yet."""
        self.counts: Counter[str] = Counter()
        self.running = 0
        self._chat = chat
        self._wait_s = queue.wait_s
        self._queue = Queue(queue.limit)
        self._numbers = itertools.count(1)
        self._roster = Roster((), 1)
        self._links: dict[SeatKey, link.Link] = {}
        self._busy: Counter[SeatKey] = Counter()
        self._seated: dict[int, asyncio.Future[Seat]] = {}
        self._tasks = link.Tasks()

    # -- the roster -------------------------------------------------------------------------------

    def on_roster(self, roster: Roster) -> None:
        """The master says who may be asked from now on."""
        self._roster = roster
        for seat in roster.seats:
            key = (seat.name, seat.generation)
            if key not in self._links:
                self._tasks.start(self._connect(seat), f"link to {seat.name}")
        self._match()

    async def _connect(self, seat: Seat) -> None:
        key = (seat.name, seat.generation)
        if key in self._links:
            return
        try:
            made = await link.connect(seat.socket_path, seat.name, CONNECT_TIMEOUT_S)
        except LinkLost as error:
            log.warning("cannot reach %s", error)
            return
        self._links[key] = made
        self._match()
        await made.lost.wait()
        del self._links[key]
        self._match()

    def models(self) -> list[Model]:
        """Every model that some instance offers, each once, by name."""
        known = {model.id: model for seat in self._roster.seats for model in seat.models}
        return [known[name] for name in sorted(known)]

    def is_ready(self) -> bool:
        """Whether an instance could be asked now, busy or not."""
        return any(load.seat.condition == "ready" for load in self._loads())

    def _loads(self) -> list[Load]:
        """The seats to which a link stands: EOF tells of a death before the master's next roster."""
        return [
            Load(seat, self._busy[seat.name, seat.generation])
            for seat in self._roster.seats
            if (seat.name, seat.generation) in self._links
        ]

    # -- seats ------------------------------------------------------------------------------------

    async def _take_seat(self, model: str, tried: Collection[SeatKey]) -> Seat:
        """Wait for a seat and reserve it. Raises `Overloaded`, `ModelNotFound` or `Unavailable`."""
        ticket = Ticket(next(self._numbers), model, tried)
        self._check_hope(ticket)
        self._queue.join(ticket)
        waiting: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
        self._seated[ticket.number] = waiting
        self._match()
        seat: Seat | None = None
        try:
            async with asyncio.timeout(self._wait_s):
                seat = await waiting
            return seat
        except TimeoutError as error:
            seat = None
            raise Overloaded(
                f"no instance was free within {self._wait_s:g} s (queue.wait_s)", retry_after_s=5.0
            ) from error
        finally:
            self._queue.leave(ticket.number)
            del self._seated[ticket.number]
            if seat is None and _has_result(waiting):
                self._give_back(waiting.result())

    def _match(self) -> None:
        """Seat everybody who can be seated; tell those who never can be."""
        for ticket, seat in self._queue.match(self._reserve):
            self._seated[ticket.number].set_result(seat)
        for ticket in self._queue.tickets():
            waiting = self._seated[ticket.number]
            try:
                self._check_hope(ticket)
            except RequestError as error:
                if not waiting.done():
                    waiting.set_exception(error)

    def _reserve(self, ticket: Ticket) -> Seat | None:
        if self._seated[ticket.number].done():
            return None  # it has just given up, and is about to leave the queue
        draw = random.random()  # noqa: S311 - a tie, no secret
        seat = choose(self._loads(), ticket.model, ticket.tried, draw)
        if seat is not None:
            self._busy[seat.name, seat.generation] += 1
        return seat

    def _give_back(self, seat: Seat) -> None:
        key = (seat.name, seat.generation)
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
        self._match()

    def _check_hope(self, ticket: Ticket) -> None:
        """Waiting makes sense while an instance that may still be asked is there or on its way."""
        if self._roster.starting:
            return
        seats = self._roster.seats
        if not seats:
            raise Unavailable("there is no instance; an operator has to start one (arenactl scale)")
        if not any(offers(seat, ticket.model) for seat in seats):
            raise ModelNotFound(
                f"model: there is no {ticket.model!r}; GET /v1/models lists what there is",
                param="model",
            )
        if all((seat.name, seat.generation) in ticket.tried for seat in seats):
            raise Unavailable("every instance was asked")

    # -- one request ------------------------------------------------------------------------------

    async def answer(self, wish: Wish, request_id: str) -> AsyncIterator[Event | Finish]:
        """The events of the answer, then its `Finish`. Raises a `RequestError`.

        Another instance is asked after a failure, while no content has been given out.
        """
        chat = Chat(
            request_id=request_id,
            model=wish.model,
            turns=wish.turns,
            first_event_timeout_s=self._chat.first_event_timeout_s,
            idle_timeout_s=self._chat.idle_timeout_s,
            total_timeout_s=self._chat.total_timeout_s,
        )
        tried: dict[SeatKey, RequestError] = {}
        refusals = 0
        while True:
            seat = await self._next_seat(wish.model, tried)
            has_content = False
            try:
                async with aclosing(self._ask(seat, chat)) as events:
                    async for event in events:
                        has_content = has_content or isinstance(event, CONTENT)
                        yield event
                return
            except RequestError as error:
                refusals += isinstance(error, Busy)
                attempts = len(tried) + 1 - refusals
                if has_content or not error.elsewhere or attempts >= self._chat.attempts:
                    raise
                tried[seat.name, seat.generation] = error
                self.counts["retried"] += 1
                log.warning("request %s: %s failed it (%s); asking another", request_id, seat.name, error)
            finally:
                self._give_back(seat)

    async def _next_seat(self, model: str, tried: dict[SeatKey, RequestError]) -> Seat:
        try:
            return await self._take_seat(model, tried)
        except Unavailable:
            if tried:
                raise list(tried.values())[-1] from None
            raise

    async def _ask(self, seat: Seat, chat: Chat) -> AsyncIterator[Event | Finish]:
        """Ask one instance. Leaving early, for whatever reason, cancels the chat there."""
        worker = self._links.get((seat.name, seat.generation))
        if worker is None:
            raise WorkerLost(f"the instance {seat.name} is gone")
        limit_s = max(chat.first_event_timeout_s, chat.idle_timeout_s) + GRACE_S
        stream = None
        try:
            stream = worker.stream(chat)
            while not stream.ended:
                yield cast("Event | Finish", await stream.receive(limit_s))
        except LinkLost as error:
            raise WorkerLost(f"the instance {seat.name} died while it answered") from error
        except TimeoutError as error:
            raise TimedOut(f"the instance {seat.name} said nothing for {limit_s:g} s") from error
        finally:
            if stream is not None:
                stream.cancel()

    # -- for the master ---------------------------------------------------------------------------

    def beat(self) -> FrontendBeat:
        """What this frontend carries now."""
        busy: Counter[str] = Counter()
        for (name, _), count in self._busy.items():
            busy[name] += count
        return FrontendBeat(
            queued=len(self._queue),
            running=self.running,
            accepted=self.counts["accepted"],
            answered=self.counts["answered"],
            failed=self.counts["failed"],
            retried=self.counts["retried"],
            cancelled=self.counts["cancelled"],
            busy=dict(busy),
        )

    async def close(self) -> None:
        """End the links."""
        await self._tasks.close()
        for each in self._links.values():
            each.close()


def _has_result(waiting: "asyncio.Future[Seat]") -> bool:
    """Whether a seat was reserved for somebody who left in the same moment."""
    return waiting.done() and not waiting.cancelled() and waiting.exception() is None
