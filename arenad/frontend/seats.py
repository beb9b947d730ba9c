"""Who has a seat at which instance, and who waits for one.

A seat is chosen and counted in one step, with nothing awaited between, so that two requests can
never take the same slot. Who has joined has to leave: `leave` gives back whatever is held.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable

import msgspec

from arenad.errors import Overloaded, RequestError
from arenad.frontend.balance import (
    Load,
    Look,
    SeatKey,
    key_of,
    offers,
    waits_for_person,
    why_never,
)
from arenad.frontend.breaker import Breakers, Change, Outcome
from arenad.frontend.pool import Pool
from arenad.frontend.queue import Queue, Ticket
from arenad.frontend.speeds import Speeds
from arenad.frontend.turns import LOCKED_S, Turn, Turns
from arenad.schema.config import Balancing, BreakerConfig, QueueConfig
from arenad.schema.process import Roster, Seat, template_of

FULL_PAUSE_S = 0.2
"""A worker that had no slot after all is asked by nobody for so long; nothing tells when it has."""

log = logging.getLogger("arenad.seats")


class _Place(msgspec.Struct):
    """What is kept of one that has joined; `home_timer` while it waits for one instance alone."""

    seat: asyncio.Future[Seat]
    since_s: float
    home_timer: asyncio.TimerHandle | None = None
    seated_s: float | None = None
    turn: Turn | None = None


class Seats:
    """Seats those who wait, each at an instance that suits it."""

    def __init__(self, pool: Pool, queue: QueueConfig) -> None:
        """Nobody waits; from now on each change of the pool is looked at."""
        self.breakers = Breakers(BreakerConfig())
        self._pool = pool
        pool.on_change, pool.on_held = self._review, self._match
        self._wait_s = queue.wait_s
        self._strategy: Balancing = queue.strategy
        self._queue = Queue(queue.limit)
        self._places: dict[int, _Place] = {}
        self._busy: Counter[SeatKey] = Counter()
        self._full: dict[SeatKey, asyncio.TimerHandle] = {}
        self._asked: dict[SeatKey, int] = {}
        self._speeds = Speeds()
        self._turns = Turns()
        self._turn_timer: asyncio.TimerHandle | None = None

    def adjust(self, queue: QueueConfig, breaker: BreakerConfig) -> None:
        """Other limits from now on; who waits already goes on waiting, or has a seat by them."""
        self._wait_s = queue.wait_s
        self._strategy = queue.strategy
        self._queue.limit = queue.limit
        self.breakers.adjust(breaker)
        self._match()

    def on_roster(self, roster: Roster) -> None:
        """The master says who may be asked from now on."""
        listed = {key_of(seat) for seat in roster.seats}
        self._turns.paces = roster.paces
        self._speeds.keep(listed)
        self.breakers.keep(roster.seats, asyncio.get_running_loop().time())
        self._asked = {key: number for key, number in self._asked.items() if key in listed}
        self._pool.follow(roster)

    # -- who waits --------------------------------------------------------------------------------

    def join(self, ticket: Ticket) -> asyncio.Future[Seat]:
        """Ask for a seat; the future has it, or the `RequestError` why there will never be one.

        Raises `Overloaded` when too many wait; so may the future, to let an owner in that has fewer
        waiting. Whoever joined must `leave`.
        """
        loop = asyncio.get_running_loop()
        place = self._places[ticket.number] = _Place(loop.create_future(), loop.time())
        if (error := self._hopeless(ticket)) is not None:
            place.seat.set_exception(error)
            return place.seat
        try:
            self._seat_or_queue(ticket, place)
        except BaseException:  # whoever was not let in cannot leave
            self.leave(ticket, is_asked=False)
            raise
        return place.seat

    def _seat_or_queue(self, ticket: Ticket, place: _Place) -> None:
        """Those who wait already come first; only who then has to wait needs room in the queue."""
        if (left_s := ticket.home_until_s - time.monotonic()) > 0:
            loop = asyncio.get_running_loop()
            place.home_timer = loop.call_later(left_s, self._give_up_home, place)
        self._match(ticket)
        if not place.seat.done():
            self._check_turn(ticket)
            if (gone := self._queue.join(ticket)) is not None:
                self._places[gone.number].seat.set_exception(self._full_queue(gone))

    def leave(self, ticket: Ticket, *, is_asked: bool, outcome: Outcome = "") -> None:
        """Wait no more; give back the seat if there is one, and its turn if nothing was asked.

        `outcome` is what the request's end says of the instance that it was sent to.
        """
        self._queue.leave(ticket.number)
        place, now_s = self._places.pop(ticket.number), asyncio.get_running_loop().time()
        if place.home_timer is not None:
            place.home_timer.cancel()
        if place.seated_s is not None and is_asked:
            self._speeds.kept(now_s - place.seated_s)
        if place.turn is not None and not is_asked:
            self._turns.give_back(place.turn)
        if not place.seat.done():
            place.seat.cancel()
        elif place.seat.exception() is None:
            seat = place.seat.result()
            _log(self.breakers.ended(seat, ticket.number, outcome, now_s))
            self._give_back(key_of(seat))

    def too_late(self, ticket: Ticket) -> RequestError:
        """What is told to somebody who has waited for as long as is allowed."""
        return (
            self._why_never(ticket)
            or self._out_of_turn(ticket, 0.0)
            or Overloaded(
                f"no instance was free within {self._wait_s:g} s (queue.wait_s)",
                retry_after_s=self._turn_s(ticket),
            )
        )

    def _full_queue(self, ticket: Ticket) -> Overloaded:
        limit = self._queue.limit
        return Overloaded(
            f"{limit} requests wait already (queue.limit); ask again later",
            retry_after_s=self._turn_s(ticket),
        )

    def _turn_s(self, ticket: Ticket) -> float:
        """When it would have a slot if it waited, at the speed of the last answers."""
        return self._speeds.turn_s(self.ahead(ticket), self._busy.total())

    def ahead(self, ticket: Ticket) -> int:
        """How many are seated before it, if nobody else comes."""
        return self._queue.ahead(ticket)

    def _check_turn(self, ticket: Ticket) -> None:
        """Raises `Overloaded` for a newcomer whose turn cannot come in time: it need not wait."""
        if not ticket.returns and (error := self._out_of_turn(ticket, self._wait_s)):
            raise error

    def _out_of_turn(self, ticket: Ticket, wait_s: float) -> Overloaded | None:
        """What to tell when the pace of every site that has the model takes longer than this."""
        if not self._turns.paces:
            return None
        ahead = Counter(t.model for t in self._queue.tickets()[: self.ahead(ticket)])
        turns_s = [
            self._turns.wait_s(site, sum(ahead[model] for model in ahead if _offer(seats, model)))
            for site, seats in self._pool.sites().items()
            if _offer(seats, ticket.model)
        ]
        if not turns_s or min(turns_s) <= wait_s:
            return None
        return Overloaded(
            "the site is asked at a pace (site.pace, site.spacing_s), which gives no turn within "
            f"{self._wait_s:g} s (queue.wait_s)",
            retry_after_s=max(1.0, min(turns_s)),
        )

    def _give_up_home(self, place: _Place) -> None:
        """It has waited for its conversation's instance for long enough: any will do."""
        place.home_timer = None
        self._match()

    def needs_person(self, ticket: Ticket) -> bool:
        """Whether only a person can bring a seat for it."""
        return not self._pool.roster.starting and waits_for_person(self._why_never(ticket))

    def began(self, seat: Seat, number: int) -> None:
        """The answer to a request that has its seat begins now."""
        if (seated_s := self._places[number].seated_s) is not None:
            now_s = asyncio.get_running_loop().time()
            self._speeds.began(key_of(seat), now_s - seated_s, now_s)

    def refused(self, seat: Seat) -> None:
        """The worker said that it is full: let a moment pass before anybody asks it again."""
        key = key_of(seat)
        if key not in self._full:
            loop = asyncio.get_running_loop()
            self._full[key] = loop.call_later(FULL_PAUSE_S, self._ask_again, key)

    def _ask_again(self, key: SeatKey) -> None:
        del self._full[key]
        self._match()

    def _review(self) -> None:
        """The instances changed: seat who can be seated, tell those who never will be."""
        self._match()
        if self._pool.roster.starting:
            return
        hopeful: set[tuple[str, tuple[SeatKey, ...]]] = set()
        for ticket in self._queue.tickets():
            wanted = ticket.model, ticket.tried
            if wanted in hopeful:
                continue
            if (error := self._why_never(ticket)) is None:
                hopeful.add(wanted)
            elif not _is_awaited(error, ticket):
                self._queue.leave(ticket.number)
                self._places[ticket.number].seat.set_exception(error)

    def _match(self, *newcomers: Ticket) -> None:
        """Seat everybody who can be seated now; the pool is looked at anew when a seat is taken."""
        if not newcomers and not len(self._queue):
            return
        look = self._look()
        if not look.has_room:
            return

        def seat_for(ticket: Ticket) -> Seat | None:
            return self._reserve(ticket, look)

        for ticket, seat in self._queue.match(seat_for, *newcomers):
            self._places[ticket.number].seat.set_result(seat)
            look = self._look()
            if not look.has_room:
                return

    def _reserve(self, ticket: Ticket, look: Look) -> Seat | None:
        seat = self._choose(ticket, look)
        if seat is None:
            return None
        site = template_of(seat.name)
        if (turn := self._turns.take(site)) is None:
            self._look_after(self._turns.wait_s(site))
            return None
        self._busy[key_of(seat)] += 1
        self._asked[key_of(seat)] = max(self._asked.values(), default=0) + 1
        place, now_s = self._places[ticket.number], asyncio.get_running_loop().time()
        place.turn, place.seated_s = turn, now_s
        _log(self.breakers.begins(seat, ticket.number, now_s))
        return seat

    def _look_after(self, delay_s: float) -> None:
        """Seat who waits once the next turn may be there, or an instance may be tried again.

        Not sooner than a lock is let go; uvloop's handle for a time that is here has no `when`.
        """
        delay_s = max(LOCKED_S, delay_s)
        loop, timer = asyncio.get_running_loop(), self._turn_timer
        if timer is not None and timer.when() <= loop.time() + delay_s:
            return
        if timer is not None:
            timer.cancel()
        self._turn_timer = loop.call_later(delay_s, self._on_turn)

    def _on_turn(self) -> None:
        self._turn_timer = None
        self._match()

    def _left_in_peace(self) -> set[str]:
        """The sites whose next turn is yet to come; then they are looked at again."""
        waits_s = {site: self._turns.wait_s(site) for site in self._pool.sites()}
        waiting = {site for site, wait_s in waits_s.items() if wait_s > 0}
        if waiting:
            self._look_after(min(waits_s[site] for site in waiting))
        return waiting

    def _choose(self, ticket: Ticket, look: Look) -> Seat | None:
        """Where its conversation is, while that is worth a wait; else anywhere."""
        draw = random.random()  # noqa: S311 - a tie, no secret
        if ticket.conversation and (
            found := look.homes(ticket.model, ticket.tried, ticket.conversation)
        ):
            if (home := next((each for each in found if each.has_room), None)) is not None:
                return home.seat
            if self._places[ticket.number].home_timer is not None:
                return None
        return look.choose(ticket.model, ticket.tried, draw, self._strategy)

    def _give_back(self, key: SeatKey) -> None:
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
        self._match()

    def _look(self) -> Look:
        """The seats that can be asked; one that said that it is full has no room for a moment."""
        closed = self._left_in_peace() if self._turns.paces else ()
        now_s = asyncio.get_running_loop().time()
        if (next_s := self.breakers.next_s(now_s)) is not None:
            self._look_after(next_s)
        return Look(
            Load(
                seat,
                seat.slots
                if key in self._full or template_of(seat.name) in closed
                else self._busy[key],
                *self._pool.held_by(key),
                asked=self._asked.get(key, 0),
                begins=self._speeds.begins(key, now_s),
                is_last=self.breakers.is_open(seat, now_s),
            )
            for key, seat in self._pool.linked.items()
        )

    def _hopeless(self, ticket: Ticket) -> RequestError | None:
        error = None if self._pool.roster.starting else self._why_never(ticket)
        return None if error is None or _is_awaited(error, ticket) else error

    def _why_never(self, ticket: Ticket) -> RequestError | None:
        pool = self._pool
        seats, age_s = pool.roster.seats, pool.roster_age_s
        return why_never(seats, pool.linked, ticket.model, ticket.tried, age_s)

    # -- for the master ---------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    def waiting(self) -> dict[str, int]:
        """How many wait of each key's owner."""
        return self._queue.owners()

    def longest_wait_s(self) -> float:
        """How long the one has waited who has waited the longest; 0 when nobody waits."""
        since_s = [self._places[ticket.number].since_s for ticket in self._queue.tickets()]
        return round(asyncio.get_running_loop().time() - min(since_s), 1) if since_s else 0.0

    def asked_last(self) -> dict[str, str]:
        """Why others are asked before these instances."""
        return self.breakers.told(self._pool.roster.seats, asyncio.get_running_loop().time())

    def busy(self) -> dict[str, int]:
        """How many requests each instance has from here."""
        busy: Counter[str] = Counter()
        for (name, _), count in self._busy.items():
            busy[name] += count
        return dict(busy)

    def close(self) -> None:
        """Look at nothing any more."""
        home = (place.home_timer for place in self._places.values())
        for timer in filter(None, (*self._full.values(), *home, self._turn_timer)):
            timer.cancel()
        self._turns.close()


def _is_awaited(error: RequestError, ticket: Ticket) -> bool:
    """Whether a person may still clear it in time."""
    return waits_for_person(error) and time.monotonic() < ticket.person_until_s


def _offer(seats: Iterable[Seat], model: str) -> bool:
    """Whether one of them has it."""
    return any(offers(seat, model) for seat in seats)


def _log(changes: Iterable[Change]) -> None:
    for change in changes:
        log.log(logging.WARNING if change.is_warning else logging.INFO, "%s", change.text)
