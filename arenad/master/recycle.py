"""Which instance is worn and is to be replaced by a fresh one: a brain.

One at a time, and only while all that are wanted are ready: with a spare nothing is missed, without
one only the slots of the instance itself are, while it starts anew.
"""

from collections.abc import Sequence

import msgspec

from arenad.schema.config import RecycleConfig
from arenad.schema.process import Beat

READINGS = 2
"""One measurement over the limit may be a peak; two in a row are a size."""

IDLE_READINGS = 6
"""Over so many measurements in a row the work of an instance without a chat is averaged: a page may
tidy up for a while after a chat, or load something by itself."""

_MIB = 1024 * 1024


class Past(msgspec.Struct, frozen=True):
    """What the measurements of one process have shown so far.

    `over_…` count the latest ones in a row that were over the limit; `idle_cpu` has the latest
    ones in a row that had no chat, in percent of a processor.
    """

    readings: int = 0
    chats: int = 0
    had_chat: bool = False
    over_memory: int = 0
    over_descriptors: int = 0
    idle_cpu: tuple[float, ...] = ()


class Wear(msgspec.Struct, frozen=True):
    """What a ready instance has been through.

    `draw`, from 0 to 1, is drawn once for each process.
    """

    name: str
    age_s: float
    beat: Beat
    past: Past = Past()
    draw: float = 0.0


def take(past: Past, beat: Beat, rules: RecycleConfig) -> Past:
    """The past after one more beat. One that brings no new measurement only tells of chats."""
    chats = beat.answered + beat.failed
    had_chat = past.had_chat or beat.busy > 0 or chats != past.chats
    if beat.readings == past.readings:
        return msgspec.structs.replace(past, had_chat=had_chat)
    is_over_memory = 0 < rules.memory_bytes < beat.memory_bytes
    is_over_descriptors = 0 < rules.descriptors < beat.descriptors
    return Past(
        readings=beat.readings,
        chats=chats,
        had_chat=beat.busy > 0,
        over_memory=past.over_memory + 1 if is_over_memory else 0,
        over_descriptors=past.over_descriptors + 1 if is_over_descriptors else 0,
        idle_cpu=() if had_chat else (*past.idle_cpu, beat.cpu_percent)[-IDLE_READINGS:],
    )


def reason(wear: Wear, rules: RecycleConfig) -> str:
    """Why it is to be replaced; empty if it is not."""
    return _leak(wear, rules) or _use(wear, rules)


def _leak(wear: Wear, rules: RecycleConfig) -> str:
    """What grows, or burns, and would be worse tomorrow."""
    past, beat = wear.past, wear.beat
    if rules.memory_bytes and past.over_memory >= READINGS:
        limit = f"{rules.memory_bytes // _MIB} MiB, recycle.memory_bytes"
        return f"it takes {beat.memory_bytes // _MIB} MiB ({limit})"
    if rules.descriptors and past.over_descriptors >= READINGS:
        limit = f"recycle.descriptors {rules.descriptors}"
        return f"it has {beat.descriptors} descriptors open ({limit})"
    if rules.idle_cpu_percent and len(past.idle_cpu) == IDLE_READINGS:
        mean = sum(past.idle_cpu) / IDLE_READINGS
        if mean > rules.idle_cpu_percent:
            limit = f"recycle.idle_cpu_percent {rules.idle_cpu_percent}"
            return f"it has no chat and uses {mean:.0f} % of a processor ({limit})"
    return ""


def _use(wear: Wear, rules: RecycleConfig) -> str:
    """Plain age, in requests or in time; less of it by the jitter of its draw."""
    share = 1.0 - rules.jitter_percent / 100 * wear.draw
    requests = wear.beat.answered + wear.beat.failed
    if rules.requests and requests >= max(1, int(rules.requests * share)):
        return f"it has had {requests} requests (recycle.requests {rules.requests})"
    if rules.age_s and wear.age_s >= rules.age_s * share:
        return f"it has been up for {wear.age_s:.0f} s (recycle.age_s {rules.age_s:g})"
    return ""


def choose(crew: Sequence[Wear], wanted: int, rules: RecycleConfig) -> tuple[str, str] | None:
    """Name and reason of the one to replace now, from all instances that serve (spares too).

    A leak goes before an age.
    """
    if len(crew) < max(1, wanted):
        return None
    worn = [(wear, why) for wear in crew if (why := reason(wear, rules))]
    if not worn:
        return None
    wear, why = max(worn, key=lambda each: (bool(_leak(each[0], rules)), each[0].age_s))
    return wear.name, why
