"""A dead man's switch: a timer of the kernel that a child winds up and its master watches.

Both hold the same timerfd(2). While it is wound in time nobody is woken; when a loop stands still,
for whatever reason, the kernel tells the master: nothing in the child has to run for that.
"""

import ctypes
import os
import select
import struct

_CLOCK_MONOTONIC = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TIMES = struct.Struct(
    "4q"
)  # struct itimerspec: interval, then value, each seconds and nanoseconds

_libc = ctypes.CDLL(None, use_errno=True)


def create() -> int:
    """The descriptor of a switch that is not wound, and so never runs down. Raises OSError."""
    return _checked(_libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS), "timerfd_create")


def wind(switch: int, timeout_s: float) -> None:
    """Let it run down after so long, unless it is wound again before. Raises OSError."""
    seconds, rest_s = divmod(timeout_s, 1.0)
    times = _TIMES.pack(0, 0, int(seconds), int(rest_s * 1e9))
    _checked(_libc.timerfd_settime(switch, 0, times, None), "timerfd_settime")


def has_run_down(switch: int) -> bool:
    """Whether it was wound, and then not in time."""
    waiting = select.poll()
    waiting.register(switch, select.POLLIN)
    return bool(waiting.poll(0))


def _checked(answer: int, call: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call)
    return answer
