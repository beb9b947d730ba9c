"""What the instance costs: its worker and its browser's whole tree."""

import contextlib

import msgspec
import psutil


class Reading(msgspec.Struct, frozen=True):
    """One measurement. Memory is proportional (PSS) where the kernel lets us read it.

    Open descriptors are those of the processes that let us look; a sandbox may hide some.
    """

    memory_bytes: int
    processes: int
    cpu_percent: float
    descriptors: int


class Meter:
    """Measures this process and its descendants; CPU is the mean since the last reading."""

    def __init__(self) -> None:
        """Begin to count."""
        self._self = psutil.Process()
        self._cpu_s: dict[int, float] = {}

    def take(self, elapsed_s: float) -> Reading:
        """Measure now; `elapsed_s` is the time since the last reading (0 at the first)."""
        tree = [self._self, *self._self.children(recursive=True)]
        memory_bytes = 0
        descriptors = 0
        spent_s = 0.0
        cpu_s: dict[int, float] = {}
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                memory_bytes += _memory_bytes(process)
                descriptors += _descriptors(process)
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
                spent_s += cpu_s[process.pid] - self._cpu_s.get(process.pid, 0.0)
        self._cpu_s = cpu_s
        percent = 100.0 * spent_s / elapsed_s if elapsed_s else 0.0
        return Reading(memory_bytes, len(tree), round(percent, 1), descriptors)


def _descriptors(process: psutil.Process) -> int:
    """How many it has open; none that we know of if it hides them."""
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return 0


def _memory_bytes(process: psutil.Process) -> int:
    """Proportional memory; a sandboxed process hides it, then what it does not share."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        plain = process.memory_info()
        return int(plain.rss - plain.shared)
