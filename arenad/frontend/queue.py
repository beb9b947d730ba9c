"""Who waits for a slot, in which order, and how many may: a brain."""

from collections.abc import Callable, Collection, Iterator

import msgspec

from arenad.errors import Overloaded
from arenad.frontend.balance import SeatKey
from arenad.schema.process import Seat


class Ticket(msgspec.Struct, frozen=True):
    """One waiting request. `number` grows, so it is also the order of arrival."""

    number: int
    model: str
    tried: Collection[SeatKey] = ()


class Queue:
    """First come, first served among those whom a free seat suits."""

    def __init__(self, limit: int) -> None:
        """At most `limit` requests wait."""
        self._limit = limit
        self._waiting: dict[int, Ticket] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def join(self, ticket: Ticket) -> None:
        """Begin to wait. Raises `Overloaded` when the queue is full."""
        if len(self._waiting) >= self._limit:
            raise Overloaded(
                f"{self._limit} requests wait already (queue.limit); ask again later",
                retry_after_s=5.0,
            )
        self._waiting[ticket.number] = ticket

    def leave(self, number: int) -> None:
        """Wait no more."""
        self._waiting.pop(number, None)

    def tickets(self) -> Iterator[Ticket]:
        """All who wait, in order."""
        return iter(list(self._waiting.values()))

    def match(self, seat_for: Callable[[Ticket], Seat | None]) -> Iterator[tuple[Ticket, Seat]]:
        """Everybody who can be seated now, in order; each is out of the queue when it is given."""
        for ticket in list(self._waiting.values()):
            if (seat := seat_for(ticket)) is not None:
                self.leave(ticket.number)
                yield ticket, seat
