"""speeds: means of what was measured, and what they promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.frontend.speeds import UNKNOWN_TURN_S, Speeds

TIMES = st.lists(st.floats(0.001, 1000), min_size=1, max_size=20)


def test_a_turn_comes_as_fast_as_slots_are_given_back() -> None:
    """Five slots, each kept for 10 s, are one every 2 s: the twentieth who waits has it in 40 s."""
    speeds = Speeds()
    assert speeds.turn_s(19, 5) == UNKNOWN_TURN_S
    speeds.kept(10.0)
    assert speeds.turn_s(19, 5) == pytest.approx(40.0)
    assert speeds.turn_s(0, 5) == pytest.approx(2.0)
    assert speeds.turn_s(0, 0) == pytest.approx(10.0)
    assert speeds.turn_s(0, 100) == 1.0


@given(TIMES)
def test_a_mean_stays_among_what_was_measured(times_s: list[float]) -> None:
    """And ends at what does not change any more."""
    speeds = Speeds()
    for number, each in enumerate(times_s):
        speeds.began(("w1", 1), each, number)
    known = speeds.begins(("w1", 1), len(times_s) + 4.0)
    assert known is not None
    assert min(times_s) * 0.999 <= known[0] <= max(times_s) * 1.001
    assert known[1] == 5.0
    for _ in range(100):
        speeds.began(("w1", 1), 3.0, 0.0)
    settled = speeds.begins(("w1", 1), 0.0)
    assert settled is not None
    assert settled[0] == pytest.approx(3.0, abs=1e-3)


def test_an_instance_that_is_gone_is_forgotten() -> None:
    """Its next process is another instance: nothing is known of it."""
    speeds = Speeds()
    speeds.began(("w1", 1), 1.0, 0.0)
    speeds.keep({("w1", 2)})
    assert speeds.begins(("w1", 1), 0.0) is None
    assert speeds.begins(("w1", 2), 0.0) is None
