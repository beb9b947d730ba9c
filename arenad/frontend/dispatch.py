"""The way of one request to an instance and back: wait for a seat, ask, retry, cancel."""

import itertools
import logging
import time
from asyncio import CancelledError, Future, wait
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from arenad.conversation import is_new_turn
from arenad.conversation import key_of as conversation_of
from arenad.errors import (
    Busy,
    LinkLost,
    RequestError,
    TimedOut,
    TooLong,
    UpstreamFailed,
    WorkerLost,
)
from arenad.frontend.account import Account
from arenad.frontend.balance import Asked, SeatKey, asked_of, key_of, pair_in, waits_for_person
from arenad.frontend.breaker import Outcome, outcome_of
from arenad.frontend.pool import Pool
from arenad.frontend.queue import Ticket
from arenad.frontend.seats import Seats
from arenad.frontend.vocabulary import Wish
from arenad.link import Stream
from arenad.schema.chat import (
    CONTENT,
    Began,
    Chat,
    Citation,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    Target,
    TextDelta,
)
from arenad.schema.config import BreakerConfig, ChatConfig, QueueConfig
from arenad.schema.frame import Body
from arenad.schema.process import FrontendBeat, Model, Roster, Seat, template_of
from arenad.wire import Unsendable

GRACE_S = 5.0
"""The worker keeps the deadlines; we wait so much longer before we call the worker itself lost."""

SILENCE = 0.5
"""Whoever leaves says something of an instance that was silent for such a share of its time.

Many clients wait no longer than that: without it one that answers nobody would always be free.
"""

Answer = AsyncGenerator[Event]
"""Its last event is a `Finish`; one before that is of the other of two sides."""

log = logging.getLogger("arenad.dispatch")


class Dispatch:
    """Answers requests, and counts them."""

    def __init__(self, queue: QueueConfig, chat: ChatConfig) -> None:
        """Nobody is in the roster yet."""
        self.counts: Counter[str] = Counter()
        self.running = 0
        self.pool = Pool()
        self.seats = Seats(self.pool, queue)
        self.numbers = itertools.count(1)
        self.queue = queue
        self.chat = chat
        self.battle_targets: Mapping[str, Target] = {}
        """Which side clients get who ask for none, by the template of the site."""

    def adjust(self, queue: QueueConfig, chat: ChatConfig, breaker: BreakerConfig) -> None:
        """Go by these settings from the next request on."""
        self.seats.adjust(queue, breaker)
        self.queue = queue
        self.chat = chat

    def on_roster(self, roster: Roster) -> None:
        """The master says who may be asked from now on."""
        self.seats.on_roster(roster)

    def models(self) -> list[Model]:
        """Every model that some instance offers, each once, by name."""
        return self.pool.models()

    def sides(self, wish: Wish) -> int:
        """How many answers may come side by side."""
        if wish.battle_target in {"A", "B"}:
            return 1
        modes = self.pool.modes_of(wish.model)
        if "battle" not in modes:
            return 2 if not modes and pair_in(wish.model) else 1
        sites = self.pool.sites_of(wish.model)
        defaults = {self.battle_targets.get(site, "both") for site in sites}
        return 2 if "both" in (wish.battle_target or "", *defaults) else 1

    def room(self, model: str) -> int:
        """How many chats all instances of a model take at once, busy or not."""
        return self.pool.room(model)

    def is_ready(self) -> bool:
        """Whether an instance could be asked now, busy or not."""
        return self.pool.is_ready()

    def answer(self, wish: Wish, request_id: str, account: Account | None = None) -> Answer:
        """The events of the answer, then its `Finish`. Raises a `RequestError`.

        A `Heartbeat` comes whenever nothing else came for `chat.keepalive_s`. Closing the
        generator, or cancelling it, cancels the chat wherever it is. `account` is told of the way.
        """
        account = account or Account(request_id, wish.model, streams=wish.stream)
        return _Journey(self, wish, request_id, account).events()

    def beat(self) -> FrontendBeat:
        """What this frontend carries now."""
        return FrontendBeat(
            queued=self.seats.queued,
            running=self.running,
            accepted=self.counts["accepted"],
            answered=self.counts["answered"],
            failed=self.counts["failed"],
            retried=self.counts["retried"],
            cancelled=self.counts["cancelled"],
            busy=self.seats.busy(),
            queue_wait_s=self.seats.longest_wait_s(),
            waiting=self.seats.waiting(),
            asked_last=self.seats.asked_last(),
        )

    async def close(self) -> None:
        """End the links."""
        self.seats.close()
        await self.pool.close()


