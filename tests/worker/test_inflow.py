"""What may come, and how whoever brings more is held back and let in again."""

import pytest

from arenad.worker.inflow import (
    BURST_BYTES,
    FIRST_S,
    FREE_S,
    NEVER_S,
    PACE_BYTES_S,
    QUIET_S,
    Inflow,
)


def test_what_keeps_to_the_pace_is_let_through() -> None:
    """However long it goes on, and a burst after a pause."""
    inflow = Inflow()
    for number in range(1, 1000):
        inflow.came(PACE_BYTES_S // 100, number / 100)
    inflow.came(BURST_BYTES, 20.0)
    assert not inflow.is_held
    assert inflow.look_at_s == NEVER_S


def test_more_than_a_burst_is_held_back_until_it_has_come_and_gone() -> None:
    """All that was on its way is waited for, and for as long as it takes at the pace."""
    inflow = Inflow()
    inflow.came(PACE_BYTES_S, 50.0)
    assert inflow.is_held
    assert inflow.look_at_s == pytest.approx(51.0)
    inflow.came(PACE_BYTES_S, 51.0)
    inflow.look(51.0)
    assert inflow.is_held
    assert inflow.look_at_s == pytest.approx(52.0)
    inflow.came(10, 52.0 - QUIET_S / 2)
    inflow.look(52.0)
    assert inflow.is_held
    assert inflow.look_at_s == pytest.approx(52.0 + QUIET_S / 2)
    inflow.look(inflow.look_at_s)
    assert not inflow.is_held


def let_in(inflow: Inflow) -> float:
    """Look until it is let in; for how long that is."""
    while inflow.is_held:
        at_s = inflow.look_at_s
        inflow.look(at_s)
    return inflow.look_at_s - at_s


def test_it_is_let_in_for_moments_that_grow_while_little_comes() -> None:
    """In the end for good; much in one of them makes the next one short again."""
    inflow = Inflow()
    inflow.came(PACE_BYTES_S, 50.0)
    assert let_in(inflow) == pytest.approx(FIRST_S)
    inflow.look(inflow.look_at_s)
    assert inflow.is_held
    assert let_in(inflow) == pytest.approx(2 * FIRST_S)
    inflow.came(BURST_BYTES + PACE_BYTES_S, inflow.look_at_s)
    assert inflow.is_held, "before the moment is over"
    lengths_s = [let_in(inflow)]
    while inflow.look_at_s != NEVER_S:
        inflow.look(inflow.look_at_s)
        lengths_s.append(let_in(inflow))
    assert lengths_s[0] == pytest.approx(FIRST_S)
    assert lengths_s[-2] <= FREE_S
    assert lengths_s[-1] == NEVER_S
    inflow.came(BURST_BYTES, 1000.0)
    assert not inflow.is_held
