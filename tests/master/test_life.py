"""The life table: walked over every reachable state, and told as conversations of typical nights."""

import re
from collections import deque
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.master import life
from arenad.master.life import LATE, PROCESS_PHASES, TABLE, Event, Life, Order, Rules, step
from arenad.schema.control import Phase

RULES = Rules(
    start_timeout_s=60.0,
    drain_timeout_s=30.0,
    stop_timeout_s=5.0,
    backoff_first_s=1.0,
    backoff_limit_s=8.0,
    deaths=5,
    deaths_window_s=60.0,
    failed_retry_s=60.0,
)
PHASES: tuple[Phase, ...] = get_args(Phase)
WAITING = frozenset(PHASES) - {"ready", "stopped"}


def check_invariants(before: Life, event: Event, after: Life, orders: tuple[Order, ...]):
    """What holds after every step from every state."""
    assert (after.deadline_s is not None) is (after.phase in WAITING)
    assert (Order.FORK in orders) is (after.generation == before.generation + 1)
    assert after.generation in (before.generation, before.generation + 1)
    if Order.FORK in orders:
        has_process = before.phase in PROCESS_PHASES and event is not Event.DIED
        assert not has_process, "two processes for one life"
        assert after.phase == "starting"
        assert not after.was_ready
    if event is Event.DIED:
        assert after.phase not in PROCESS_PHASES or Order.FORK in orders
    assert (Order.ALARM in orders) is (after.phase == "failed" and before.phase != "failed")
    assert not after.forced or after.phase == "stopping"
    assert after.wanted or after.phase in ("stopped", "draining", "stopping")
    assert not after.wanted or after.phase != "stopped"
    assert len(after.deaths) <= RULES.deaths
    assert len(orders) <= 1


def edges() -> dict[tuple[str, str], set[Event]]:
    """Walk every state that can be reached, times apart; gives the changes of phase that happen."""
    seen: set[tuple[object, ...]] = set()
    found: dict[tuple[str, str], set[Event]] = {}
    todo = deque([(Life(), 0.0)])
    while todo:
        here, now_s = todo.popleft()
        for event in Event:
            for later_s in (0.0, RULES.deaths_window_s):
                at_s = now_s + later_s
                after, orders = step(here, event, at_s, RULES, 1.0)
                check_invariants(here, event, after, orders)
                if (here.phase, event) in LATE:
                    assert (after, orders) == (here, ())
                if after.phase != here.phase or orders:
                    found.setdefault((here.phase, after.phase), set()).add(event)
                fresh = sum(at_s - death_s < RULES.deaths_window_s for death_s in after.deaths)
                is_old = at_s - after.since_s >= RULES.deaths_window_s
                goal = (after.phase, after.wanted, after.was_ready, after.forced)
                key = (*goal, min(after.failures, 3), fresh, is_old)
                if key not in seen:
                    seen.add(key)
                    todo.append((after, at_s))
    assert len(seen) > 200
    return found


def test_every_pair_of_phase_and_event_is_decided_once():
    """Each pair means something or is late news, and never both."""
    pairs = {(phase, event) for phase in PHASES for event in Event}
    assert set(TABLE) | LATE == pairs
    assert not set(TABLE) & LATE


def test_no_row_without_reason():
    """Every phase is entered and left by some row, and deaths only happen where a process is."""
    entered = {row.to for row in TABLE.values()} - {None}
    assert entered | {"backoff", "failed"} == set(PHASES)
    assert {phase for (phase, event) in TABLE if event is Event.DIED} == PROCESS_PHASES


def test_invariants_hold_in_every_reachable_state_and_the_drawing_shows_what_happens():
    """An exhaustive walk meets no broken invariant, and just the arrows of the diagram."""
    walked = edges()
    drawn = {
        (match[1], match[2])
        for match in re.finditer(r"^    (\w+) --> (\w+): ", life.drawn(), re.MULTILINE)
    }
    assert drawn == set(walked)
    for (source, target), events in walked.items():
        (label,) = re.findall(rf"^    {source} --> {target}: (.+)$", life.drawn(), re.MULTILINE)
        words = {word for part in label.split(" · ") for word in part.split(" / ")[0].split(", ")}
        assert words == {event.value for event in events}, (source, target)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Event)), st.floats(0, 100), st.floats(0, 1)), max_size=60
    )
)
def test_invariants_hold_on_random_walks(steps):
    """Any events at any times keep every invariant; exactly one fork for each generation."""
    here, now_s, forks = Life(), 0.0, 0
    for event, later_s, draw in steps:
        now_s += later_s
        after, orders = step(here, event, now_s, RULES, draw)
        check_invariants(here, event, after, orders)
        forks += Order.FORK in orders
        here = after
    assert here.generation == forks


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30))
def test_a_child_that_dies_at_once_fails_after_three_starts(pauses):
    """Deaths before ready count double: five of them allowed means three starts, then the alarm."""
    here, now_s, starts, alarms = Life(), 0.0, 0, 0
    here, orders = step(here, Event.START, now_s, RULES)
    for pause_s in pauses:
        if here.phase != "starting":
            break
        starts += 1
        now_s += pause_s
        here, orders = step(here, Event.DIED, now_s, RULES, 1.0)
        alarms += Order.ALARM in orders
        if here.phase == "backoff":
            now_s = here.deadline_s or 0.0
            here, orders = step(here, Event.DEADLINE, now_s, RULES)
    assert starts <= 3
    assert alarms == (here.phase == "failed")


