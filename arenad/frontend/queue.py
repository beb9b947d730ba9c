"""Who waits for a slot, in which order, and how many may: a brain."""

from collections.abc import Callable, Collection, Iterator

import msgspec

from arenad.errors import Overloaded
from arenad.frontend.balance import SeatKey
from arenad.schema.process import Seat

RETRY_AFTER_S = 5.0


class Ticket(msgspec.Struct, frozen=True):
    """One waiting request. `number` grows, so it is also the order of arrival.

    `returns` is set when it had a seat already and waits for another. `conversation` is the key of
    the one that it goes on with, if any; for its instance it waits until `home_until_s`. Until
    `person_until_s` it also waits for what only a person can clear.
    """

    number: int
    model: str
    tried: Collection[SeatKey] = ()
    returns: bool = False
    conversation: str = ""
    home_until_s: float = 0.0
    person_until_s: float = 0.0


class Queue:
    """First come, first served among those whom a free seat suits."""

    def __init__(self, limit: int) -> None:
        """At most `limit` newcomers wait."""
        self.limit = limit
        self._waiting: dict[int, Ticket] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def join(self, ticket: Ticket) -> None:
        """Begin to wait. Raises `Overloaded` when the queue is full.

        Whoever returns gets the old place, and always gets in: there are never more of them than
        seats.
        """
        if not ticket.returns and len(self._waiting) >= self.limit:
            raise Overloaded(
                f"{self.limit} requests wait already (queue.limit); ask again later",
                retry_after_s=RETRY_AFTER_S,
            )
        self._waiting[ticket.number] = ticket
        if ticket.returns:
            self._waiting = dict(sorted(self._waiting.items()))

    def leave(self, number: int) -> None:
        """Wait no more."""
        self._waiting.pop(number, None)

    def tickets(self) -> list[Ticket]:
        """All who wait, in order."""
        return list(self._waiting.values())

    def match(self, seat_for: Callable[[Ticket], Seat | None]) -> Iterator[tuple[Ticket, Seat]]:
        """Everybody who can be seated now, in order; each is out of the queue when it is given.

        `seat_for` is not asked again for a model for which it had no seat at all.
        """
        taken: set[str] = set()
        for ticket in self.tickets():
            if ticket.model in taken:
                continue
            if (seat := seat_for(ticket)) is not None:
                self.leave(ticket.number)
                yield ticket, seat
            elif not ticket.tried and not ticket.conversation:
                taken.add(ticket.model)
