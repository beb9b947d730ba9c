"""The few calls of Linux that Python does not have: prctl(2), the list of one's own children."""

import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"prctl({option})")


def become_subreaper() -> None:
    """Adopt every orphan among this process's descendants (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent_pid: int) -> bool:
    """Be killed when the parent dies (PR_SET_PDEATHSIG); false when it is dead already.

    Cleared by a change of user, so call it after that.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent_pid


def trim() -> None:
    """Give back what a start has taken and left: malloc_trim(3), where there is one."""
    if (malloc_trim := getattr(_libc, "malloc_trim", None)) is not None:
        malloc_trim(0)


def open_standard_streams() -> None:
    """Open /dev/null where 0, 1 or 2 is closed, lest a socket get the number and be written to."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def child_pids() -> list[int]:
    """The pids of this (single-threaded) process's children, adopted ones included."""
    pid = os.getpid()
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if listing.exists():
        return [int(child) for child in listing.read_text().split()]
    return [int(entry.name) for entry in Path("/proc").iterdir() if _parent_of(entry) == pid]


def _parent_of(entry: Path) -> int:
    """The parent of a process folder under /proc; for kernels without CONFIG_PROC_CHILDREN."""
    if not entry.name.isdigit():
        return 0
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def seen(pid: int) -> tuple[str, float]:
    """A process's state letter, and the seconds that it has waited for a processor so far.

    A process that is gone is in state X, as ps(1) would say; a kernel without scheduler statistics
    knows of no waiting.
    """
    folder = Path(f"/proc/{pid}")
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X", 0.0
    try:
        return state, int((folder / "schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return state, 0.0
