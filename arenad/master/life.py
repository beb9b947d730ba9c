"""The life of one child as a table: phase and event in, next phase and orders out.

A brain: no clock, no randomness, no I/O. `step` takes the time and, for a death, a draw between 0
and 1 for the jitter. Every phase that waits for something has a deadline, and FORK is ordered only
from phases that have no process, so there are never two processes for one life.
"""

import enum
from typing import NamedTuple

import msgspec

from arenad.schema.control import Phase

FREE_FAILURES = 1
"""A child that was well may die once and is replaced at once; only the next death waits."""


class Event(enum.Enum):
    """What can happen to a child, or be wished for it."""

    START = "start"
    READY = "ready"
    DIED = "died"
    DEADLINE = "deadline"
    DRAIN = "drain"
    DRAINED = "drained"
    STOP = "stop"
    RESTART = "restart"
    RESET = "reset"


class Order(enum.Enum):
    """What the body has to do."""

    FORK = "fork"
    ASK_DRAIN = "ask to drain"
    ASK_STOP = "ask to stop"
    KILL = "kill"
    ALARM = "raise the alarm"


class Rules(msgspec.Struct, frozen=True):
    """Deadlines in seconds, and how many deaths in how long a window are too many."""

    start_timeout_s: float
    drain_timeout_s: float
    stop_timeout_s: float
    backoff_first_s: float
    backoff_limit_s: float
    deaths: int
    deaths_window_s: float
    failed_retry_s: float


class Life(msgspec.Struct, frozen=True):
    """Where a child stands. `generation` counts its processes; `wanted` is the goal: up or not.

    `deaths` are the times of recent deaths (one before the first ready stands twice), `failures`
    counts those since it was last well. Of its present process, `was_ready` says that it has been
    ready, and `forced` that a deadline has ordered the kill.
    """

    phase: Phase = "stopped"
    wanted: bool = False
    generation: int = 0
    since_s: float = 0.0
    deadline_s: float | None = None
    deaths: tuple[float, ...] = ()
    failures: int = 0
    was_ready: bool = False
    forced: bool = False


class Row(NamedTuple):
    """One cell of the table. `to` is None where a death decides (`_after_death`).

    `wanted` is the new goal, where the event sets one; `clean` forgets past deaths.
    """

    to: Phase | None
    orders: tuple[Order, ...] = ()
    wanted: bool | None = None
    forced: bool = False
    clean: bool = False


_STOP = (Order.ASK_STOP,)
_FORK = (Order.FORK,)

