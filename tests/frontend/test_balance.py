"""balance: properties of the choice over all loads, and when waiting is in vain."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from arenad.errors import (
    Expired,
    ModelNotFound,
    NeedsHuman,
    NeedsLogin,
    ProfileOutdated,
    Resting,
    Unavailable,
)
from arenad.frontend.balance import (
    HALF_LIFE_S,
    Asked,
    Load,
    Look,
    SeatKey,
    asked_of,
    key_of,
    offers,
    why_never,
)
from arenad.schema.chat import Mode
from arenad.schema.config import Balancing
from arenad.schema.process import Model, Seat

NAMES = ["w1", "w2", "w3", "w4"]
MODELS = ["echo", "poet"]


def choose(loads: list[Load], *wanted: Any) -> Seat | None:
    """What one request is given."""
    return Look(loads).choose(*wanted)


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


@pytest.mark.parametrize("strategy", ["least_busy", "round_robin", "response_time"])
@given(LOADS, st.sampled_from(MODELS), KEYS, DRAWS)
def test_every_strategy_chooses_among_the_same(
    strategy: Balancing, loads: list[Load], model: str, tried: frozenset[SeatKey], draw: float
) -> None:
    """They differ in which seat is taken, never in whether one can be."""
    seat = choose(loads, model, tried, draw, strategy)
    assert (seat is None) == (choose(loads, model, tried, draw) is None)
    if seat is not None:
        (load,) = [load for load in loads if load.seat == seat]
        assert choose([load], model, tried, draw) == seat


def test_round_robin_asks_whom_nobody_asked_for_longest() -> None:
    """However busy; one that is new comes first."""
    asked = {"w1": 3, "w2": 1, "w3": 2}
    loads = [Load(_seat(name, slots=9), 4 - at, asked=at) for name, at in asked.items()]
    assert choose(loads, "echo", (), 0.9, "round_robin") == loads[1].seat
    fresh = Load(_seat("w4", slots=9), 8)
    assert choose([*loads, fresh], "echo", (), 0.9, "round_robin") == fresh.seat


def test_response_time_weighs_what_is_pending() -> None:
    """The fast one until what it has to do makes it the slow one; old news count for less."""
    slow = Load(_seat("w1", slots=9), 0, begins=(4.0, 0.0))
    fast = [Load(_seat("w2", slots=9), busy, begins=(1.0, 0.0)) for busy in (0, 2, 4)]
    chosen = [choose([slow, each], "echo", (), 0.0, "response_time") for each in fast]
    assert [seat.name for seat in chosen if seat] == ["w2", "w2", "w1"]
    late = replace(slow, begins=(4.0, 20 * HALF_LIFE_S))
    assert choose([late, fast[1]], "echo", (), 0.0, "response_time") == slow.seat
    fresh = Load(_seat("w3", slots=9), 0)
    assert choose([slow, fast[1], fresh], "echo", (), 0.0, "response_time") == fresh.seat


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
    """No instance, no model, all asked, all out of service: each has its own error."""
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
        ((_seat(condition="resting"),), "echo", (), Resting),
        ((_seat(condition="outdated"), human), "echo", (), NeedsHuman),
        ((_seat(condition="outdated"),), "echo", (), ProfileOutdated),
        ((_seat(condition="expired"),), "echo", (), Expired),
        ((_seat(condition="opening"), human), "echo", (), type(None)),
    ]
    for seats, model, tried, kind in table:
        assert type(why_never(seats, linked, model, tried)) is kind, (seats, model, tried)


def test_a_rest_is_told_as_it_is_by_now() -> None:
    """The shortest one, less the time since the roster came; the reason is the site's own."""
    seats = [_resting("w1", 90.0), _resting("w2", 30.5), _seat("w3", condition="needs_human")]
    error = why_never(seats, (), "echo", (), age_s=10.0)
    assert isinstance(error, Resting)
    assert error.retry_after_s == 20.5
    assert error.message.endswith("w1 was asked by the site to rest: too many")
    late = why_never(seats, (), "echo", (), age_s=100.0)
    assert late is not None
    assert late.retry_after_s == 1.0


