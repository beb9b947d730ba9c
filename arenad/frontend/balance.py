"""Which instance is asked: a brain. All seats and their load in, one name out."""

from collections.abc import Collection, Iterable

import msgspec

from arenad.schema.process import Seat

SeatKey = tuple[str, int]
"""An instance's name and generation: one incarnation of it."""


class Load(msgspec.Struct, frozen=True):
    """One seat and how many requests this frontend has there."""

    seat: Seat
    busy: int

    @property
    def key(self) -> SeatKey:
        """Which incarnation this is."""
        return (self.seat.name, self.seat.generation)


def offers(seat: Seat, model: str) -> bool:
    """Whether the instance has the model."""
    return any(each.id == model for each in seat.models)


def choose(
    loads: Iterable[Load], model: str, tried: Collection[SeatKey], draw: float
) -> Seat | None:
    """The least busy ready seat with room that offers the model and was not tried before.

    `draw`, from 0 up to 1, decides between equals, so that no instance is always first.
    """
    able = [
        load
        for load in loads
        if load.seat.condition == "ready"
        and load.busy < load.seat.slots
        and load.key not in tried
        and offers(load.seat, model)
    ]
    if not able:
        return None
    least = min(load.busy / load.seat.slots for load in able)
    equals = [load for load in able if load.busy / load.seat.slots == least]
    return equals[int(draw * len(equals))].seat