TABLE: dict[tuple[Phase, Event], Row] = {
    ("stopped", Event.START): Row("starting", _FORK, wanted=True, clean=True),
    ("stopped", Event.RESTART): Row("starting", _FORK, wanted=True, clean=True),
    ("stopped", Event.DRAIN): Row("stopped", wanted=False),
    ("stopped", Event.STOP): Row("stopped", wanted=False),
    ("stopped", Event.RESET): Row("stopped", clean=True),
    ("starting", Event.READY): Row("ready"),
    ("starting", Event.DIED): Row(None),
    ("starting", Event.DEADLINE): Row("stopping", (Order.KILL,), forced=True),
    ("starting", Event.START): Row("starting", wanted=True),
    ("starting", Event.DRAIN): Row("stopping", _STOP, wanted=False),
    ("starting", Event.STOP): Row("stopping", _STOP, wanted=False),
    ("starting", Event.RESTART): Row("stopping", _STOP, wanted=True),
    ("starting", Event.RESET): Row("starting", clean=True),
    ("ready", Event.START): Row("ready", wanted=True),
    ("ready", Event.DIED): Row(None),
    ("ready", Event.DRAIN): Row("draining", (Order.ASK_DRAIN,), wanted=False),
    ("ready", Event.STOP): Row("stopping", _STOP, wanted=False),
    ("ready", Event.RESTART): Row("draining", (Order.ASK_DRAIN,), wanted=True),
    ("ready", Event.RESET): Row("ready", clean=True),
    ("draining", Event.START): Row("draining", wanted=True),
    ("draining", Event.DRAINED): Row("stopping", _STOP),
    ("draining", Event.DIED): Row(None),
    ("draining", Event.DEADLINE): Row("stopping", _STOP),
    ("draining", Event.DRAIN): Row("draining", wanted=False),
    ("draining", Event.STOP): Row("stopping", _STOP, wanted=False),
    ("draining", Event.RESTART): Row("draining", wanted=True),
    ("draining", Event.RESET): Row("draining", clean=True),
    ("stopping", Event.START): Row("stopping", wanted=True),
    ("stopping", Event.DIED): Row(None),
    ("stopping", Event.DEADLINE): Row("stopping", (Order.KILL,), forced=True),
    ("stopping", Event.DRAIN): Row("stopping", wanted=False),
    ("stopping", Event.STOP): Row("stopping", wanted=False),
    ("stopping", Event.RESTART): Row("stopping", wanted=True),
    ("stopping", Event.RESET): Row("stopping", clean=True),
    ("backoff", Event.START): Row("backoff", wanted=True),
    ("backoff", Event.DEADLINE): Row("starting", _FORK),
    ("backoff", Event.DRAIN): Row("stopped", wanted=False),
    ("backoff", Event.STOP): Row("stopped", wanted=False),
    ("backoff", Event.RESTART): Row("starting", _FORK, wanted=True, clean=True),
    ("backoff", Event.RESET): Row("starting", _FORK, clean=True),
    ("failed", Event.START): Row("failed", wanted=True),
    ("failed", Event.DEADLINE): Row("starting", _FORK),
    ("failed", Event.DRAIN): Row("stopped", wanted=False),
    ("failed", Event.STOP): Row("stopped", wanted=False),
    ("failed", Event.RESTART): Row("starting", _FORK, wanted=True, clean=True),
    ("failed", Event.RESET): Row("starting", _FORK, clean=True),
}
"""Every event that means something, by phase. What is not here is late news and changes nothing."""

LATE: frozenset[tuple[Phase, Event]] = frozenset(
    {
        ("stopped", Event.READY),
        ("stopped", Event.DIED),
        ("stopped", Event.DEADLINE),
        ("stopped", Event.DRAINED),
        ("starting", Event.DRAINED),
        ("ready", Event.READY),
        ("ready", Event.DEADLINE),
        ("ready", Event.DRAINED),
        ("draining", Event.READY),
        ("stopping", Event.READY),
        ("stopping", Event.DRAINED),
        ("backoff", Event.READY),
        ("backoff", Event.DIED),
        ("backoff", Event.DRAINED),
        ("failed", Event.READY),
        ("failed", Event.DIED),
        ("failed", Event.DRAINED),
    }
)
"""News that can cross a change on its way: it is ignored, and a test holds that nothing else is."""

PROCESS_PHASES: frozenset[Phase] = frozenset({"starting", "ready", "draining", "stopping"})
"""The phases in which there is a process."""


def step(
    life: Life, event: Event, now_s: float, rules: Rules, draw: float = 0.0
) -> tuple[Life, tuple[Order, ...]]:
    """What the event makes of this life, and what to do about it."""
    row = TABLE.get((life.phase, event))
    if row is None:
        return life, ()
    if row.to is None:
        return _after_death(life, now_s, rules, draw)
    wanted = life.wanted if row.wanted is None else row.wanted
    if row.clean:
        life = msgspec.structs.replace(life, deaths=(), failures=0)
    if row.to == life.phase and not row.orders:
        return msgspec.structs.replace(life, wanted=wanted), ()
    forced = life.forced or row.forced
    entered = msgspec.structs.replace(life, wanted=wanted, forced=forced)
    return _enter(entered, row.to, now_s, rules), row.orders


