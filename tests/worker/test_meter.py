"""The meter on this very process and a child of its own."""

import mmap
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from arenad.worker import kin, meter
from arenad.worker.meter import TRUSTED_READINGS, Meter

STEP_BYTES = 1024 * 1024

CHILD = (
    "held = bytearray(b'x' * 50_000_000); files = [open('/dev/null') for _ in range(40)];"
    "sum(range(3_000_000)); print('up', flush=True); input()"
)


def test_a_child_is_counted_with_its_memory_and_work() -> None:
    """What a descendant holds and did since the last reading is the instance's."""
    measured = Meter()
    alone = measured.take(0.0)
    assert alone.cpu_percent == 0
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        both = measured.take(1.0)
        again = measured.take(1000.0)
        child.communicate(b"\n")
    assert both.processes == alone.processes + 1
    assert both.memory_bytes > alone.memory_bytes + 50_000_000
    assert both.descriptors > alone.descriptors + 40
    assert both.cpu_percent > 0
    assert again.cpu_percent < both.cpu_percent
    after = measured.take(1.0)
    assert after.processes == alone.processes
    assert after.cpu_percent >= 0


def test_memory_that_grows_in_small_steps_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What moved little is not measured anew; the steps add up, and what is old is not trusted."""
    walks: list[int] = []
    walk = psutil.Process.memory_full_info

    def counted(process: psutil.Process) -> object:
        walks.append(process.pid)
        return walk(process)

    monkeypatch.setattr(psutil.Process, "memory_full_info", counted)
    monkeypatch.setattr(meter, "MOVED_BYTES", 64 * STEP_BYTES)  # far above what else moves here
    measured = Meter()
    first = measured.take(0.0).memory_bytes
    measured.take(1.0)
    assert len(walks) == 1
    held: list[mmap.mmap] = []
    for steps in (40, 40):
        held.append(mmap.mmap(-1, steps * STEP_BYTES))
        held[-1].write(b"x" * (steps * STEP_BYTES))
        memory_bytes = measured.take(1.0).memory_bytes
    assert len(walks) == 2
    assert memory_bytes > first + 64 * STEP_BYTES
    for _ in range(TRUSTED_READINGS):
        measured.take(1.0)
    assert len(walks) == 3


@pytest.mark.parametrize("has_children", [True, False])
def test_all_descendants_are_found(monkeypatch: pytest.MonkeyPatch, *, has_children: bool) -> None:
    """Those of a thread that is not the first, and theirs; also by a kernel that lists no children."""
    monkeypatch.setattr(kin, "HAS_CHILDREN", has_children)
    born: list[subprocess.Popen[bytes]] = []

    def bear() -> None:
        born.append(
            subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE)
        )
        done.wait(30)

    done = threading.Event()
    thread = threading.Thread(target=bear)
    thread.start()
    try:
        while not born:
            time.sleep(0.01)
        assert born[0].stdout is not None
        grandchild = int(born[0].stdout.readline())
        assert {born[0].pid, grandchild} <= set(kin.descendants(os.getpid()))
        os.kill(grandchild, signal.SIGKILL)
        born[0].communicate(timeout=10)
        assert not {born[0].pid, grandchild} & set(kin.descendants(os.getpid()))
        assert kin.descendants(born[0].pid) == []
    finally:
        done.set()
        thread.join(10)
