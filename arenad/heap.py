"""Have the C library give large pieces of memory back to the kernel as soon as they are free.

By itself it takes the size of what was freed for usual, and keeps as much for next time: a process
that once held a message of some MB would hold that for good (mallopt(3), M_MMAP_THRESHOLD).
"""

import contextlib
import ctypes

LARGE_BYTES = 256 * 1024
"""What is larger is mapped by itself, and costs the mapping each time."""

_M_MMAP_THRESHOLD = -3


def give_back() -> None:
    """From now on. A C library that knows no such option (musl) goes on as it does."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
