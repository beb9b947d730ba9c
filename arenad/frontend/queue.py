"""Who waits for a slot, in which order, and how many may: a brain.

Owners take turns, as in start-time fair queueing (Goyal, Vin, Cheng, 1996): each has a line of its
own, every seat moves a line's mark on by one, and the line with the lowest mark is next. Who comes
back from a pause begins at the mark that is served now, so nobody saves turns up.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from arenad.frontend.balance import SeatKey
from arenad.frontend.vocabulary import Priority
from arenad.schema.process import Seat

SPARE_MARKS = 64
"""Marks of owners who do not wait are kept while there are no more; to forget one is to forgive it
a single turn, for it is never more than that beyond what is served."""


class Ticket(msgspec.Struct, frozen=True):
    """One waiting request. `number` grows, so it is also the order of arrival.

    `owner` is the name of its key, empty for none. `returns` is set when it had a seat already and
    waits for another. `conversation` is the key of the one that it goes on with, if any; for its
    instance it waits until `home_until_s`. Until `person_until_s` it also waits for what only a
    person can clear.
    """

    number: int
    model: str
    tried: tuple[SeatKey, ...] = ()
    returns: bool = False
    conversation: str = ""
    home_until_s: float = 0.0
    person_until_s: float = 0.0
    owner: str = ""
    priority: Priority = "normal"


class _Line(NamedTuple):
    """A line, and when it has its turn: who returns first of all, low priority after all others."""

    rank: int
    owner: str


_RETURNING = _Line(0, "")
_LOW_RANK = 2


class Queue:
    """Fair among owners, in order of arrival within each, among those whom a free seat suits."""

    def __init__(self, limit: int) -> None:
        """At most `limit` newcomers wait."""
        self.limit = limit
        self._waiting: dict[int, Ticket] = {}
        self._sizes: dict[_Line, int] = {}
        self._marks: dict[_Line, float] = {}
        self._served: dict[int, float] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def join(self, ticket: Ticket) -> Ticket | None:
        """Begin to wait. When the queue is full, gives who has to go for it: perhaps itself.

        Whoever returns always gets in, before all others: there are never more of them than seats.
        """
        gone = None
        if not ticket.returns and len(self._waiting) >= self.limit:
            gone = self._dispensable(ticket)
            self.leave(gone.number)
        if gone is not ticket:
            line = _line_of(ticket)
            self._marks[line] = self._mark(line)
            self._sizes[line] = self._sizes.get(line, 0) + 1
            self._waiting[ticket.number] = ticket
        return gone

    def _dispensable(self, newcomer: Ticket) -> Ticket:
        """The last of the longest line, if that is longer than the newcomer's would become.

        So no owner can fill the queue for the others. Low priority makes room for any other.
        """
        own = _line_of(newcomer)
        lines = [line for line in self._sizes if line.rank >= own.rank and line != _RETURNING]
        longest = max(lines, key=lambda line: (line.rank, self._sizes[line]), default=own)
        is_lower = longest.rank > own.rank
        if is_lower or self._sizes.get(longest, 0) > self._sizes.get(own, 0) + 1:
            return max(self._of(longest), key=_place)
        return newcomer

    def _of(self, line: _Line) -> list[Ticket]:
        return [each for each in self._waiting.values() if _line_of(each) == line]

    def leave(self, number: int) -> None:
        """Wait no more."""
        if (ticket := self._waiting.pop(number, None)) is not None:
            line = _line_of(ticket)
            self._sizes[line] -= 1
            if not self._sizes[line]:
                del self._sizes[line]

    def tickets(self) -> list[Ticket]:
        """All who wait, in the order in which they would be seated if any seat suited everybody."""
        return self._in_order(self._waiting.values())

    def _in_order(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        turns = _Turns(tickets, self._mark)
        return [turns.charged(ticket) for ticket in turns]

    def ahead(self, ticket: Ticket) -> int:
        """How many are seated before this one, if nobody else comes."""
        all_ = {**self._waiting, ticket.number: ticket}
        return self._in_order(all_.values()).index(ticket)

    def owners(self) -> dict[str, int]:
        """How many wait of each owner; the empty name is of those who came without a key."""
        counts: dict[str, int] = {}
        for ticket in self._waiting.values():
            counts[ticket.owner] = counts.get(ticket.owner, 0) + 1
        return counts

    def match(
        self, seat_for: Callable[[Ticket], Seat | None], *newcomers: Ticket
    ) -> Iterator[tuple[Ticket, Seat]]:
        """Everybody who can be seated now, in order; each is out of the queue when it is given.

        Those who have just come have their turn as if they waited, whether or not there is room for
        them to wait. `seat_for` is not asked again for a model for which it had no seat at all.
        """
        taken: set[str] = set()
        turns = _Turns((*self._waiting.values(), *newcomers), self._mark)
        for ticket in turns:
            if ticket.model in taken:
                continue
            if (seat := seat_for(ticket)) is not None:
                self._charge(turns.charged(ticket))
                self.leave(ticket.number)
                yield ticket, seat
            elif not ticket.tried and not ticket.conversation:
                taken.add(ticket.model)

    def _mark(self, line: _Line) -> float:
        """Where a line stands; one in which nobody waits is not behind what is served now."""
        mark = self._marks.get(line, 0.0)
        return mark if line in self._sizes else max(mark, self._served.get(line.rank, 0.0))

    def _charge(self, ticket: Ticket) -> None:
        line = _line_of(ticket)
        if line == _RETURNING:
            return
        mark = self._mark(line)
        self._served[line.rank] = max(mark, self._served.get(line.rank, 0.0))
        self._marks[line] = mark + 1
        if len(self._marks) > 2 * len(self._sizes) + SPARE_MARKS:
            self._marks = {each: self._marks[each] for each in self._sizes}


class _Turns:
    """Gives tickets in turn: who is `charged` moves a line on, who was passed over does not."""

    def __init__(self, tickets: Iterable[Ticket], mark: Callable[[_Line], float]) -> None:
        self._lines: dict[_Line, list[Ticket]] = {}
        for ticket in tickets:
            self._lines.setdefault(_line_of(ticket), []).append(ticket)
        for line in self._lines.values():
            line.sort(key=_place, reverse=True)
        self._marks = {line: 0.0 if line == _RETURNING else mark(line) for line in self._lines}

    def __iter__(self) -> Iterator[Ticket]:
        turns = [self._turn(line) for line in self._lines]
        heapq.heapify(turns)
        while turns:
            *_, line = heapq.heappop(turns)
            yield self._lines[line].pop()
            if self._lines[line]:
                heapq.heappush(turns, self._turn(line))

    def _turn(self, line: _Line) -> tuple[int, float, int, _Line]:
        return line.rank, self._marks[line], self._lines[line][-1].number, line

    def charged(self, ticket: Ticket) -> Ticket:
        self._marks[_line_of(ticket)] += 1
        return ticket


def _line_of(ticket: Ticket) -> _Line:
    if ticket.returns:
        return _RETURNING
    return _Line(_LOW_RANK if ticket.priority == "low" else 1, ticket.owner)


def _place(ticket: Ticket) -> tuple[bool, int]:
    """Its place in its line: high priority goes before the owner's own other requests."""
    return ticket.priority != "high", ticket.number
