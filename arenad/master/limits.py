"""What the limits of an instance mean to the kernel, and to people. A brain.

A limit is held by a controller of cgroup v2, in the group that each instance has of its own.
"""

from collections.abc import Mapping, Sequence

import msgspec

from arenad.schema.config import LimitsConfig

CPU_PERIOD_US = 100_000
"""The time over which the kernel shares out `cpu.max`; its own default."""

_MIB = 1024 * 1024


class Limit(msgspec.Struct, frozen=True):
    """One limit: its field, its controller, itself in words, what is written where."""

    field: str
    controller: str
    words: str
    files: tuple[tuple[str, str], ...]


class Missing(msgspec.Struct, frozen=True):
    """A limit that cannot be held here, and why."""

    field: str
    why: str


def limits_of(config: LimitsConfig) -> tuple[Limit, ...]:
    """The limits that are set. Whoever meets that of memory ends as a whole, not by halves."""
    found: list[Limit] = []
    if config.memory_max_bytes:
        files = (("memory.max", str(config.memory_max_bytes)), ("memory.oom.group", "1"))
        words = f"{_mib(config.memory_max_bytes)} of memory"
        found.append(Limit("limits.memory_max_bytes", "memory", words, files))
    if config.cpu_percent:
        quota_us = config.cpu_percent * CPU_PERIOD_US // 100
        words = f"{config.cpu_percent} % of a processor"
        files = (("cpu.max", f"{quota_us} {CPU_PERIOD_US}"),)
        found.append(Limit("limits.cpu_percent", "cpu", words, files))
    if config.tasks:
        words = f"{config.tasks} processes and threads"
        found.append(Limit("limits.tasks", "pids", words, (("pids.max", str(config.tasks)),)))
    return tuple(found)


def sentence(folder: str, held: Sequence[Limit], missing: Sequence[Missing]) -> str:
    """What is said once, at the start, where instances have groups."""
    said = [f"each instance has a control group of its own in {folder}"]
    if held:
        said.append(f"limited to {', '.join(limit.words for limit in held)}")
    said += [f"{each.field} is not held: {each.why}" for each in missing]
    return "; ".join(said)


def verdict(
    config: LimitsConfig, memory_events: Mapping[str, int], pids_events: Mapping[str, int]
) -> str:
    """Whether a limit is why an instance died, by its group's `memory.events` and `pids.events`.

    `oom_kill` counts every process that the kernel killed for want of memory, `oom` only when it
    was the group's own limit that was met: without the one, the other was somebody else's want.
    """
    if memory_events.get("oom_kill") and memory_events.get("oom"):
        limit = _mib(config.memory_max_bytes)
        return f"its memory limit of {limit} (limits.memory_max_bytes) ended it"
    if memory_events.get("oom_kill"):
        return "the machine, or a group above its own, was out of memory, and the kernel ended it"
    if pids_events.get("max"):
        return f"it wanted more than its {config.tasks} processes and threads (limits.tasks)"
    return ""


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:g} MiB" if size_bytes % _MIB else f"{size_bytes // _MIB} MiB"
