"""Which instance is asked: a brain. All seats and their load in, one of them out, or why none."""

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from arenad.errors import (
    Away,
    Expired,
    ModelNotFound,
    NeedsHuman,
    NeedsLogin,
    ProfileOutdated,
    RequestError,
    Resting,
    Unavailable,
)
from arenad.schema.chat import Mode
from arenad.schema.config import Balancing
from arenad.schema.process import Condition, Seat

SIDE_BY_SIDE: Mode = "side_by_side"

HALF_LIFE_S = 60.0
"""How long until a measured time is believed half as much."""

SeatKey = tuple[str, int]
"""An instance's name and generation: one incarnation of it."""

Tried = Collection[SeatKey]
"""Those that a request was sent to already: few."""

_OUT_OF_SERVICE: dict[Condition, tuple[type[RequestError], str]] = {
    "resting": (Resting, "was asked by the site to rest"),
    "expired": (Expired, "waits for a new session"),
    "needs_human": (NeedsHuman, "shows a human check"),
    "needs_login": (NeedsLogin, "shows a login wall"),
    "away": (Away, "cannot reach the site"),
    "outdated": (ProfileOutdated, "finds the page changed"),
}
"""Conditions that last; what comes first here is what a client is told of several."""


class Load(msgspec.Struct, frozen=True):
    """One seat and how many requests this frontend has there.

    `held` are the conversations that it can go on with, `held_s` when they last changed. `asked` is
    the number of the request that was last sent there, 0 for none; `begins` is after how long its
    answers begin and how old that measurement is, both in seconds. `is_last` is set while others
    are to be asked before it (`breaker`).
    """

    seat: Seat
    busy: int
    held: Collection[str] = ()
    held_s: float = 0.0
    asked: int = 0
    begins: tuple[float, float] | None = None
    is_last: bool = False

    @property
    def has_room(self) -> bool:
        """Whether one more request may be sent there."""
        return self.busy < self.seat.slots


def key_of(seat: Seat) -> SeatKey:
    """Which incarnation this is."""
    return (seat.name, seat.generation)


class Asked(msgspec.Struct, frozen=True):
    """What a model's name asks of an instance: one of its models, two side by side, or a battle."""

    mode: Mode
    model: str
    model_b: str = ""


def asked_of(seat: Seat, model: str) -> Asked | None:
    """What this name asks of this instance; None when it has nothing of the kind.

    A model of exactly this name comes before `A,B`, which is two models side by side.
    """
    if (found := seat.by_id.get(model)) is not None:
        return Asked(found.modes[0], model)
    pair = pair_in(model)
    members = [seat.by_id.get(each) for each in pair]
    if members and all(each is not None and SIDE_BY_SIDE in each.modes for each in members):
        return Asked(SIDE_BY_SIDE, *pair)
    return None


def pair_in(model: str) -> tuple[str, ...]:
    """The two names in `A,B`; nothing where these are not two names."""
    names = tuple(name.strip() for name in model.split(","))
    return names if len(names) == len("AB") and all(names) else ()


def offers(seat: Seat, model: str) -> bool:
    """Whether the instance has the model, or all that its name asks for."""
    return asked_of(seat, model) is not None


class Look:
    """The seats as they are at one moment.

    Who of them could take what is worked out once: hundreds may wait for the same.
    """

    def __init__(self, loads: Iterable[Load]) -> None:
        """Where none has room there is nothing to choose from, however many wait."""
        self._loads = list(loads)
        self.has_room = any(load.has_room for load in self._loads)
        self._able: dict[tuple[str, Tried], list[Load]] = {}

    def choose(
        self, model: str, tried: Tried, draw: float, strategy: Balancing = "least_busy"
    ) -> Seat | None:
        """The best ready seat with room that offers the model and was not tried before.

        None also while only who is asked last has room, and another will have some.

        Of equals the one whose conversations have rested the longest, since a new one may end them;
        then `draw`, from 0 up to 1, decides, so that no instance is always first.
        """
        able = [load for load in self.able(model, tried) if load.has_room]
        if not able:
            return None
        costs = zip(_COSTS[strategy](able), able, strict=True)
        ranked = [(cost, load.held_s) for cost, load in costs]
        least = min(ranked)
        equals = [load for load, rank in zip(able, ranked, strict=True) if rank == least]
        return equals[int(draw * len(equals))].seat

    def homes(self, model: str, tried: Tried, conversation: str) -> list[Load]:
        """The seats that hold this conversation, with room or without."""
        return [load for load in self.able(model, tried) if conversation in load.held]

    def able(self, model: str, tried: Tried) -> list[Load]:
        """Those that could take it, with room or without; nobody where none of them has room.

        Who is asked last is there only for want of others.
        """
        found = self._able.get((model, tried))
        if found is None:
            loads = self._loads if self.has_room else ()
            able = [load for load in loads if _suits(load.seat, model, tried)]
            able = [load for load in able if not load.is_last] or able
            found = able if any(load.has_room for load in able) else []
            self._able[model, tried] = found
        return found