class _Journey:
    """One request on its way.

    The whole answer's deadline begins with the first seat and holds over all attempts. A return to
    the queue because a worker was full goes on with the old wait; one after a failure begins anew.
    """

    def __init__(self, dispatch: Dispatch, wish: Wish, request_id: str, account: Account) -> None:
        """It has not begun."""
        self._account = account
        self._dispatch = dispatch
        self._pool = dispatch.pool
        self._seats = dispatch.seats
        self._limits = dispatch.chat
        self._wish = wish
        self._id = request_id
        self._number = next(dispatch.numbers)
        self._tried: dict[SeatKey, RequestError] = {}
        self._is_retry = False
        self._returns = 0
        self._has_content = False
        self._is_asked = False
        self._outcome: Outcome = ""
        self._conversation = _conversation(wish)
        now_s = time.monotonic()
        self._home_until_s = (
            now_s + dispatch.queue.conversation_wait_s if self._conversation else 0.0
        )
        self._wait_until_s = now_s + dispatch.queue.wait_s
        self._person_until_s = now_s + dispatch.queue.wait_for_person_s
        self._end_s = float("inf")
        self._silent_s = 0.0
        self._heartbeat_s = now_s + self._limits.keepalive_s

    async def events(self) -> Answer:
        """The whole way."""
        has_asked = False
        while True:
            ticket = self._ticket(returns=has_asked)
            self._account.waits()
            waiting = self._seats.join(ticket)
            self._is_asked, self._outcome = False, ""
            try:
                async with aclosing(self._wait(ticket, waiting)) as signs:
                    async for sign in signs:
                        yield sign
                seat = self._seated(waiting)
                has_asked = True
                self._account.asks(seat.name)
                async with aclosing(self._ask(seat)) as events:
                    async for event in events:
                        self._look_for_content(seat, event)
                        yield event
            except _Failed as failed:
                self._forgive(ticket, failed.seat, failed.error)
            else:
                return
            finally:
                self._seats.leave(ticket, is_asked=self._is_asked, outcome=self._outcome)

    def _ticket(self, *, returns: bool) -> Ticket:
        return Ticket(
            self._number,
            self._wish.model,
            tuple(self._tried),
            returns=returns,
            conversation=self._conversation,
            home_until_s=self._home_until_s,
            person_until_s=self._person_until_s,
            owner=self._account.owner,
            priority=self._wish.priority,
        )

    def _look_for_content(self, seat: Seat, event: Event) -> None:
        """From the first content on, no other instance is asked, and this one is known to answer.

        So a client that has heard enough speaks for it, too; what fails afterwards does not.
        """
        if not self._has_content and isinstance(event, CONTENT):
            self._has_content, self._outcome = True, "answered"
            self._seats.began(seat, self._number)
            log.debug("request %s: the answer of %s begins", self._id, seat.name)

    def _due(self) -> bool:
        """Whether it is time for a sign of life; the next one is then due a while later."""
        now_s = time.monotonic()
        if now_s < self._heartbeat_s:
            return False
        self._heartbeat_s = now_s + self._limits.keepalive_s
        return True

    # -- waiting ----------------------------------------------------------------------------------

    async def _wait(self, ticket: Ticket, waiting: Future[Seat]) -> AsyncGenerator[Heartbeat]:
        """Signs of life until `waiting` is done. Raises what is told after too long a wait.

        A wait for a person has a limit of its own; the other one begins when that one ends.
        """
        while not waiting.done():
            now_s = time.monotonic()
            until_s = self._wait_until_s
            if self._seats.needs_person(ticket):
                self._wait_until_s = now_s + self._dispatch.queue.wait_s
                until_s = self._person_until_s
            until_s = min(until_s, self._end_s)
            if now_s >= until_s:
                raise self._last_error() or self._seats.too_late(ticket)
            await wait({waiting}, timeout=min(until_s, self._heartbeat_s) - now_s)
            if not waiting.done() and self._due():
                yield Heartbeat(self._seats.ahead(ticket))

    def _seated(self, waiting: Future[Seat]) -> Seat:
        try:
            return waiting.result()
        except RequestError:
            if (error := self._last_error()) is not None:
                raise error from None
            raise

    def _last_error(self) -> RequestError | None:
        return next(reversed(self._tried.values()), None)

    def _forgive(self, ticket: Ticket, seat: Seat, error: RequestError) -> None:
        """Go on after a failure; raises it again when no other instance may be asked.

        One that is full has failed nobody, but the wait for a seat goes on.
        """
        now_s = time.monotonic()
        if self._has_content or not error.elsewhere or now_s >= self._end_s:
            raise error
        if isinstance(error, Busy) and now_s >= self._wait_until_s:
            raise self._last_error() or self._seats.too_late(ticket)
        if isinstance(error, Busy) or self._waits_for_person(error, now_s):
            self._seats.refused(seat)
            return
        self._tried[key_of(seat)] = error
        if len(self._tried) >= self._limits.attempts:
            raise error
        self._is_retry = True
        self._wait_until_s = now_s + self._dispatch.queue.wait_s
        log.warning("request %s: %s failed it (%s)", self._id, seat.name, error)

    def _waits_for_person(self, error: RequestError, now_s: float) -> bool:
        """Whether the same instance is asked once more, when a person has cleared what it met."""
        if not waits_for_person(error) or now_s >= self._person_until_s:
            return False
        self._returns += 1
        self._wait_until_s = now_s + self._dispatch.queue.wait_s
        self._end_s = float("inf")  # nothing of the answer has come: its time begins anew
        return self._returns < self._limits.attempts

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, seat: Seat) -> Answer:
        """Ask one instance. Leaving early, for whatever reason, cancels the chat there."""
        stream = None
        try:
            self._silent_s = 0.0
            stream = self._sent(seat)
            self._is_asked = True
            async with aclosing(self._read(seat, stream)) as events:
                async for event in events:
                    yield event
            self._outcome = "answered"
        except LinkLost:
            error = WorkerLost(f"the instance {seat.name} died before the answer was whole")
            self._outcome = outcome_of(error)
            raise _Failed(seat, error) from None
        except (CancelledError, GeneratorExit):
            limit_s = SILENCE * self._limits.first_event_timeout_s
            if not self._has_content and self._silent_s >= limit_s:
                self._outcome = "failed"
            raise
        except RequestError as error:
            if self._is_asked and not self._is_only_long(error):
                self._is_asked = not isinstance(error, Busy)
                self._outcome = outcome_of(error)
            raise _Failed(seat, error) from None
        finally:
            if stream is not None:
                stream.cancel()

    def _is_only_long(self, error: RequestError) -> bool:
        """Whether nothing is wrong with the instance: it was answering when the time was over.

        The answer may have no end, or its reader be slow; silence has a deadline of its own.
        """
        is_over = time.monotonic() >= self._end_s - GRACE_S
        return isinstance(error, TimedOut) and self._has_content and is_over

    def _sent(self, seat: Seat) -> Stream:
        """The chat on its way there. What is refused here says nothing of the instance."""
        try:
            return self._pool.link_to(seat).stream(self._chat(seat))
        except Unsendable as error:
            raise TooLong(f"the request is too long for an instance: {error}; send less") from None

    def _chat(self, seat: Seat) -> Chat:
        is_home = bool(self._conversation) and self._pool.holds(seat, self._conversation)
        asked = asked_of(seat, self._wish.model) or Asked("direct", self._wish.model)
        default = self._dispatch.battle_targets.get(template_of(seat.name), "both")
        now_s = time.monotonic()
        self._end_s = min(self._end_s, now_s + self._limits.total_timeout_s + GRACE_S)
        self._dispatch.counts["retried"] += self._is_retry
        self._is_retry = False
        left_s = max(0.0, self._end_s - GRACE_S - now_s)
        return Chat(
            request_id=self._id,
            model=asked.model,
            turns=self._wish.turns,
            first_event_timeout_s=self._limits.first_event_timeout_s,
            idle_timeout_s=self._limits.idle_timeout_s,
            total_timeout_s=min(left_s, self._limits.total_timeout_s),
            conversation=self._conversation if is_home else "",
            strategy=self._wish.strategy,
            image_bytes=self._wish.image_bytes,
            mode=asked.mode,
            model_b=asked.model_b,
            battle_target=self._wish.battle_target
            or (default if asked.mode == "battle" else "both"),
        )

    async def _read(self, seat: Seat, stream: Stream) -> Answer:
        """Every event but the worker's own signs of life: ours go to the client by our clock."""
        limit_s = max(self._limits.first_event_timeout_s, self._limits.idle_timeout_s) + GRACE_S
        silent_s = time.monotonic() + limit_s
        while not stream.ended:
            body = await self._receive(stream, silent_s)
            now_s = time.monotonic()
            if body is None and now_s >= silent_s:
                raise TimedOut(f"the instance {seat.name} said nothing for {limit_s:g} s")
            if isinstance(body, Began) and not stream.ended:
                self._account.begins(body)
            elif body is not None and (stream.ended or not isinstance(body, Heartbeat)):
                self._account.hears()
                yield _checked(body, is_end=stream.ended)
                self._heartbeat_s = time.monotonic() + self._limits.keepalive_s
            elif self._due():
                yield Heartbeat()
            if body is not None:
                silent_s = time.monotonic() + limit_s
                self._silent_s = 0.0

    async def _receive(self, stream: Stream, silent_s: float) -> Body | None:
        """What the worker says next; None when somebody's patience ends before."""
        now_s = time.monotonic()
        if now_s >= self._end_s:
            limit_s = self._limits.total_timeout_s
            raise TimedOut(f"the whole answer took longer than {limit_s:g} s")
        until_s = min(silent_s, self._end_s, self._heartbeat_s)
        try:
            return await stream.receive(max(0.0, until_s - now_s))
        except TimeoutError:
            return None
        finally:
            self._silent_s += time.monotonic() - now_s


def _conversation(wish: Wish) -> str:
    """The key of the conversation that the last turn goes on with; empty if it begins one."""
    if wish.strategy == "fold" or not is_new_turn(wish.turns):
        return ""
    return conversation_of(wish.model, wish.turns[:-1])


class _Failed(Exception):
    """An instance failed the request; whether that is its end is decided elsewhere."""

    def __init__(self, seat: Seat, error: RequestError) -> None:
        super().__init__(error.message)
        self.seat = seat
        self.error = error


def _checked(body: Body, *, is_end: bool) -> Event:
    """The body, if it may come at this place."""
    match body:
        case TextDelta() | ReasoningDelta() | Image() | Citation() | SideFailed() if not is_end:
            return body
        case Finish(side=side) if is_end or side:
            return body
        case _:
            raise UpstreamFailed(f"the instance sent {type(body).__name__} out of place")
