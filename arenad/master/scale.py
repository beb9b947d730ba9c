"""How many instances the load calls for: samples in, the wished number and the reason out. A brain.

Utilisation is (running + waiting requests) / slots. Its mean over the window, against the target,
tells how many instances are needed; a request that has waited for too long makes the load of that
moment count at once. Fewer are wished only if the same load would then stay below the target less
the hysteresis, and its peak within the slots: what one decision adds the next does not take away.
"""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from arenad.schema.config import AutoscaleConfig

Obstacle = Literal["", "hold", "cooldown", "processor", "memory", "budget", "max"]

_ROUNDING = 1e-9
_MIB = 1024 * 1024


class Sample(msgspec.Struct, frozen=True):
    """What is seen of pool and machine at one moment; `slots` is each instance's room."""

    at_s: float
    ready: int
    starting: int
    busy: int
    queued: int
    slots: int = 1
    queue_wait_s: float | None = None
    cpu_percent: float = 0.0
    memory_available_bytes: int = 2**50

    @property
    def demand(self) -> int:
        """Requests that have a slot or want one."""
        return self.busy + self.queued


class Aim(msgspec.Struct, frozen=True):
    """What is wished now, since when, and until when an operator's word stands."""

    instances: int
    changed_s: float = -math.inf
    held_until_s: float = -math.inf


class Room(msgspec.Struct, frozen=True):
    """Limits from outside: the fleet's, the memory budget's, and what an instance takes."""

    max_instances: int
    affordable: int
    instance_bytes: int


class Decision(msgspec.Struct, frozen=True):
    """The wished number and why; `obstacle` names what kept it from being more, if anything did."""

    instances: int
    why: str
    obstacle: Obstacle = ""


def window(samples: Sequence[Sample], rules: AutoscaleConfig) -> Sequence[Sample]:
    """The samples that still count, with one that is older, to show that the window is full."""
    begin_s = samples[-1].at_s - rules.window_s
    older = sum(sample.at_s <= begin_s for sample in samples)
    return samples[max(0, older - 1) :]


def decide(samples: Sequence[Sample], aim: Aim, rules: AutoscaleConfig, room: Room) -> Decision:
    """The wished number after the last of the samples, which are in the order of time."""
    now = samples[-1]
    least, most = _bounds(rules, room)
    if now.at_s < aim.held_until_s:
        left_s = aim.held_until_s - now.at_s
        return _stay(aim, f"an operator's wish stands for another {left_s:.0f} s", "hold")
    if not least <= aim.instances <= most:
        bounded = min(max(aim.instances, least), most)
        return Decision(bounded, f"{_change(aim, bounded)}: the bounds are {least} and {most}")
    demand = _mean([sample.demand for sample in window(samples, rules)])
    needed = _needed(demand, now.slots, rules.utilisation_percent)
    why = f"{_load(demand, now, aim)} over {rules.window_s:g} s"
    if (now.queue_wait_s or 0.0) >= rules.queue_wait_s:
        at_once = _needed(now.demand, now.slots, rules.utilisation_percent)
        if at_once > needed:
            needed, why = at_once, f"a request has waited {now.queue_wait_s:.1f} s"
    if needed > aim.instances:
        return _rise(samples, aim, rules, room, Decision(needed, why))
    return _fall(samples, aim, rules, demand)


def _bounds(rules: AutoscaleConfig, room: Room) -> tuple[int, int]:
    """The fewest, as far as the budget affords them, and the most."""
    most = min(rules.max or room.max_instances, room.max_instances)
    return min(rules.min, most, room.affordable), most


def _needed(demand: float, slots: int, percent: float) -> int:
    """The instances that this demand keeps busy for so many percent of their time."""
    return math.ceil(100 * demand / (slots * percent) - _ROUNDING)


def _rise(
    samples: Sequence[Sample], aim: Aim, rules: AutoscaleConfig, room: Room, wish: Decision
) -> Decision:
    """As many more as are needed and allowed."""
    now = samples[-1]
    most = _bounds(rules, room)[1]
    if aim.instances >= most:
        return _stay(aim, f"{wish.why}, but {most} are the most allowed", "max")
    if (since_s := now.at_s - aim.changed_s) < rules.up_cooldown_s:
        return _stay(aim, f"{wish.why}, but the last change is {since_s:.0f} s ago", "cooldown")
    cpu_percent = _mean([sample.cpu_percent for sample in window(samples, rules)])
    if cpu_percent > rules.cpu_veto_percent:
        veto = f"the processors are {cpu_percent:.0f} % busy (autoscale.cpu_veto_percent)"
        return _stay(aim, f"{wish.why}, but {veto}", "processor")
    spare_bytes = now.memory_available_bytes - rules.memory_veto_bytes
    fits = aim.instances + max(0, spare_bytes // max(1, room.instance_bytes))
    if rules.memory_veto_bytes and fits <= aim.instances:
        left = f"only {now.memory_available_bytes // _MIB} MiB of memory are available"
        return _stay(aim, f"{wish.why}, but {left} (autoscale.memory_veto_bytes)", "memory")
    if room.affordable <= aim.instances:
        veto = f"{room.affordable} are all that fleet.memory_budget_bytes affords"
        return _stay(aim, f"{wish.why}, but {veto}", "budget")
    caps = (most, room.affordable, fits if rules.memory_veto_bytes else most)
    instances = min(wish.instances, *caps)
    return Decision(instances, f"{_change(aim, instances)}: {wish.why}")


def _fall(samples: Sequence[Sample], aim: Aim, rules: AutoscaleConfig, demand: float) -> Decision:
    """Fewer, by half at most, if the whole window shows that all in it would have had a slot."""
    now = samples[-1]
    why = f"{_load(demand, now, aim)} over {rules.window_s:g} s"
    low = rules.utilisation_percent - rules.hysteresis_percent
    peak = max(sample.demand for sample in window(samples, rules))
    fewer = max(_needed(demand, now.slots, low), _needed(peak, now.slots, 100.0), rules.min)
    fewer = max(fewer, math.ceil(aim.instances / 2))
    since_s = now.at_s - aim.changed_s
    if fewer >= aim.instances:
        return _stay(aim, why)
    if since_s < rules.down_cooldown_s or now.at_s - samples[0].at_s < rules.window_s:
        return _stay(aim, f"{why}, but it is too early for fewer", "cooldown")
    return Decision(fewer, f"{_change(aim, fewer)}: {why}")


def _stay(aim: Aim, why: str, obstacle: Obstacle = "") -> Decision:
    return Decision(aim.instances, why, obstacle)


def _change(aim: Aim, instances: int) -> str:
    return f"from {aim.instances} to {instances}"


def _load(demand: float, now: Sample, aim: Aim) -> str:
    return f"utilisation {100 * demand / max(1, aim.instances * now.slots):.0f} %"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
