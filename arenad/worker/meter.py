"""What the instance costs: its worker and its browser's whole tree."""

import contextlib
import os

import msgspec
import psutil

from arenad.worker.kin import descendants

MOVED_BYTES = 1024 * 1024
"""A process whose resident memory has moved by less is taken to hold what it held."""

TRUSTED_READINGS = 30
"""After so many readings it is looked at all the same: what it shares may have changed."""


class Reading(msgspec.Struct, frozen=True):
    """One measurement. Memory is proportional (PSS) where the kernel lets us read it.

    Open descriptors are those of the processes that let us look; a sandbox may hide some.
    """

    memory_bytes: int
    processes: int
    cpu_percent: float
    descriptors: int


class _Known:
    """One process, and what was found of it last."""

    def __init__(self, pid: int) -> None:
        """Raises `psutil.NoSuchProcess`."""
        self.process = psutil.Process(pid)
        self.cpu_s = 0.0
        self._resident_bytes = 0
        self._memory_bytes = 0
        self._trusted = 0

    def memory_bytes(self) -> int:
        """Proportional memory, for which the kernel walks all page tables: only when it moved."""
        plain = self.process.memory_info()
        self._trusted -= 1
        if self._trusted <= 0 or abs(plain.rss - self._resident_bytes) >= MOVED_BYTES:
            self._trusted, self._resident_bytes = TRUSTED_READINGS, plain.rss
            try:
                self._memory_bytes = int(self.process.memory_full_info().pss)
            except psutil.AccessDenied:  # a sandboxed process hides it: what it does not share
                self._memory_bytes = int(plain.rss - plain.shared)
        return self._memory_bytes


class Meter:
    """Measures this process and its descendants; CPU is the mean since the last reading."""

    def __init__(self) -> None:
        """Begin to count."""
        self._known: dict[int, _Known] = {}

    def take(self, elapsed_s: float) -> Reading:
        """Measure now; `elapsed_s` is the time since the last reading (0 at the first)."""
        pids = [os.getpid(), *descendants(os.getpid())]
        memory_bytes = 0
        descriptors = 0
        spent_s = 0.0
        known: dict[int, _Known] = {}
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                each = known[pid] = self._known.get(pid) or _Known(pid)
                memory_bytes += each.memory_bytes()
                descriptors += _descriptors(each.process)
                times = each.process.cpu_times()
                spent_s += times.user + times.system - each.cpu_s
                each.cpu_s = times.user + times.system
        self._known = known
        percent = 100.0 * spent_s / elapsed_s if elapsed_s else 0.0
        return Reading(memory_bytes, len(pids), round(percent, 1), descriptors)


def _descriptors(process: psutil.Process) -> int:
    """How many it has open; none that we know of if it hides them."""
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return 0
