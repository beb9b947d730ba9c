"""What a child's silence means: a brain that says when to mark, when to spare, when to kill.

Children wind a switch. One whose switch has run down is looked at: a stopped process goes at once;
of a running one only that silence counts in which it had a processor to speak with, so that a busy
machine kills nobody. After a little of it the child is marked (nobody is sent to it any more),
after a lot it is killed; wound again, it is well.
"""

import enum

import msgspec

AGAIN_S = 0.05
"""The least time between two looks."""

GRACE_S = 0.2
"""A child whose switch has run down is marked after so long with a processor and without a beat."""


class Limits(msgspec.Struct, frozen=True):
    """After how much silence a child is marked, and after how much it is killed."""

    silent_s: float
    hung_s: float

    @property
    def wound_s(self) -> float:
        """How long a switch may go without being wound."""
        return max(self.silent_s - GRACE_S, self.silent_s / 2)


class Seen(msgspec.Struct, frozen=True):
    """A child as the kernel tells of it: its state, how long it waited for a processor, its switch.

    `overslept_s` is how late we ourselves look: who was not awake cannot say who was silent.
    """

    at_s: float
    state: str
    waited_s: float
    has_run_down: bool = True
    overslept_s: float = 0.0


class Silence(msgspec.Struct, frozen=True):
    """When a child was last heard; since which look it is doubted, and whether it is marked."""

    heard_s: float
    since: Seen | None = None
    is_marked: bool = False


class Order(enum.Enum):
    """What to do about it."""

    WAIT = "wait"
    MARK = "mark"
    CLEAR = "clear"
    KILL = "kill"


class Opinion(msgspec.Struct, frozen=True):
    """The order, why, and when to look again; never, when the switch will say so by itself."""

    order: Order
    next_s: float | None = None
    reason: str = ""


def stopped(silence: Silence, seen: Seen, patience_s: float) -> tuple[Silence, Opinion]:
    """The kernel says that a child was stopped: marked at once, it has so long to go on."""
    order = Order.WAIT if silence.is_marked else Order.MARK
    doubted = Silence(silence.heard_s, seen, is_marked=True)
    return doubted, Opinion(order, seen.at_s + patience_s, "its process was stopped")


def look(silence: Silence, seen: Seen, limits: Limits) -> tuple[Silence, Opinion]:
    """One look at a child that is doubted, or whose switch has just run down."""
    now_s = seen.at_s
    if silence.since is None:
        silence = Silence(now_s - limits.wound_s, seen)
        doubt = seen
    else:
        doubt = silence.since
    quiet_s = now_s - silence.heard_s
    if seen.overslept_s >= limits.silent_s / 2:
        return Silence(now_s, seen, silence.is_marked), Opinion(Order.WAIT, now_s + limits.wound_s)
    if seen.state == "T" and (seen.has_run_down or silence.is_marked):
        return silence, Opinion(Order.KILL, reason=f"{_quiet(quiet_s)}; its process is stopped")
    if not seen.has_run_down:
        order = Order.CLEAR if silence.is_marked else Order.WAIT
        return Silence(now_s), Opinion(order, reason=f"beats again after {quiet_s:.1f} s")
    if seen.state in "tZX":  # a debugger holds it, or its end is on its way
        return silence, Opinion(Order.WAIT, now_s + limits.silent_s)
    return _judged(silence, doubt, seen, limits)


def _judged(silence: Silence, doubt: Seen, seen: Seen, limits: Limits) -> tuple[Silence, Opinion]:
    """A running process that does not beat: whether our patience with it is used up."""
    quiet_s = seen.at_s - silence.heard_s
    excused_s = max(0.0, seen.waited_s - doubt.waited_s)
    guilty_s = seen.at_s - doubt.at_s - excused_s
    if not silence.is_marked and guilty_s < GRACE_S:
        return silence, Opinion(Order.WAIT, seen.at_s + max(GRACE_S - guilty_s, AGAIN_S))
    missing_s = limits.hung_s - limits.wound_s - guilty_s
    if not silence.is_marked:
        marked = Silence(silence.heard_s, doubt, is_marked=True)
        return marked, Opinion(Order.MARK, seen.at_s + max(missing_s, AGAIN_S), _quiet(quiet_s))
    if missing_s > 0:
        return silence, Opinion(Order.WAIT, seen.at_s + max(missing_s, AGAIN_S))
    does = {"R": "is busy", "D": "waits for the kernel"}.get(seen.state, "sleeps")
    reason = f"{_quiet(quiet_s)}; its process {does}, its event loop stands still"
    return silence, Opinion(Order.KILL, reason=reason)


def _quiet(quiet_s: float) -> str:
    return f"gave no beat for {quiet_s:.1f} s"
