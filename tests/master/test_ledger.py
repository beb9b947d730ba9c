"""Bounded histories, and traffic that survives the frontends it went through."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.master.ledger import (
    CHILD_STORY_LIMIT,
    LOG_LIMIT,
    RATE_WINDOW_S,
    STORIES_LIMIT,
    STORY_LIMIT,
    Ledger,
    Tally,
)
from arenad.schema.process import FrontendBeat, LogLine


def beat(accepted=0, **changed):
    counters = {"queued": 0, "running": 0, "answered": 0, "failed": 0, "retried": 0, "cancelled": 0}
    return FrontendBeat(accepted=accepted, busy=changed.pop("busy", {}), **{**counters, **changed})


def test_histories_are_bounded():
    """The oldest entries make room."""
    ledger = Ledger()
    for number in range(STORY_LIMIT + LOG_LIMIT):
        ledger.tell(float(number), "w1", str(number))
        ledger.log.append(LogLine(float(number), "info", "w1", str(number)))
    assert len(ledger.story) == STORY_LIMIT
    assert len(ledger.log) == LOG_LIMIT
    assert ledger.story[-1].text == str(STORY_LIMIT + LOG_LIMIT - 1)


def test_each_child_has_a_story_of_its_own():
    """One that dies without end does not push the others out, and the oldest story makes room."""
    ledger = Ledger()
    ledger.tell(0.0, "w1", "ready")
    for number in range(2 * CHILD_STORY_LIMIT):
        ledger.tell(float(number), "w2", str(number))
    assert [line.text for line in ledger.story_of("w1")] == ["ready"]
    assert len(ledger.story_of("w2")) == CHILD_STORY_LIMIT
    assert ledger.story_of("w3") == ()
    for number in range(STORIES_LIMIT - 1):
        ledger.tell(0.0, f"other-{number}", "ready")
    assert ledger.story_of("w1") == ()
    assert len(ledger.story_of("w2")) == CHILD_STORY_LIMIT


def test_last_lines():
    """So many as are asked for and there are, oldest first."""
    ledger = Ledger()
    for text in "abc":
        ledger.log.append(LogLine(0.0, "info", "w1", text))
    assert [line.text for line in ledger.last_lines(2)] == ["b", "c"]
    assert [line.text for line in ledger.last_lines(9)] == ["a", "b", "c"]
    assert list(ledger.last_lines(0)) == []


def test_counters_survive_a_frontend():
    """A frontend that is gone leaves its sums behind, and takes its queue and running with it."""
    tally = Tally()
    tally.take("frontend-1", beat(7, answered=5, queued=3, running=2, busy={"w1": 2}), 0.0)
    tally.take("frontend-2", beat(1, answered=1, busy={"w1": 1}), 0.0)
    assert tally.busy("w1") == 3
    tally.end("frontend-1")
    tally.take("frontend-1", beat(2, answered=1, queued=1, waiting={"a": 2}), 1.0)
    tally.take("frontend-2", beat(1, answered=1, busy={"w1": 1}, waiting={"a": 1, "": 1}), 1.0)
    traffic = tally.traffic(10, 1.0)
    assert traffic.waiting == {"a": 3, "": 1}
    assert (traffic.accepted, traffic.answered) == (10, 7)
    assert (traffic.queued, traffic.running, traffic.queue_limit) == (1, 0, 20)
    assert tally.busy("w1") == 1


def test_the_longest_wait_is_of_all_frontends():
    """And of those that are there: a wait goes with its frontend."""
    tally = Tally()
    assert tally.queue_wait_s == 0.0
    tally.take("frontend-1", beat(queue_wait_s=3.5), 0.0)
    tally.take("frontend-2", beat(queue_wait_s=1.5), 0.0)
    assert tally.queue_wait_s == 3.5
    tally.end("frontend-1")
    assert tally.queue_wait_s == 1.5


def test_the_end_of_a_stranger_changes_nothing():
    """Workers end too; only frontends have counters."""
    tally = Tally()
    tally.end("w1")
    assert tally.traffic(10, 0.0).accepted == 0


def test_the_rate_of_a_single_request():
    """A request after a long silence shows, and is forgotten after the window."""
    tally = Tally()
    tally.take("frontend-1", beat(100), 0.0)
    tally.take("frontend-1", beat(105), 500.0)
    assert tally.traffic(1, 500.0).requests_per_s == 5 / RATE_WINDOW_S
    assert tally.traffic(1, 500.0 + RATE_WINDOW_S).requests_per_s == 0.0


@given(st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 9)), min_size=1, max_size=50))
def test_the_rate_counts_what_the_window_saw(beats):
    """The rate is what was accepted in the window; memory stays within it."""
    tally, now_s, total = Tally(), 1000.0, 0
    taken = []
    for later_s, new in beats:
        now_s += later_s
        total += new
        taken.append((now_s, new))
        tally.take("frontend-1", beat(total), now_s)
    seen = sum(new for at_s, new in taken if now_s - at_s < RATE_WINDOW_S)
    assert tally.traffic(1, now_s).requests_per_s == seen / RATE_WINDOW_S
    assert len(tally._accepted) <= 1 + sum(now_s - at_s < RATE_WINDOW_S for at_s, _ in taken)


def test_why_others_are_asked_first():
    """Of all frontends, each reason once; what a frontend that is gone has said is gone, too."""
    tally = Tally()
    for name, why in {"frontend-1": "asked last: b", "frontend-2": "asked last: a"}.items():
        tally.take(name, beat(asked_last={"w1": why, "w2": "asked last: c"}), 0.0)
    assert tally.asked_last("w1") == "asked last: a; asked last: b"
    assert tally.asked_last("w2") == "asked last: c"
    tally.end("frontend-1")
    assert tally.asked_last("w1") == "asked last: a"
    assert tally.asked_last("w3") == ""
