"""What a memory budget affords, and how a refusal reads."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.master.budget import FIRST_GUESS_BYTES, NO_LIMIT, affordable, mean_bytes, refusal

MIB = 1024 * 1024
GIB = 1024 * MIB


def test_the_mean_is_of_what_was_measured():
    """Instances that have sent no measurement yet do not count; with none there is a guess."""
    assert mean_bytes([100, 0, 300]) == 200
    assert mean_bytes([0, 0]) == mean_bytes([]) == FIRST_GUESS_BYTES


def test_without_a_budget_everything_is_afforded():
    """0 is no limit."""
    assert affordable(0, 300 * MIB, 2) == NO_LIMIT
    assert refusal(1000, 3, 0, []) == ""


def test_a_refusal_names_the_numbers_and_the_remedy():
    """What it would take, how that is known, the limit, and what could be had."""
    assert refusal(6, 1, GIB, [200 * MIB, 200 * MIB, 0]) == (
        "instances: 6 and 1 spare would take about 1400 MiB (200 MiB each, measured), over "
        "fleet.memory_budget_bytes (1024 MiB); ask for at most 4, or raise the budget"
    )
    assert "5 would take about 1500 MiB (300 MiB each, as a first guess)" in refusal(5, 0, GIB, [])


@given(
    st.integers(0, 64), st.integers(0, 4), st.integers(1, 100 * GIB), st.lists(st.integers(0, GIB))
)
def test_what_is_not_refused_fits(instances, spares, budget_bytes, readings):
    """Not refused is affordable: instances and spares at their mean are within the budget."""
    each_bytes = mean_bytes(readings)
    if instances and not refusal(instances, spares, budget_bytes, readings):
        assert (instances + spares) * each_bytes <= budget_bytes
    assert affordable(budget_bytes, each_bytes, spares) >= 0
