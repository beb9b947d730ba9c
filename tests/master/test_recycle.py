"""Which instance is worn, why, and when it may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.master.recycle import IDLE_READINGS, Past, Wear, choose, reason, take
from arenad.schema.config import RecycleConfig
from arenad.schema.process import Beat

MIB = 1024 * 1024
RULES = RecycleConfig(
    age_s=1000,
    requests=100,
    memory_bytes=500 * MIB,
    descriptors=1000,
    idle_cpu_percent=50,
    jitter_percent=20,
)


def beat(readings=1, busy=0, answered=0, memory=0, descriptors=0, cpu=0.0):
    """A beat with what matters here; memory in MiB."""
    return Beat(busy, answered, 0, memory * MIB, 9, cpu, 0.0, descriptors, readings)


def worn(name="w1", age_s=0.0, past=Past(), draw=0.0, **told):  # noqa: B008 - a frozen value
    """An instance with this past and this last beat."""
    return Wear(name, age_s, beat(**told), past, draw)


def after(*beats, rules=RULES):
    """The past of a process that has sent these beats."""
    past = Past()
    for each in beats:
        past = take(past, each, rules)
    return past


@pytest.mark.parametrize(
    ("wear", "words"),
    [
        (worn(age_s=799, answered=79, memory=900, past=Past(over_memory=1), draw=1.0), ""),
        (worn(age_s=999, answered=99, memory=10), ""),
        (worn(age_s=1000), "it has been up for 1000 s (recycle.age_s 1000)"),
        (worn(age_s=800, draw=1.0), "it has been up for 800 s (recycle.age_s 1000)"),
        (worn(answered=100), "it has had 100 requests (recycle.requests 100)"),
        (worn(answered=80, draw=1.0), "it has had 80 requests (recycle.requests 100)"),
        (
            worn(memory=600, past=Past(over_memory=2)),
            "it takes 600 MiB (500 MiB, recycle.memory_bytes)",
        ),
        (
            worn(descriptors=2000, past=Past(over_descriptors=2)),
            "it has 2000 descriptors open (recycle.descriptors 1000)",
        ),
        (
            worn(past=Past(idle_cpu=(40.0,) * 3 + (80.0,) * 3)),
            "it has no chat and uses 60 % of a processor (recycle.idle_cpu_percent 50)",
        ),
        (worn(past=Past(idle_cpu=(99.0,) * (IDLE_READINGS - 1))), ""),
        (worn(past=Past(idle_cpu=(50.0,) * IDLE_READINGS)), ""),
    ],
)
def test_a_reason_has_its_figures(wear, words):
    """A leak by its measurements, or age and requests, sooner by the jitter of its draw."""
    assert reason(wear, RULES) == words


def test_zero_is_never():
    """By default nothing is ever recycled."""
    past = Past(9, 9, over_memory=9, over_descriptors=9, idle_cpu=(100.0,) * IDLE_READINGS)
    wear = worn(age_s=1e9, answered=10**6, memory=2**30, descriptors=10**6, past=past)
    assert reason(wear, RecycleConfig()) == ""
    assert after(beat(1, memory=900), beat(2, memory=900), rules=RecycleConfig()).over_memory == 0


def test_a_size_is_two_measurements_in_a_row():
    """A peak between two small ones is none, and a beat that repeats a measurement counts once."""
    peak = after(beat(1, memory=900), beat(2, memory=1), beat(3, memory=900))
    assert peak.over_memory == 1
    repeated = after(beat(1, memory=900, descriptors=9999), *[beat(1, memory=900, busy=1)] * 3)
    assert (repeated.over_memory, repeated.over_descriptors) == (1, 1)
    grown = after(*(beat(number, memory=900, descriptors=9999) for number in (1, 2)))
    assert (grown.over_memory, grown.over_descriptors) == (2, 2)


def test_a_chat_between_two_measurements_is_no_idleness():
    """Whether it runs, ran, or was over before anybody looked."""
    idle = [beat(number, cpu=90.0) for number in range(1, 4)]
    assert after(*idle).idle_cpu == (90.0,) * 3
    assert after(*idle, beat(4, busy=1, cpu=90.0)).idle_cpu == ()
    assert after(*idle, beat(3, busy=1), beat(4, cpu=90.0)).idle_cpu == ()
    assert after(*idle, beat(4, answered=1, cpu=90.0)).idle_cpu == ()
    assert after(*idle, beat(4, busy=1), beat(5, cpu=9.0)).idle_cpu == ()
    assert after(*idle, beat(4, busy=1), beat(5), beat(6, cpu=9.0)).idle_cpu == (9.0,)


def test_idleness_is_remembered_for_so_long_and_no_longer():
    """The mean is that of the latest measurements."""
    past = after(*(beat(number, cpu=float(number)) for number in range(1, 20)))
    assert past.idle_cpu == tuple(float(number) for number in range(20 - IDLE_READINGS, 20))


def test_a_leak_goes_before_the_oldest():
    """What grows is more urgent than an age; among equals the oldest goes."""
    leak = worn("w2", 10, memory=600, past=Past(over_memory=3))
    crew = [worn("w1", 5000), leak, worn("w3", 9000)]
    assert (choose(crew, 3, RULES) or ("",))[0] == "w2"
    assert (choose([crew[0], crew[2]], 2, RULES) or ("",))[0] == "w3"


wears = st.builds(
    worn,
    name=st.text("w123", min_size=2),
    age_s=st.floats(0, 2000),
    answered=st.integers(0, 200),
    past=st.builds(Past, over_memory=st.integers(0, 3), over_descriptors=st.integers(0, 3)),
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