def _enter(life: Life, phase: Phase, now_s: float, rules: Rules) -> Life:
    """Into the phase, with its deadline; a new process has no past."""
    timeout_s = {
        "starting": rules.start_timeout_s,
        "draining": rules.drain_timeout_s,
        "stopping": rules.stop_timeout_s,
        "failed": rules.failed_retry_s,
    }.get(phase)
    is_new = phase == "starting"
    return msgspec.structs.replace(
        life,
        phase=phase,
        since_s=now_s,
        deadline_s=None if timeout_s is None else now_s + timeout_s,
        generation=life.generation + is_new,
        failures=0 if _was_well(life, now_s, rules) else life.failures,
        was_ready=phase == "ready" or (life.was_ready and not is_new),
        forced=life.forced and phase == "stopping",
    )


def _was_well(life: Life, now_s: float, rules: Rules) -> bool:
    """Whether it has been ready for so long that its failures before no longer count."""
    return life.phase == "ready" and now_s - life.since_s >= rules.deaths_window_s


def _after_death(
    life: Life, now_s: float, rules: Rules, draw: float
) -> tuple[Life, tuple[Order, ...]]:
    """An asked stop is no death; any other is counted, and answered by backoff or the alarm."""
    if not life.wanted:
        return _enter(life, "stopped", now_s, rules), ()
    if life.phase == "stopping" and not life.forced:
        return _enter(life, "starting", now_s, rules), _FORK
    weight = 1 if life.was_ready else 2
    recent = tuple(at for at in life.deaths if now_s - at < rules.deaths_window_s)
    deaths = (recent + (now_s,) * weight)[-rules.deaths :]
    is_too_much = len(deaths) >= rules.deaths
    waiting = _enter(life, "failed" if is_too_much else "backoff", now_s, rules)
    waiting = msgspec.structs.replace(waiting, deaths=deaths, failures=waiting.failures + 1)
    if is_too_much:
        return waiting, (Order.ALARM,)
    delay_s = draw * backoff_limit_s(waiting.failures, rules)
    return msgspec.structs.replace(waiting, deadline_s=now_s + delay_s), ()


def backoff_limit_s(failures: int, rules: Rules) -> float:
    """The longest wait after so many failures in a row; a child's is drawn between 0 and this."""
    if failures <= FREE_FAILURES:
        return 0.0
    doublings = min(failures - FREE_FAILURES - 1, 32)
    return min(rules.backoff_limit_s, rules.backoff_first_s * 2.0**doublings)


def drawn() -> str:
    """The table as a Mermaid state diagram, one arrow for each pair of phases."""
    arrows: dict[tuple[Phase, Phase], dict[tuple[Order, ...], list[str]]] = {}
    for (phase, event), row in TABLE.items():
        alive: dict[Phase, tuple[Order, ...]] = {row.to: row.orders} if row.to else {}
        targets = alive or _DEATHS[phase]
        for target, orders in targets.items():
            if target != phase or orders:
                labels = arrows.setdefault((phase, target), {})
                labels.setdefault(orders, []).append(event.value)
    return "\n".join(
        ["stateDiagram-v2", "    [*] --> stopped"]
        + [f"    {a} --> {b}: {_label(labels)}" for (a, b), labels in arrows.items()]
    )


_DEATHS: dict[Phase, dict[Phase, tuple[Order, ...]]] = {
    "starting": {"backoff": (), "failed": (Order.ALARM,)},
    "ready": {"backoff": (), "failed": (Order.ALARM,)},
    "draining": {"backoff": (), "failed": (Order.ALARM,), "stopped": ()},
    "stopping": {"backoff": (), "failed": (Order.ALARM,), "stopped": (), "starting": _FORK},
}
"""Where a death can lead, for the drawing; a test holds it equal to what `step` does."""


def _label(labels: dict[tuple[Order, ...], list[str]]) -> str:
    return " · ".join(
        ", ".join(events) + (f" / {orders[0].value}" if orders else "")
        for orders, events in labels.items()
    )
