"""balance: properties of the choice over all loads, and when waiting is in vain."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import ModelNotFound, NeedsHuman, NeedsLogin, Unavailable
from arenad.frontend.balance import Load, SeatKey, choose, key_of, offers, why_never
from arenad.schema.process import Model, Seat

NAMES = ["w1", "w2", "w3", "w4"]
MODELS = ["echo", "poet"]


def _seat(
    name: str = "w1",
    generation: int = 1,
    slots: int = 1,
    condition: str = "ready",
    models: tuple[str, ...] = ("echo",),
) -> Seat:
    return Seat(
        name=name,
        generation=generation,
        socket_path="",
        slots=slots,
        condition=condition,
        models=tuple(Model(id=model) for model in models),
    )


SEATS = st.builds(
    _seat,
    name=st.sampled_from(NAMES),
    generation=st.integers(1, 3),
    slots=st.integers(0, 3),
    condition=st.sampled_from(["ready", "opening", "resting", "needs_login", "needs_human"]),
    models=st.lists(st.sampled_from(MODELS), unique=True).map(tuple),
)
LOADS = st.lists(st.builds(Load, SEATS, st.integers(0, 3)), unique_by=lambda load: load.seat.name)
KEYS = st.frozensets(st.tuples(st.sampled_from(NAMES), st.integers(1, 3)))
DRAWS = st.floats(0, 1, exclude_max=True)


@given(LOADS, st.sampled_from(MODELS), KEYS, DRAWS)
def test_the_chosen_seat_suits(
    loads: list[Load], model: str, tried: frozenset[SeatKey], draw: float
) -> None:
    """It is ready, has room, offers the model, was not tried, and none such is less busy."""
    able = [
        load
        for load in loads
        if load.seat.condition == "ready"
        and load.busy < load.seat.slots
        and key_of(load.seat) not in tried
        and offers(load.seat, model)
    ]
    seat = choose(loads, model, tried, draw)
    if seat is None:
        assert not able
    else:
        (chosen,) = [load for load in able if load.seat == seat]
        assert all(chosen.busy / seat.slots <= load.busy / load.seat.slots for load in able)


@given(LOADS, st.sampled_from(MODELS), DRAWS)
def test_the_order_of_the_roster_does_not_matter(
    loads: list[Load], model: str, draw: float
) -> None:
    """Turned round, as many are equally good; the draw alone decides between them."""
    here, there = choose(loads, model, (), draw), choose(loads[::-1], model, (), draw)
    assert (here is None) == (there is None)


def test_the_draw_reaches_all_equals() -> None:
    """No instance is always first."""
    loads = [Load(_seat(name), 0) for name in NAMES]
    chosen = [choose(loads, "echo", (), draw) for draw in (0.0, 0.3, 0.6, 0.99)]
    assert [seat.name for seat in chosen if seat] == NAMES


@given(st.lists(SEATS, max_size=4), KEYS, st.sampled_from(MODELS), KEYS)
def test_waiting_is_not_in_vain_while_a_seat_may_suit(
    seats: list[Seat], linked: frozenset[SeatKey], model: str, tried: frozenset[SeatKey]
) -> None:
    """Whoever could be chosen now or after a chat ends is never sent away."""
    loads = [Load(seat, 0) for seat in seats if key_of(seat) in linked]
    if choose(loads, model, tried, 0.0) is not None:
        assert why_never(seats, linked, model, tried) is None


def test_why_waiting_is_in_vain() -> None:
    """No instance, no model, all asked, all waiting for a person: each has its own error."""
    seat, linked = _seat(), {("w1", 1)}
    human, login = _seat(condition="needs_human"), _seat(condition="needs_login")
    table = [
        ((), "echo", (), Unavailable),
        ((seat,), "poet", (), ModelNotFound),
        ((seat,), "echo", linked, Unavailable),
        ((human,), "echo", (), NeedsHuman),
        ((login,), "echo", (), NeedsLogin),
        ((seat,), "echo", (), type(None)),
        ((seat, human), "echo", (), type(None)),
        ((_seat(generation=2),), "echo", linked, type(None)),
        ((_seat(condition="resting"),), "echo", (), type(None)),
    ]
    for seats, model, tried, kind in table:
        assert type(why_never(seats, linked, model, tried)) is kind, (seats, model, tried)


def test_a_seat_without_link_is_a_hope() -> None:
    """A tried instance that died is about to be replaced; only the next roster tells."""
    assert why_never([_seat()], (), "echo", {("w1", 1)}) is None