class Night:
    """One life and a clock: says what happens and what is ordered."""

    def __init__(self):
        self.life, self.now_s = Life(), 1000.0

    def after(self, seconds: float, event: Event) -> tuple[str, tuple[Order, ...]]:
        self.now_s += seconds
        self.life, orders = step(self.life, event, self.now_s, RULES, 1.0)
        return self.life.phase, orders

    def at_deadline(self) -> tuple[str, tuple[Order, ...]]:
        assert self.life.deadline_s is not None
        return self.after(self.life.deadline_s - self.now_s, Event.DEADLINE)

    def waits_s(self) -> float:
        assert self.life.deadline_s is not None
        return self.life.deadline_s - self.now_s


def test_a_quiet_life():
    """Start, serve, drain, stop: one process, nothing forced."""
    night = Night()
    assert night.after(0, Event.START) == ("starting", (Order.FORK,))
    assert night.after(2, Event.READY) == ("ready", ())
    assert night.after(9000, Event.DRAIN) == ("draining", (Order.ASK_DRAIN,))
    assert night.after(3, Event.DRAINED) == ("stopping", (Order.ASK_STOP,))
    assert night.after(0.1, Event.DIED) == ("stopped", ())
    assert night.life.generation == 1
    assert night.life.deaths == ()


def test_a_crash_after_a_good_day_is_mended_at_once():
    """The first death waits for nothing, and the failures of the morning are forgotten."""
    night = Night()
    night.after(0, Event.START)
    night.after(1, Event.DIED)
    night.at_deadline()
    night.after(1, Event.READY)
    assert night.after(5000, Event.DIED) == ("backoff", ())
    assert night.waits_s() == 0.0
    assert night.at_deadline() == ("starting", (Order.FORK,))
    assert night.life.failures == 1
    assert night.life.deaths == (night.now_s,)


def test_a_good_day_counts_however_it_ends():
    """Failures before a day of health are forgotten when an operator's restart ends the day."""
    night = Night()
    night.after(0, Event.START)
    night.after(1, Event.DIED)
    night.at_deadline()
    night.after(1, Event.READY)
    night.after(5000, Event.RESTART)
    night.after(1, Event.DRAINED)
    night.after(1, Event.DIED)
    assert night.after(1, Event.DIED) == ("backoff", ())
    assert night.life.failures == 1


