"""The daemon's state in words: the verdict that answers "is it well?". A brain."""

from collections.abc import Sequence

from arenad.schema.control import ChildState, Word
from arenad.schema.paths import view_url
from arenad.schema.process import SessionIs


def serves(child: ChildState) -> bool:
    """Whether this worker takes requests now."""
    return child.role == "worker" and child.phase == "ready" and child.condition == "ready"


def happened(news: SessionIs, name: str, gui_url: str) -> str:
    """The story's line of a session: its condition, why, and where a person may clear it."""
    told = f"{news.condition}: {news.reason}"
    needs_person = news.condition in ("needs_login", "needs_human")
    return f"{told}; a person clears it at {view_url(gui_url, name)}" if needs_person else told


def verdict(children: Sequence[ChildState], wanted: int, *, leaving: bool) -> tuple[Word, str]:
    """One word and one sentence: of chats, which need no recorder."""
    children = [child for child in children if child.role != "recorder"]
    workers = [child for child in children if child.role == "worker"]
    able = sum(serves(child) and not child.spare for child in workers)
    count = f"{able} of {wanted} {'instance' if wanted == 1 else 'instances'} ready"
    if spares := sum(child.spare for child in workers):
        count += f", +{_counted(spares, 'spare')}"
    if leaving:
        running = sum(child.busy for child in workers)
        return "stopping", f"stopping: {_counted(running, 'chat')} still running"
    frontends = [child for child in children if child.role == "frontend"]
    troubles = [trouble for child in children if (trouble := _trouble(child))]
    is_served = any(child.phase == "ready" for child in frontends)
    if not is_served:
        troubles.insert(0, "no frontend serves requests")
    if all(map(_is_coming, frontends)) and len(troubles) == 1:
        return "starting", f"starting: {count}"
    if troubles:
        word: Word = "degraded" if able and is_served else "down"
        if able >= max(1, wanted) and is_served and _are_of_workers(children):
            word = "well"  # a spare has taken the place
        return word, f"{word}: {count}; {'; '.join(troubles)}"
    if able < wanted and any(map(_is_coming, workers)):
        return "starting", f"starting: {count}"
    word = "well" if able and able >= wanted else "degraded" if able else "down"
    return word, f"{word}: {count}"


def history_trouble(children: Sequence[ChildState], fault: str) -> str:
    """What to add to the verdict when the past is not being recorded; empty when all is well."""
    recorders = [child for child in children if child.role == "recorder"]
    troubles = [fault, *(_trouble(child) for child in recorders)]
    said = "; ".join(filter(None, troubles))
    return f"; history is not being recorded: {said}" if said else ""


def _are_of_workers(children: Sequence[ChildState]) -> bool:
    """Whether only instances have trouble."""
    return all(child.role == "worker" for child in children if _trouble(child))


def _is_coming(child: ChildState) -> bool:
    """Whether it is on its first way up, or opening its page."""
    is_first = child.phase == "starting" and not child.last_death
    return is_first or (child.phase == "ready" and child.condition == "opening")


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
