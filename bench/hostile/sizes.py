"""What each process of a daemon holds: memory, descriptors, sockets; and what has grown."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

import psutil

from bench.costs import MIB, is_browser


class Size(NamedTuple):
    """Private memory in MiB, open descriptors and sockets, processes."""

    mib: float
    descriptors: int
    sockets: int
    processes: int


MORE = {
    "browser": Size(60.0, 25, 6, 1),
    "frontend": Size(25.0, 4, 2, 0),
    "demo": Size(140.0, 4, 2, 0),
}
OTHERS = Size(15.0, 4, 2, 0)
"""How much a process may have grown after a warm-up: caches and logs are bounded, no leak is.

The demo arena is a site: it keeps the last 1000 chats, up to 128 MiB.
"""


def sizes(processes: Iterable[psutil.Process]) -> dict[str, Size]:
    """By the name of each process; all of a browser's count as one, which is its worker's."""
    found: dict[str, Size] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            name = _name_of(process)
            size = _size_of(process)
            before = found.get(name, Size(0.0, 0, 0, 0))
            found[name] = Size(*(a + b for a, b in zip(before, size, strict=True)))
    return found


def _name_of(process: psutil.Process) -> str:
    if not is_browser(process):
        return " ".join(process.cmdline()).strip().removeprefix("arenad: ")
    for each in (process, *process.parents()):
        if not is_browser(each):
            return f"browser of {_name_of(each)}"
    return "browser"


def _size_of(process: psutil.Process) -> Size:
    sockets = len(process.net_connections("all"))
    return Size(process.memory_full_info().uss / MIB, process.num_fds(), sockets, 1)


def by_role(found: dict[str, Size]) -> dict[str, Size]:
    """The sums over all of a role, whose names differ by a number."""
    sums: dict[str, Size] = {}
    for name, size in sorted(found.items()):
        role = name.rstrip("0123456789").removesuffix(" w").removesuffix("-")
        before = sums.get(role, Size(0.0, 0, 0, 0))
        sums[role] = Size(*(a + b for a, b in zip(before, size, strict=True)))
    return sums


def grown(before: dict[str, Size], after: dict[str, Size]) -> list[str]:
    """What is more than may be, in words; also whoever is gone, or has come."""
    faults = [f"{name} is gone" for name in before.keys() - after.keys()]
    faults += [f"{name} was not there before" for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        role = next((each for each in MORE if name.startswith(each)), "")
        most = MORE.get(role, OTHERS)
        for field, was, now, more in zip(
            Size._fields, before[name], after[name], most, strict=True
        ):
            if now > was + more:
                faults.append(f"{name}: {field} {was:g} before, {now:g} after")
    return sorted(faults)
