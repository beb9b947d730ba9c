"""Which instance is worn, why, and when it may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.master.recycle import Wear, choose, reason
from arenad.schema.config import RecycleConfig

MIB = 1024 * 1024
RULES = RecycleConfig(age_s=1000, requests=100, memory_bytes=500 * MIB, jitter_percent=20)


@pytest.mark.parametrize(
    ("wear", "words"),
    [
        (Wear("w1", 799, 79, 900 * MIB, over=1, draw=1.0), ""),
        (Wear("w1", 999, 99, 10 * MIB, over=0, draw=0.0), ""),
        (Wear("w1", 1000, 0), "it has been up for 1000 s (recycle.age_s 1000)"),
        (Wear("w1", 800, 0, draw=1.0), "it has been up for 800 s (recycle.age_s 1000)"),
        (Wear("w1", 0, 100), "it has had 100 requests (recycle.requests 100)"),
        (Wear("w1", 0, 80, draw=1.0), "it has had 80 requests (recycle.requests 100)"),
        (
            Wear("w1", 0, 0, 600 * MIB, over=2),
            "it takes 600 MiB (500 MiB, recycle.memory_bytes)",
        ),
    ],
)
def test_a_reason_has_its_figures(wear, words):
    """Age, requests, or memory twice in a row; sooner by the jitter of its draw."""
    assert reason(wear, RULES) == words


def test_zero_is_never():
    """By default nothing is ever recycled."""
    assert reason(Wear("w1", 1e9, 10**6, 2**50, over=99), RecycleConfig()) == ""


def test_the_largest_goes_before_the_oldest():
    """A leak is more urgent than an age."""
    crew = [Wear("w1", 5000, 0), Wear("w2", 10, 0, 600 * MIB, over=3), Wear("w3", 9000, 0)]
    assert (choose(crew, 3, RULES) or ("",))[0] == "w2"
    assert (choose([crew[0], crew[2]], 2, RULES) or ("",))[0] == "w3"


wears = st.builds(
    Wear,
    name=st.text("w123", min_size=2),
    age_s=st.floats(0, 2000),
    requests=st.integers(0, 200),
    over=st.integers(0, 3),
    draw=st.floats(0, 1),
)


@given(st.lists(wears, max_size=6), st.integers(0, 6))
def test_only_the_worn_go_and_only_from_a_whole_crew(crew, wanted):
    """Nobody goes while one that is wanted is missing; whoever goes has a reason."""
    chosen = choose(crew, wanted, RULES)
    if chosen is not None:
        assert len(crew) >= max(1, wanted)
        assert any((wear.name, reason(wear, RULES)) == chosen for wear in crew)
        assert chosen[1]
    elif len(crew) >= max(1, wanted):
        assert not any(reason(wear, RULES) for wear in crew)