def test_backoff_grows_to_its_limit():
    """The first retry is immediate, then each wait doubles until the limit."""
    limits = [life.backoff_limit_s(failures, RULES) for failures in range(1, 9)]
    assert limits == [0.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert life.backoff_limit_s(10_000, RULES) == 8.0


def test_backoff_is_drawn_up_to_its_limit():
    """The draw scales the wait: full jitter."""
    for draw in (0.0, 0.25, 1.0):
        here = Life(phase="ready", wanted=True, was_ready=True, generation=3, failures=2)
        after, _ = step(here, Event.DIED, 10.0, RULES, draw)
        assert after.deadline_s == 10.0 + draw * 2.0


def test_too_many_deaths_raise_the_alarm_and_it_is_tried_again_rarely():
    """Five deaths in the window park the child; after the rest it is started once more."""
    night = Night()
    night.after(0, Event.START)
    for death in range(5):
        night.after(1, Event.READY)
        phase, orders = night.after(1, Event.DIED)
        assert (phase, orders) == (("failed", (Order.ALARM,)) if death == 4 else ("backoff", ()))
        night.at_deadline()
    assert night.life.phase == "starting"
    assert night.after(1, Event.DIED) == ("backoff", ())


def test_a_ready_childs_death_counts_once():
    """Weights: one for a child that was ready, also when its forced stop killed it; else two."""
    ready = Life(phase="ready", wanted=True, was_ready=True, generation=1)
    assert step(ready, Event.DIED, 1.0, RULES)[0].deaths == (1.0,)
    starting = Life(phase="starting", wanted=True, generation=1)
    assert step(starting, Event.DIED, 1.0, RULES)[0].deaths == (1.0, 1.0)
    forced = Life(phase="stopping", wanted=True, was_ready=True, forced=True, generation=1)
    assert step(forced, Event.DIED, 1.0, RULES)[0].deaths == (1.0,)
    hung = Life(phase="stopping", wanted=True, forced=True, generation=1)
    assert step(hung, Event.DIED, 1.0, RULES)[0].deaths == (1.0, 1.0)


def test_an_operators_restart_is_no_death():
    """Drain, stop, start anew: nothing is counted."""
    night = Night()
    night.after(0, Event.START)
    night.after(1, Event.READY)
    assert night.after(1, Event.RESTART) == ("draining", (Order.ASK_DRAIN,))
    assert night.after(1, Event.DRAINED) == ("stopping", (Order.ASK_STOP,))
    assert night.after(1, Event.DIED) == ("starting", (Order.FORK,))
    assert (night.life.deaths, night.life.failures, night.life.generation) == ((), 0, 2)


def test_a_stop_that_had_to_be_forced_is_a_death():
    """A child that ignores the stop is killed, killed again, and its death is counted."""
    night = Night()
    night.after(0, Event.START)
    night.after(1, Event.READY)
    night.after(1, Event.RESTART)
    assert night.at_deadline() == ("stopping", (Order.ASK_STOP,))
    assert night.at_deadline() == ("stopping", (Order.KILL,))
    assert night.at_deadline() == ("stopping", (Order.KILL,))
    assert night.after(0.1, Event.DIED) == ("backoff", ())
    assert night.life.deaths == (night.now_s,)


def test_a_child_that_never_gets_ready_is_killed():
    """The start has a deadline; the kill is a death before ready."""
    night = Night()
    night.after(0, Event.START)
    assert night.waits_s() == RULES.start_timeout_s
    assert night.at_deadline() == ("stopping", (Order.KILL,))
    assert night.after(0.1, Event.DIED) == ("backoff", ())
    assert len(night.life.deaths) == 2


@pytest.mark.parametrize("parked", ["backoff", "failed", "stopped"])
def test_a_restart_starts_a_parked_child_at_once(parked: Phase):
    """Whatever it waits for, an operator's restart does not wait, and wipes the slate."""
    deaths = (9.0, 9.0, 9.0)
    here = Life(phase=parked, wanted=parked != "stopped", generation=3, deaths=deaths, failures=3)
    after, orders = step(here, Event.RESTART, 10.0, RULES)
    assert (after.phase, orders) == ("starting", (Order.FORK,))
    assert (after.deaths, after.failures, after.generation) == ((), 0, 4)


def test_a_change_of_mind_while_draining():
    """Wanted again while it drains: it drains to its end and is started anew."""
    night = Night()
    night.after(0, Event.START)
    night.after(1, Event.READY)
    night.after(1, Event.DRAIN)
    assert night.after(1, Event.START) == ("draining", ())
    night.after(1, Event.DRAINED)
    assert night.after(1, Event.DIED) == ("starting", (Order.FORK,))


def test_architecture_shows_the_table():
    """The diagram in ARCHITECTURE.md is drawn from the table; `scripts/draw` rewrites it."""
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    mark = "<!-- life: drawn from arenad/master/life.py -->"
    (block,) = re.findall(re.escape(mark) + r"\n+```mermaid\n(.*?)```", text, re.DOTALL)
    assert block == f"{life.drawn()}\n", "run scripts/draw"


@pytest.mark.parametrize("parked", ["backoff", "failed"])
def test_a_reset_forgets_deaths_and_starts_what_waits(parked: Phase):
    """What waits because it died is started at once, with a clean slate."""
    here = Life(phase=parked, wanted=True, generation=3, deaths=(9.0,) * 4, failures=3)
    after, orders = step(here, Event.RESET, 10.0, RULES)
    assert (after.phase, orders) == ("starting", (Order.FORK,))
    assert (after.deaths, after.failures, after.generation) == ((), 0, 4)


@pytest.mark.parametrize("phase", ["stopped", "starting", "ready", "draining", "stopping"])
def test_a_reset_disturbs_nobody_else(phase: Phase):
    """A child at work, or one that an operator keeps down, only gets its clean slate."""
    here = Life(phase=phase, wanted=phase != "stopped", deaths=(9.0,) * 4, failures=3)
    after, orders = step(here, Event.RESET, 10.0, RULES)
    assert (after.phase, after.wanted, orders) == (phase, here.wanted, ())
    assert (after.deaths, after.failures) == ((), 0)