def _suits(seat: Seat, model: str, tried: Tried) -> bool:
    return seat.condition == "ready" and key_of(seat) not in tried and offers(seat, model)


def _shares(loads: Sequence[Load]) -> list[float]:
    return [load.busy / load.seat.slots for load in loads]


def _last_asked(loads: Sequence[Load]) -> list[float]:
    return [load.asked for load in loads]


def _waits_s(loads: Sequence[Load]) -> list[float]:
    """How soon each would begin one more answer, if what runs there shares it.

    Who is not measured is taken to be as fast as the fastest, and what was measured is believed
    half as much after each `HALF_LIFE_S`: so a slow one is tried again.
    """
    best_s = min((load.begins[0] for load in loads if load.begins), default=1.0)
    return [
        (best_s + (begins_s - best_s) * 0.5 ** (age_s / HALF_LIFE_S)) * (1 + load.busy)
        for load in loads
        for begins_s, age_s in [load.begins or (best_s, 0.0)]
    ]


_COSTS: dict[Balancing, Callable[[Sequence[Load]], list[float]]] = {
    "least_busy": _shares,
    "round_robin": _last_asked,
    "response_time": _waits_s,
}


def waits_for_person(error: RequestError | None) -> bool:
    """Whether somebody may clear what no instance can go on without."""
    return isinstance(error, NeedsHuman | NeedsLogin)


def why_never(
    seats: Sequence[Seat],
    linked: Collection[SeatKey],
    model: str,
    tried: Tried,
    age_s: float = 0.0,
) -> RequestError | None:
    """Why none of these seats will take the request before long; None while one may.

    A seat to which no link stands is about to change: it opens, or it died and will be replaced.
    `age_s` is how old these news are, by which every rest in them has become shorter.
    """
    if not seats:
        return Unavailable("there is no instance; an operator has to start one (arenactl scale)")
    offering = [seat for seat in seats if offers(seat, model) or not seat.models]
    if not offering:
        return _not_found(seats, model)
    hopes = [seat for seat in offering if not (key_of(seat) in tried and key_of(seat) in linked)]
    if not hopes:
        return Unavailable("every instance was asked")
    if all(seat.condition in _OUT_OF_SERVICE for seat in hopes):
        return _out_of_service(hopes, age_s)
    return None


def _not_found(seats: Sequence[Seat], model: str) -> RequestError:
    known = {each.id for seat in seats for each in seat.models}
    missing = [name for name in pair_in(model) or (model,) if name not in known]
    if missing:
        told = f"there is no {' and no '.join(map(repr, missing))}"
        return ModelNotFound(f"model: {told}; GET /v1/models lists what there is", param="model")
    why = "no instance has these two side by side; ask for one of them"
    return ModelNotFound(f"model: is {model!r}, and {why}", param="model")


def _out_of_service(seats: Sequence[Seat], age_s: float) -> RequestError:
    order = list(_OUT_OF_SERVICE)
    told = min(seats, key=lambda seat: order.index(seat.condition))
    kind, how = _OUT_OF_SERVICE[told.condition]
    rests_s = [seat.resting_s for seat in seats if seat.resting_s is not None]
    after_s = max(1.0, min(rests_s) - age_s) if rests_s else None
    why = f": {told.reason}" if told.reason else ""
    return kind(f"no instance can be asked now; {told.name} {how}{why}", retry_after_s=after_s)
