"""What must hold of the master's books at any time: its own look at itself before it says it lives.

Not a check of children (they may be as ill as they like), but of the promise to attend to each.
"""

from collections.abc import Iterable, Iterator

from arenad.master.life import PROCESS_PHASES, TABLE, Event
from arenad.master.supervised import Supervised

WAITING = frozenset(phase for phase, event in TABLE if event is Event.DEADLINE)
"""The phases that end by a deadline if by nothing else."""

LATE_S = 2.0
"""A deadline that passed so long ago, and whose timer did nothing, is forgotten."""


def faults(children: Iterable[Supervised], now_s: float) -> list[str]:
    """Everything that is wrong, in words; to be asked between two turns of the loop."""
    return [f"{child.name} {fault}" for child in children for fault in _faults(child, now_s)]


def _faults(child: Supervised, now_s: float) -> Iterator[str]:
    phase, deadline_s = child.life.phase, child.life.deadline_s
    if phase in WAITING:
        if deadline_s is None or child.timer is None or child.timer.callback is None:
            yield f"is {phase} without a deadline"
        elif now_s - deadline_s > LATE_S:
            yield f"is {phase} though its deadline passed {now_s - deadline_s:.1f} s ago"
    if phase in PROCESS_PHASES and child.order is None:
        yield f"is {phase} without a process"
    elif phase not in PROCESS_PHASES and child.pidfd >= 0:
        yield f"is {phase} with a process"
