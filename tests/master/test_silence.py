"""The brain of silence as conversations: who is marked, who is spared, who is killed."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.master.silence import Limits, Opinion, Order, Seen, Silence, look

LIMITS = Limits(silent_s=2.0, hung_s=5.0)


def seen(at_s: float, state: str = "S", waited_s: float = 0.0, overslept_s: float = 0.0) -> Seen:
    return Seen(at_s, state, waited_s, overslept_s)


def test_a_child_that_beats_is_left_alone():
    """The next look is when its silence would be too long."""
    silence, opinion = look(Silence(10.0), seen(11.5), LIMITS)
    assert (silence, opinion) == (Silence(10.0), Opinion(Order.WAIT, 12.0))


def test_a_stopped_child_is_killed_once_it_is_late():
    """Its state is opinion enough, and the reason says both."""
    _, opinion = look(Silence(10.0), seen(12.1, "T"), LIMITS)
    assert opinion.order is Order.KILL
    assert opinion.reason == "gave no beat for 2.1 s; its process is stopped"


def test_a_child_that_the_kernel_told_to_be_stopped_is_not_waited_for():
    """Marked at the kernel's word: still stopped, it is killed; going on, it is cleared."""
    marked = Silence(10.0, seen(10.3, "T"))
    assert look(marked, seen(10.8, "T"), LIMITS)[1].order is Order.KILL
    silence, opinion = look(marked, seen(10.8, "S"), LIMITS)
    assert (silence.marked, opinion.order) == (None, Order.CLEAR)


def test_a_running_child_is_marked_first_and_killed_later():
    """Marked after the first limit, killed at the second, with what its process does."""
    silence, opinion = look(Silence(10.0), seen(12.0, "R"), LIMITS)
    assert (opinion.order, opinion.next_s) == (Order.MARK, 15.0)
    _, opinion = look(silence, seen(15.0, "R"), LIMITS)
    assert opinion.order is Order.KILL
    assert (
        opinion.reason == "gave no beat for 5.0 s; its process is busy, its event loop stands still"
    )


def test_waiting_for_a_processor_is_no_silence():
    """What it waited is added to its patience; a starved child lives as long as it is starved."""
    silence, _ = look(Silence(10.0), seen(12.0, "R", 100.0), LIMITS)
    _, opinion = look(silence, seen(15.0, "R", 102.5), LIMITS)
    assert (opinion.order, opinion.next_s) == (Order.WAIT, 17.5)
    _, opinion = look(silence, seen(17.5, "R", 102.5), LIMITS)
    assert opinion.order is Order.KILL


def test_who_overslept_says_nothing_of_others():
    """After our own hang everybody gets a fresh limit."""
    silence, opinion = look(Silence(10.0), seen(60.0, "R", overslept_s=45.0), LIMITS)
    assert (silence, opinion) == (Silence(60.0), Opinion(Order.WAIT, 62.0))


def test_a_debugger_may_hold_a_child():
    """A traced process, and one whose end is on its way, are looked at again."""
    for state in "tZX":
        assert look(Silence(10.0), seen(99.0, state), LIMITS)[1].order is Order.WAIT


@given(
    st.lists(
        st.tuples(st.floats(0.05, 3), st.sampled_from("RSDTtZX"), st.floats(0, 1)), max_size=40
    )
)
def test_a_kill_has_its_reason_and_a_wait_its_end(steps):
    """Nobody that is neither stopped nor silent for long is killed; each look has a next one."""
    silence, now_s, waited_s = Silence(0.0), 0.0, 0.0
    for later_s, state, share in steps:
        now_s += later_s
        waited_s += later_s * share
        silence, opinion = look(silence, seen(now_s, state, waited_s), LIMITS)
        if opinion.order is Order.KILL:
            assert opinion.reason
            quiet_s = now_s - silence.heard_s
            assert state == "T" or quiet_s >= LIMITS.hung_s - 1e-6
            return
        assert opinion.next_s > now_s - 3.0
