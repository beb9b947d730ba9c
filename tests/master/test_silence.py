"""The brain of silence as conversations: who is marked, who is spared, who is killed."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.master.silence import GRACE_S, Limits, Opinion, Order, Seen, Silence, look, stopped

LIMITS = Limits(silent_s=2.0, hung_s=5.0)
WOUND_S = 2.0 - GRACE_S


def seen(at_s: float, state: str = "S", waited_s: float = 0.0, overslept_s: float = 0.0) -> Seen:
    """A child whose switch has run down."""
    return Seen(at_s, state, waited_s, overslept_s=overslept_s)


def wound(at_s: float, state: str = "S") -> Seen:
    """A child whose switch is wound."""
    return Seen(at_s, state, 0.0, has_run_down=False)


def marked(state: str, waited_s: float = 0.0) -> Silence:
    """A child whose switch ran down at 12 s, marked at its second look."""
    silence, opinion = look(Silence(0.0), seen(12.0, state, waited_s), LIMITS)
    assert opinion == Opinion(Order.WAIT, 12.0 + GRACE_S)
    silence, opinion = look(silence, seen(12.25, state, waited_s), LIMITS)
    assert opinion.order is Order.MARK
    assert silence.is_marked
    return silence


def test_a_switch_that_was_wound_meanwhile_is_no_news():
    """The look comes a moment after the kernel's word; then nobody looks until the next one."""
    silence, opinion = look(Silence(0.0), wound(11.5), LIMITS)
    assert silence == Silence(11.5)
    assert (opinion.order, opinion.next_s) == (Order.WAIT, None)


def test_a_stopped_child_is_killed_once_it_is_late():
    """Its state is opinion enough, and the reason says both."""
    _, opinion = look(Silence(0.0), seen(12.0, "T"), LIMITS)
    assert opinion.order is Order.KILL
    assert opinion.reason == "gave no beat for 1.8 s; its process is stopped"


def test_a_child_that_the_kernel_told_to_be_stopped_is_not_waited_for():
    """Marked at the kernel's word: still stopped, it is killed; going on, it is cleared."""
    silence, opinion = stopped(Silence(10.0), wound(10.3, "T"), 0.5)
    assert (opinion.order, opinion.next_s) == (Order.MARK, 10.8)
    assert look(silence, wound(10.8, "T"), LIMITS)[1].order is Order.KILL
    silence, opinion = look(silence, wound(10.8), LIMITS)
    assert (silence, opinion.order) == (Silence(10.8), Order.CLEAR)


def test_a_running_child_is_marked_first_and_killed_later():
    """Marked after the first limit, killed at the second, with what its process does."""
    silence = marked("R")
    _, opinion = look(silence, seen(15.1, "R"), LIMITS)
    assert (opinion.order, opinion.next_s) == (Order.WAIT, 12.0 + LIMITS.hung_s - WOUND_S)
    _, opinion = look(silence, seen(15.3, "R"), LIMITS)
    assert opinion.order is Order.KILL
    assert (
        opinion.reason == "gave no beat for 5.1 s; its process is busy, its event loop stands still"
    )


def test_a_marked_child_that_winds_again_is_well():
    """At once, and the line for its story says how long it was away."""
    silence, opinion = look(marked("S"), wound(14.0), LIMITS)
    assert (silence, opinion.order) == (Silence(14.0), Order.CLEAR)
    assert opinion.reason == "beats again after 3.8 s"


def test_a_child_that_waits_for_a_processor_is_not_even_marked():
    """What it waited is added to the grace, look after look; with a processor it has only that."""
    silence, _ = look(Silence(0.0), seen(12.0, "R", 100.0), LIMITS)
    silence, opinion = look(silence, seen(12.2, "R", 100.2), LIMITS)
    assert (opinion.order, silence.is_marked) == (Order.WAIT, False)
    silence, opinion = look(silence, seen(12.4, "R", 100.3), LIMITS)
    assert (opinion.order, silence.is_marked) == (Order.WAIT, False)
    assert look(silence, seen(12.6, "R", 100.3), LIMITS)[1].order is Order.MARK


def test_waiting_for_a_processor_is_no_silence():
    """What it waited is added to its patience; a starved child lives as long as it is starved."""
    silence = marked("R", 100.0)
    _, opinion = look(silence, seen(15.25, "R", 102.5), LIMITS)
    assert opinion.order is Order.WAIT
    assert opinion.next_s is not None
    _, opinion = look(silence, seen(opinion.next_s + 0.01, "R", 102.5), LIMITS)
    assert opinion.order is Order.KILL


def test_who_overslept_says_nothing_of_others():
    """After our own hang everybody has all the time again, marked or not."""
    before = marked("R")
    silence, opinion = look(before, seen(60.0, "R", overslept_s=45.0), LIMITS)
    assert (opinion.order, opinion.next_s, silence.is_marked) == (Order.WAIT, 60.0 + WOUND_S, True)
    assert look(silence, seen(62.0, "R"), LIMITS)[1].order is Order.WAIT
    assert look(silence, wound(62.0), LIMITS)[1].order is Order.CLEAR


def test_a_debugger_may_hold_a_child():
    """A traced process, and one whose end is on its way, are looked at again."""
    for state in "tZX":
        assert look(marked("S"), seen(99.0, state), LIMITS)[1].order is Order.WAIT


@given(
    st.lists(
        st.tuples(st.floats(0.05, 3), st.sampled_from("RSDTtZX"), st.floats(0, 1), st.booleans()),
        max_size=40,
    )
)
def test_a_kill_has_its_reason_and_a_wait_its_end(steps):
    """Nobody that is neither stopped nor silent for long is killed; who is doubted is seen again."""
    silence, now_s, waited_s = Silence(0.0), 0.0, 0.0
    for later_s, state, share, has_run_down in steps:
        now_s += later_s
        waited_s += later_s * share
        silence, opinion = look(silence, Seen(now_s, state, waited_s, has_run_down), LIMITS)
        if opinion.order is Order.KILL:
            assert opinion.reason
            quiet_s = now_s - silence.heard_s
            assert state == "T" or quiet_s >= LIMITS.hung_s - 1e-6
            return
        assert (opinion.next_s is None) is (silence.since is None)
        assert opinion.next_s is None or opinion.next_s > now_s
