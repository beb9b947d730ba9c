"""What a child's silence means: a brain that says when to mark, when to spare, when to kill.

Children beat. One whose beats are late is marked: nobody is sent to it any more. The kill waits for
a second opinion from the kernel: a stopped process goes at once; of a running one only that silence
counts in which it had a processor to speak with, so that a busy machine kills nobody.
"""

import enum

import msgspec

AGAIN_S = 0.05
"""The least time between two looks."""


class Limits(msgspec.Struct, frozen=True):
    """After how much silence a child is marked, and after how much it is killed."""

    silent_s: float
    hung_s: float


class Seen(msgspec.Struct, frozen=True):
    """A process as the kernel tells of it: its state, and how long it waited for a processor.

    `overslept_s` is how late we ourselves look: who was not awake cannot say who was silent.
    """

    at_s: float
    state: str
    waited_s: float
    overslept_s: float = 0.0


class Silence(msgspec.Struct, frozen=True):
    """When a child was last heard, and what was seen when it was marked."""

    heard_s: float
    marked: Seen | None = None


class Order(enum.Enum):
    """What to do about it."""

    WAIT = "wait"
    MARK = "mark"
    CLEAR = "clear"
    KILL = "kill"


class Opinion(msgspec.Struct, frozen=True):
    """The order, why, and when to look again."""

    order: Order
    next_s: float
    reason: str = ""


def look(silence: Silence, seen: Seen, limits: Limits) -> tuple[Silence, Opinion]:
    """One look at a child whose beat may be late."""
    now_s = seen.at_s
    if seen.overslept_s >= limits.silent_s / 2:
        fresh = Silence(now_s, silence.marked)
        return fresh, Opinion(Order.WAIT, now_s + limits.silent_s)
    quiet_s = now_s - silence.heard_s
    is_late = quiet_s >= limits.silent_s
    if seen.state == "T" and (is_late or silence.marked is not None):
        return silence, Opinion(Order.KILL, now_s, f"{_quiet(quiet_s)}; its process is stopped")
    if not is_late:
        order = Order.WAIT if silence.marked is None else Order.CLEAR
        return Silence(silence.heard_s), Opinion(order, silence.heard_s + limits.silent_s)
    if seen.state in "tZX":  # a debugger holds it, or its end is on its way
        return silence, Opinion(Order.WAIT, now_s + limits.silent_s)
    if silence.marked is None:
        marked = Silence(silence.heard_s, seen)
        next_s = max(silence.heard_s + limits.hung_s, now_s + AGAIN_S)
        return marked, Opinion(Order.MARK, next_s, _quiet(quiet_s))
    return silence, _judged(silence.marked, seen, quiet_s, limits)


def _judged(marked: Seen, seen: Seen, quiet_s: float, limits: Limits) -> Opinion:
    """A running process that was marked before: whether our patience with it is used up."""
    excused_s = max(0.0, seen.waited_s - marked.waited_s)
    missing_s = limits.hung_s - limits.silent_s - (seen.at_s - marked.at_s - excused_s)
    if missing_s > 0:
        return Opinion(Order.WAIT, seen.at_s + max(missing_s, AGAIN_S))
    does = {"R": "is busy", "D": "waits for the kernel"}.get(seen.state, "sleeps")
    reason = f"{_quiet(quiet_s)}; its process {does}, its event loop stands still"
    return Opinion(Order.KILL, seen.at_s, reason)


def _quiet(quiet_s: float) -> str:
    return f"gave no beat for {quiet_s:.1f} s"
