"""Who descends from a process, as cheaply as the kernel tells it."""

import contextlib
import os
from pathlib import Path

import psutil

HAS_CHILDREN = Path("/proc/self/task", str(os.getpid()), "children").exists()
"""Kernels may be built without (CONFIG_PROC_CHILDREN); those of distributions are not."""

_GONE = FileNotFoundError, ProcessLookupError, PermissionError
"""One that has ended, or that the kernel hides from other users (hidepid=, proc(5))."""


def descendants(pid: int) -> list[int]:
    """All that live, in no order. One may be missing while another one is ending: look twice.

    Each process lists the children of its threads (proc(5)). Looking at all processes for their
    parents instead, as psutil does, costs each instance the more the more instances there are.
    """
    if not HAS_CHILDREN:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [each.pid for each in psutil.Process(pid).children(recursive=True)]
        return []
    found: list[int] = []
    left = [pid]
    while left:
        children = _children(left.pop())
        found += children
        left += children
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(*_GONE):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are all we need
            with contextlib.suppress(*_GONE):
                found += map(
                    int, Path("/proc", str(pid), "task", thread, "children").read_text().split()
                )
    return found
