"""The daemon's state in words: the verdict that answers "is it well?". A brain."""

from collections.abc import Sequence

from arenad.schema.control import ChildState, Word


def serves(child: ChildState) -> bool:
    """Whether this worker takes requests now."""
    return child.role == "worker" and child.phase == "ready" and child.condition == "ready"


def verdict(children: Sequence[ChildState], wanted: int, *, leaving: bool) -> tuple[Word, str]:
    """One word and one sentence."""
    workers = [child for child in children if child.role == "worker"]
    able = sum(map(serves, workers))
    count = f"{able} of {wanted} {'instance' if wanted == 1 else 'instances'} ready"
    if leaving:
        running = sum(child.busy for child in workers)
        return "stopping", f"stopping: {_counted(running, 'chat')} still running"
    if not any(child.role == "frontend" and child.phase == "ready" for child in children):
        return "down", f"down: no frontend serves requests; {count}"
    troubles = [trouble for child in children if (trouble := _trouble(child))]
    on_the_way = any(child.phase == "starting" or child.condition == "opening" for child in workers)
    if troubles:
        word: Word = "degraded" if able else "down"
        return word, f"{word}: {count}; {'; '.join(troubles)}"
    if able < wanted and on_the_way:
        return "starting", f"starting: {count}"
    if able < wanted or not able:
        return ("degraded" if able else "down"), f"{'degraded' if able else 'down'}: {count}"
    return "well", f"well: {count}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _trouble(child: ChildState) -> str:
    """What is wrong with a child, in a clause; empty when nothing is."""
    if child.phase == "failed":
        return f"{child.name} failed too often ({child.last_death})"
    if child.phase == "backoff":
        return f"{child.name} waits to be restarted ({child.last_death})"
    if child.phase == "starting" and child.last_death:
        return f"{child.name} is restarting ({child.last_death})"
    if child.phase == "stopped":
        return f"{child.name} is drained"
    if child.phase == "ready" and child.condition not in (None, "ready", "opening"):
        return f"{child.name} is {child.condition} ({child.condition_reason})"
    return ""