def test_models_that_are_not_known_yet_are_not_denied() -> None:
    """An instance before a login wall may offer anything."""
    wall = replace(_seat(condition="needs_login"), models=())
    assert isinstance(why_never([wall], (), "anything", ()), NeedsLogin)


def _resting(name: str, rest_s: float) -> Seat:
    return replace(_seat(name, condition="resting"), resting_s=rest_s, reason="too many")


def test_a_seat_without_link_is_a_hope() -> None:
    """A tried instance that died is about to be replaced; only the next roster tells."""
    assert why_never([_seat()], (), "echo", {("w1", 1)}) is None


def test_of_equals_the_one_that_rested_longest_is_chosen() -> None:
    """A new conversation may end those that an instance holds: nobody's, or the oldest ones."""
    held_s = {"w1": 3.0, "w2": 2.0, "w3": 0.0, "w4": 0.0}
    loads = [Load(_seat(name), 0, ("k",), at_s) for name, at_s in held_s.items()]
    assert {choose(loads, "echo", (), draw) for draw in (0.0, 0.9)} == {_seat("w3"), _seat("w4")}
    assert choose(loads[:2], "echo", (), 0.0) == _seat("w2")
    busy = Load(_seat("w2", slots=2), 1)
    assert choose([loads[0], busy], "echo", (), 0.9) == _seat("w1")


@given(LOADS, st.sampled_from(MODELS), KEYS)
def test_a_home_can_be_asked_once_it_has_room(
    loads: list[Load], model: str, tried: frozenset[SeatKey]
) -> None:
    """It holds the conversation, and nothing but a slot is missing."""
    held = [replace(load, held=("k",)) for load in loads[::2]]
    for load in Look([*held, *loads[1::2]]).homes(model, tried, "k"):
        assert load in held
        free = replace(load, busy=0, seat=replace(load.seat, slots=1))
        assert choose([free], model, tried, 0.0) == free.seat
    assert Look(loads).homes(model, tried, "k") == []


# -- what a name asks for ---------------------------------------------------------------------------


def _arena(*models: str, name: str = "w1", modes: tuple[Mode, ...] = ("direct",)) -> Seat:
    """An instance with these models, and with battles where one of them has that name."""
    listed = [Model(id=each, modes=("battle",) if each == "battle" else modes) for each in models]
    return replace(_seat(name), models=tuple(listed))


BOTH: tuple[Mode, ...] = ("direct", "side_by_side")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("echo", Asked("direct", "echo")),
        ("battle", Asked("battle", "battle")),
        ("echo,poet", Asked("side_by_side", "echo", "poet")),
        (" poet , echo ", Asked("side_by_side", "poet", "echo")),
        ("echo,echo", Asked("side_by_side", "echo", "echo")),
        ("a,b", Asked("direct", "a,b")),
        ("echo,battle", None),
        ("echo,", None),
        ("echo,poet,echo", None),
        ("echo,nobody", None),
        ("", None),
    ],
)
def test_what_a_name_asks_for(name: str, wanted: Asked | None) -> None:
    """One model, two with a comma between, or a battle; a model's own name comes before all."""
    seat = _arena("echo", "poet", "a,b", "battle", modes=BOTH)
    assert asked_of(seat, name) == wanted
    assert offers(seat, name) is (wanted is not None)


def test_a_site_without_modes_has_neither() -> None:
    """Its models are direct alone."""
    assert asked_of(_arena("echo", "poet"), "echo,poet") is None
    assert asked_of(_arena("echo", "poet"), "battle") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "model: there is no 'nobody'; GET /v1/models"),
        ("echo,nobody", "model: there is no 'nobody'; GET"),
        ("who,nobody", "model: there is no 'who' and no 'nobody'; GET"),
        ("echo,poet", "model: is 'echo,poet', and no instance has these two side by side"),
        ("echo,poet,x", "model: there is no 'echo,poet,x'; GET"),
        ("battle", "model: there is no 'battle'; GET"),
    ],
)
def test_an_unknown_member_is_named(name: str, said: str) -> None:
    """Also where two instances have one of them each."""
    seats = [_arena("echo", modes=BOTH), _arena("poet", name="w2", modes=BOTH)]
    error = why_never(seats, (), name, ())
    assert isinstance(error, ModelNotFound)
    assert error.message.startswith(said)
    assert error.param == "model"
