"""The scaling brain, alone and in a simulated pool under recorded loads."""

import itertools
import math
import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_pool import BURST, NIGHT, RAMP, ROOM, SHAPES, STEP, Moment, simulate, steady

from arenad.master.scale import Aim, Decision, Room, Sample, decide
from arenad.schema.config import AutoscaleConfig

ROOT = Path(__file__).parents[2]
RULES = AutoscaleConfig(max=16)
GIB = 1024**3


def changes(moments: list[Moment]) -> list[int]:
    """Every change of the wish: by how many."""
    wishes = [moment.wanted for moment in moments]
    return [after - before for before, after in itertools.pairwise(wishes) if after != before]


def turns(moments: list[Moment]) -> int:
    """How often the direction changed."""
    return sum((a > 0) != (b > 0) for a, b in itertools.pairwise(changes(moments)))


# -- recorded loads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "most_turns", "most_changes", "longest_wait_s"),
    [
        ("step", 0, 4, 4),
        ("ramp", 0, 15, 0),
        ("burst", 1, 6, 25),
        ("flapping", 1, 2, 8),
        ("night", 2, 13, 8),
    ],
)
def test_a_recorded_load(shape, most_turns, most_changes, longest_wait_s):
    """Within bounds, everybody served, and the wish turns no more often than the load does."""
    moments, pool = simulate(SHAPES[shape], RULES)
    assert all(RULES.min <= moment.wanted <= RULES.max for moment in moments)
    assert len(pool.waits) == sum(SHAPES[shape]), "somebody was never served"
    assert turns(moments) <= most_turns
    assert len(changes(moments)) <= most_changes
    assert max(pool.waits) <= longest_wait_s


def test_a_step_converges():
    """In the last five minutes nothing changes, nobody waits, and the target is kept."""
    moments, _ = simulate(STEP, RULES)
    end = moments[-300:]
    assert len({moment.wanted for moment in end}) == 1
    assert not any(moment.queued for moment in end)
    used = sum(moment.busy for moment in end) / sum(moment.wanted for moment in end)
    assert 0.5 <= used <= RULES.utilisation_percent / 100


def test_a_ramp_is_followed_before_anybody_waits():
    """A load that grows slowly is met by utilisation alone."""
    moments, pool = simulate(RAMP, RULES)
    assert max(pool.waits) == 0
    assert min(changes(moments)) > 0


def test_a_burst_is_met_within_seconds():
    """The queue's second signal takes the pool to its most long before the window is full."""
    moments, _ = simulate(BURST, RULES)
    first = next(moment.at_s for moment in moments if moment.arrivals > 1)
    at_most = next(moment.at_s for moment in moments if moment.wanted == RULES.max)
    assert at_most - first <= RULES.up_cooldown_s + RULES.queue_wait_s + 1
    assert moments[-1].wanted <= 2


def test_at_night_the_fewest_are_enough():
    """An hour without a request at `min`, and back by the morning."""
    moments, _ = simulate(NIGHT, RULES)
    assert sum(moment.wanted == RULES.min for moment in moments) >= 3400
    assert moments[-1].wanted >= 10


def test_busy_processors_veto_more_and_never_fewer():
    """While the machine is at its end none is added; afterwards they come."""
    loads = steady(2.0, 300)
    moments, _ = simulate(loads, RULES, cpu_percent=[99.0] * 150 + [20.0] * 150)
    assert {moment.wanted for moment in moments[:150]} == {1}
    assert moments[-1].wanted >= 10


def test_short_memory_vetoes_what_does_not_fit():
    """Only as many come as leave the machine its reserve."""
    room_bytes = RULES.memory_veto_bytes + 2 * ROOM.instance_bytes
    now = Sample(100.0, 1, 0, 1, 9, memory_available_bytes=room_bytes, queue_wait_s=9.0)
    assert decide([now], Aim(1), RULES, ROOM).instances == 3
    moments, _ = simulate(STEP, RULES, memory_bytes=RULES.memory_veto_bytes)
    assert {moment.wanted for moment in moments} == {1}


def test_a_budget_is_kept():
    """What the memory budget does not afford is not wished for."""
    moments, _ = simulate(STEP, RULES, Room(32, 5, ROOM.instance_bytes))
    assert max(moment.wanted for moment in moments) == 5


# -- single decisions -------------------------------------------------------------------------------


def seen(demand: int, seconds: int = 40, **last) -> list[Sample]:
    """The same demand for a while."""
    samples = [Sample(float(at), 4, 0, demand, 0) for at in range(seconds)]
    return [*samples, Sample(float(seconds), 4, 0, demand, 0, **last)]


