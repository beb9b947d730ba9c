"""The machine's processors and memory, read from /proc in a few lines."""

from pathlib import Path

import msgspec

PROC = Path("/proc")

_IDLE = slice(3, 5)
"""idle and iowait among the columns of the `cpu` line of proc_stat(5); guest time is in user's."""

_COLUMNS = slice(0, 8)


class Ticks(msgspec.Struct, frozen=True):
    """Processor time since the machine's start, over all processors."""

    total: int
    idle: int


def ticks(proc: Path = PROC) -> Ticks:
    """The counters as they stand."""
    with (proc / "stat").open("rb") as file:
        columns = [int(word) for word in file.readline().split()[1:]][_COLUMNS]
    return Ticks(sum(columns), sum(columns[_IDLE]))


def busy_percent(before: Ticks, after: Ticks) -> float:
    """How busy all processors together were in between; 0 when no time has passed."""
    total = after.total - before.total
    return 100.0 * (1 - (after.idle - before.idle) / total) if total > 0 else 0.0


def memory_available_bytes(proc: Path = PROC) -> int:
    """What can be had without swapping, by the kernel's own estimate; proc_meminfo(5)."""
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
