"""One child as the master knows it."""

import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from arenad.master.supervised import Supervised, death_reason
from arenad.schema.process import Model


def ending_of(program: str) -> os.waitid_result:
    process = subprocess.Popen([sys.executable, "-c", program])
    ending = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait(10)
    assert ending is not None
    return ending


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit(75)", "exit code 75"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("import os; os.kill(os.getpid(), 40)", "killed by signal 40"),
    ],
)
def test_deaths_are_told_in_words(program, reason):
    """Exit codes, signals by name, nameless ones by number."""
    assert death_reason(ending_of(program)) == reason


def test_signals_reach_the_process_and_never_another():
    """By pidfd: a process that is gone already is no error, and no other is hit."""
    child = Supervised("w1", "worker")
    child.signal(signal.SIGKILL)  # no process yet: nothing happens
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.pidfd = os.pidfd_open(process.pid)
    child.signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    child.signal(signal.SIGKILL)
    child.close_process()
    assert (child.pidfd, child.channel) == (-1, None)


def test_only_a_ready_instance_has_a_seat():
    """No seat for other roles, other phases, or without a condition."""
    child = Supervised("w1", "worker", generation=4)
    child.models = (Model(id="m"),)
    child.condition = "resting"
    assert child.seat(1) is None
    child.life = msgspec.structs.replace(child.life, phase="ready", generation=5)
    seat = child.seat(2)
    assert seat is not None
    assert (seat.name, seat.generation, seat.slots, seat.condition) == ("w1", 5, 2, "resting")
    child.condition = None
    assert child.seat(1) is None
    assert Supervised("demo", "demo").seat(1) is None


def test_who_is_coming():
    """Wanted and not there: a failed one is not waited for, nor one that is drained."""
    child = Supervised("w1", "worker")
    coming = {"starting", "draining", "stopping", "backoff"}
    for phase in ("starting", "ready", "draining", "stopping", "backoff", "failed", "stopped"):
        child.life = msgspec.structs.replace(child.life, phase=phase, wanted=True)
        assert child.is_coming is (phase in coming | {"stopped"})
        child.life = msgspec.structs.replace(child.life, wanted=False)
        assert not child.is_coming


def test_the_state_for_people():
    """Restarts count from this child's first process; the next try only shows while it waits."""
    child = Supervised("w1", "worker", generation=4)
    assert child.state(1, 0).restarts == 0
    now_s = time.monotonic()
    child.life = msgspec.structs.replace(
        child.life, phase="backoff", generation=7, deadline_s=now_s + 100, since_s=now_s - 5
    )
    shown = child.state(1, 3)
    assert (shown.restarts, shown.busy, shown.slots) == (2, 3, 1)
    assert shown.next_try_s is not None
    assert 0 < shown.next_try_s <= 100
    assert shown.phase_age_s >= 5
    child.life = msgspec.structs.replace(child.life, phase="starting")
    assert child.state(1, 0).next_try_s is None