@pytest.mark.parametrize(
    ("samples", "aim", "room", "expected"),
    [
        (seen(7), Aim(4), ROOM, (10, "", "from 4 to 10: utilisation 175 % over 30 s")),
        (seen(7), Aim(4, 35.0), ROOM, (4, "cooldown", "but the last change is 5 s ago")),
        (seen(7), Aim(4, 0, 90.0), ROOM, (4, "hold", "an operator's wish stands for another 50 s")),
        (seen(7), Aim(4), Room(4, 99, 1), (4, "max", "but 4 are the most allowed")),
        (seen(7), Aim(4), Room(32, 4, 1), (4, "budget", "4 are all that fleet.memory_budget_bytes")),
        (seen(0, memory_available_bytes=0), Aim(4), ROOM, (2, "", "from 4 to 2: utilisation 0 %")),
        (seen(0), Aim(4, 30.0), ROOM, (4, "cooldown", "it is too early for fewer")),
        (seen(0, 20), Aim(4), ROOM, (4, "cooldown", "it is too early for fewer")),
        (seen(2), Aim(4), ROOM, (4, "", "utilisation 50 %")),
        (seen(0), Aim(0), ROOM, (1, "", "from 0 to 1: the bounds are 1 and 16")),
        (seen(9), Aim(0), Room(32, 0, 1), (0, "budget", "0 are all that fleet.memory_budget_bytes")),
        (seen(2), Aim(20), ROOM, (16, "", "from 20 to 16: the bounds are 1 and 16")),
        (seen(7, memory_available_bytes=GIB // 2), Aim(4), ROOM, (4, "memory", "512 MiB of memory")),
    ],
)  # fmt: skip
def test_a_decision_says_why(samples, aim, room, expected):
    """The number, what stands in the way of more, and a sentence with the figures."""
    instances, obstacle, words = expected
    decision = decide(samples, aim, RULES, room)
    assert (decision.instances, decision.obstacle) == (instances, obstacle)
    assert words in decision.why


# -- whatever comes ---------------------------------------------------------------------------------

rules_ = st.builds(
    AutoscaleConfig,
    enabled=st.just(value=True),
    min=st.integers(1, 4),
    max=st.integers(4, 12),
    utilisation_percent=st.floats(50, 100),
    hysteresis_percent=st.floats(0, 40),
    window_s=st.floats(2, 40),
    queue_wait_s=st.floats(0.5, 10),
    up_cooldown_s=st.floats(1, 30),
    down_cooldown_s=st.floats(1, 60),
)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=200), rules_)
def test_any_load_is_kept_within_bounds_and_cooldowns(arrivals, rules):
    """Whatever arrives: between min and max, never more often than the cooldowns allow."""
    moments, _ = simulate(arrivals, rules)
    assert all(rules.min <= moment.wanted <= rules.max for moment in moments)
    at_s = [
        (b.at_s, b.wanted > a.wanted)
        for a, b in itertools.pairwise(moments)
        if a.wanted != b.wanted
    ]
    for (before_s, _), (after_s, is_up) in itertools.pairwise(at_s):
        assert after_s - before_s >= (rules.up_cooldown_s if is_up else rules.down_cooldown_s)


@given(st.integers(0, 12), st.integers(1, 12), rules_)
def test_a_constant_load_is_never_turned_about(demand, begin, rules):
    """From any start the wish goes one way, and stops where both rules are content."""
    aim = Aim(max(rules.min, min(rules.max, begin)))
    wishes = [aim.instances]
    samples: list[Sample] = []
    for at_s in range(1000):
        samples = [*samples[-50:], Sample(float(at_s), aim.instances, 0, demand, 0)]
        wish = decide(samples, aim, rules, ROOM)
        if wish.instances != aim.instances:
            aim = Aim(wish.instances, float(at_s))
            wishes.append(wish.instances)
    assert wishes in (sorted(wishes), sorted(wishes, reverse=True))
    needed = math.ceil(100 * demand / rules.utilisation_percent - 1e-9)
    assert aim.instances >= min(rules.max, max(rules.min, needed))


@given(st.integers(0, 40), st.integers(1, 16), st.floats(90.1, 100))
def test_a_veto_only_ever_keeps(demand, instances, cpu_percent):
    """Under a veto the wish may fall, and never grows."""
    samples = [Sample(float(at), 1, 0, demand, 0, 1, 5.0, cpu_percent) for at in range(200)]
    decision = decide(samples, Aim(instances), RULES, ROOM)
    assert isinstance(decision, Decision)
    assert decision.instances <= instances


def test_the_plot_is_up_to_date():
    """docs/autoscale.svg is what `scripts/plot-scale` writes; run it after any change here."""
    script = runpy.run_path(str(ROOT / "scripts/plot-scale"))
    assert (ROOT / "docs/autoscale.svg").read_text() == script["drawn"]()
