"""What groups of processes cost: private and proportional memory, processor time."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

MIB = 1024 * 1024


class Memory(NamedTuple):
    """In MiB: private (USS), private and a fair share of what is shared (PSS), processes."""

    uss: float
    pss: float
    processes: int


def memory(processes: Iterable[psutil.Process]) -> Memory:
    """Of all these together; those that have ended meanwhile count nothing."""
    uss = pss = count = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            full = process.memory_full_info()
            uss, pss, count = uss + full.uss, pss + full.pss, count + 1
    return Memory(uss / MIB, pss / MIB, count)


def dirty_mib(processes: Iterable[psutil.Process]) -> float:
    """What these have written and share with nobody, in MiB.

    Unlike USS it does not change when another browser, with the same program, comes or goes.
    """
    total_kib = 0
    for process in processes:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            total_kib += sum(map(int, _DIRTY.findall(rollup)))
    return total_kib / 1024


_DIRTY = re.compile(r"^(?:Private_Dirty|Swap): +(\d+)", re.MULTILINE)


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Processor time that these have used so far, in seconds."""
    used_s = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used_s += times.user + times.system
    return used_s


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def is_browser(process: psutil.Process) -> bool:
    """Whether it is one of Chromium's."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "headless" in process.name() or "chrom" in process.name()
    return False


class Split(NamedTuple):
    """Processes in and outside of browsers."""

    outside: list[psutil.Process]
    browser: list[psutil.Process]


def split(processes: Iterable[psutil.Process]) -> Split:
    """By what they are."""
    known = list(processes)
    browser = [each for each in known if is_browser(each)]
    return Split([each for each in known if each not in browser], browser)


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line that is nearest to the points (least squares)."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    above = sum((x - middle_x) * (y - middle_y) for x, y in points)
    return above / sum((x - middle_x) ** 2 for x, _ in points)
