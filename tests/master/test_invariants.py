"""What the master finds wrong with its own books, on children made by hand."""

import time

import msgspec
import pytest

from arenad.master.invariants import LATE_S, WAITING, faults
from arenad.master.life import PROCESS_PHASES, Life
from arenad.master.loop import Loop
from arenad.master.supervised import Supervised
from arenad.schema.process import ForkOrder

NOW_S = time.monotonic()


def child_in(phase, deadline_s: float | None = None) -> Supervised:
    """A child whose books are in order."""
    child = Supervised("w1", "worker")
    if deadline_s is None and phase in WAITING:
        deadline_s = NOW_S + 5
    child.life = Life(phase, wanted=True, generation=1, since_s=NOW_S, deadline_s=deadline_s)
    if phase in WAITING:
        child.timer = Loop().after(5, lambda: None)
    if phase in PROCESS_PHASES:
        child.order = ForkOrder(role="worker", name="w1", generation=1, uid=0, gid=0)
    return child


@pytest.mark.parametrize("phase", sorted(WAITING | PROCESS_PHASES | {"stopped"}))
def test_books_in_order(phase):
    """Nothing is found where nothing is wrong."""
    assert faults([child_in(phase)], NOW_S) == []


def test_every_phase_that_waits_is_known():
    """Taken from the table, so a new phase with a deadline is watched too."""
    assert {"starting", "draining", "stopping", "backoff", "failed"} <= WAITING
    assert "ready" not in WAITING


@pytest.mark.parametrize("phase", sorted(WAITING))
def test_a_wait_without_a_timer(phase):
    """No deadline, no timer, a cancelled timer: nothing would ever end the wait."""
    without_deadline = child_in(phase)
    without_deadline.life = msgspec.structs.replace(without_deadline.life, deadline_s=None)
    without_timer, cancelled = child_in(phase), child_in(phase)
    without_timer.timer = None
    assert cancelled.timer is not None
    cancelled.timer.cancel()
    found = faults([without_deadline, without_timer, cancelled], NOW_S)
    assert found == [f"w1 is {phase} without a deadline"] * 3


def test_a_deadline_that_did_nothing():
    """Its time has passed and the phase is still the same; a moment's delay is no fault."""
    assert faults([child_in("backoff", NOW_S - LATE_S / 2)], NOW_S) == []
    found = faults([child_in("backoff", NOW_S - 7)], NOW_S)
    assert found == ["w1 is backoff though its deadline passed 7.0 s ago"]


def test_phase_and_process_agree():
    """A phase with a process has one, the others have none."""
    lost, kept = child_in("ready"), child_in("stopped")
    lost.order = None
    kept.pidfd = 3
    assert faults([lost, kept], NOW_S) == [
        "w1 is ready without a process",
        "w1 is stopped with a process",
    ]
