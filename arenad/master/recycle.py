"""Which instance is worn and is to be replaced by a fresh one: a brain.

One at a time, and only while all that are wanted are ready: with a spare nothing is missed, without
one only the slots of the instance itself are, while it starts anew.
"""

from collections.abc import Sequence

import msgspec

from arenad.schema.config import RecycleConfig

READINGS = 2
"""One measurement over the limit may be a peak; two in a row are a size."""

_MIB = 1024 * 1024


class Wear(msgspec.Struct, frozen=True):
    """What a ready instance has been through.

    `over` counts its latest memory readings in a row that were over the limit; `draw`, from 0 to 1,
    is drawn once for each process.
    """

    name: str
    age_s: float
    requests: int
    memory_bytes: int = 0
    over: int = 0
    draw: float = 0.0


def reason(wear: Wear, rules: RecycleConfig) -> str:
    """Why it is to be replaced; empty if it is not."""
    share = 1.0 - rules.jitter_percent / 100 * wear.draw
    if rules.memory_bytes and wear.over >= READINGS:
        limit = f"{rules.memory_bytes // _MIB} MiB, recycle.memory_bytes"
        return f"it takes {wear.memory_bytes // _MIB} MiB ({limit})"
    if rules.requests and wear.requests >= max(1, int(rules.requests * share)):
        return f"it has had {wear.requests} requests (recycle.requests {rules.requests})"
    if rules.age_s and wear.age_s >= rules.age_s * share:
        return f"it has been up for {wear.age_s:.0f} s (recycle.age_s {rules.age_s:g})"
    return ""


def choose(crew: Sequence[Wear], wanted: int, rules: RecycleConfig) -> tuple[str, str] | None:
    """Name and reason of the one to replace now, from all instances that serve (spares too)."""
    if len(crew) < max(1, wanted):
        return None
    worn = [(wear, why) for wear in crew if (why := reason(wear, rules))]
    if not worn:
        return None
    wear, why = max(worn, key=lambda each: (each[0].over, each[0].age_s))
    return wear.name, why
