"""How far a command has come: a `State` against what was wished. No I/O, no clock.

A wish is a function from a state to a `Look`; `commands` follows the daemon's states through it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from arenactl.render import condition_of, why, workers
from arenad.schema.control import ChildState, State
from arenad.schema.process import template_of

MOVING = ("starting", "draining", "stopping")
"""Phases that end by themselves."""

_WORDS = (
    *("spare", "starting", "opening", "draining", "stopping", "backoff", "resting"),
    *("needs_login", "needs_human", "expired", "away", "outdated", "broken", "failed"),
)
"""The order in which a progress line counts what is not ready."""


class Look(NamedTuple):
    """What one state says about a wish; `missing` names the children that are still awaited."""

    end: Literal["open", "done", "failed"]
    line: str
    missing: str = ""


Wish = Callable[[State], Look]


def scaled(wanted: int, before: State, template: str = "") -> Wish:
    """Exactly so many instances (of a template) are ready, and nothing else is on its way."""
    known = _failures(before)

    def look(state: State) -> Look:
        crew = [child for child in workers(state) if template_of(child.name) == template]
        others = [child for child in crew if condition_of(child) != "ready"]
        ready = len(crew) - len(others)
        aim = state.templates.get(template, 0) if template else state.instances_wanted
        line = _count_line(wanted, ready, others, aim)
        moving = [child for child in others if child.phase in MOVING]
        if fresh := [each for each in crew if _life(each) in _failures(state) - known]:
            return Look("failed", why(fresh[0]))
        if ready == wanted and not moving:
            return Look("done", line)
        return Look("open", line, ", ".join(map(why, others)))

    return look


def _count_line(wanted: int, ready: int, others: Sequence[ChildState], aim: int) -> str:
    """For example `3 of 5 ready, 2 starting`."""
    counts = Counter(condition_of(child) for child in others)
    parts = [f"{ready} of {wanted} ready"]
    parts += [f"{counts[word]} {word}" for word in _WORDS if counts[word]]
    if aim != wanted:
        parts.append(f"but the daemon now wants {aim}")
    return ", ".join(parts)


def restarted(name: str, before: State) -> Wish:
    """This child is ready in a later generation than before."""
    old = _child(before, name)
    if old is not None and old.role == "frontend":
        return renewed(before)  # its successor has another name
    generation = old.generation if old else -1

    def look(state: State) -> Look:
        child = _child(state, name)
        if child is None:
            return Look("failed", f"{name} is gone")
        line = f"{why(child)}, generation {child.generation}"
        if child.generation > generation and child.phase == "failed":
            return Look("failed", why(child))
        if child.generation > generation and condition_of(child) in ("ready", "spare"):
            return Look("done", line)
        return Look("open", line)

    return look


def drained(name: str, before: State) -> Wish:
    """This instance is stopped, or no longer there."""
    known = _failures(before)

    def look(state: State) -> Look:
        child = _child(state, name)
        if child is None:
            return Look("done", f"{name} is gone")
        if child.phase == "stopped":
            return Look("done", f"{name} is stopped")
        if _life(child) in _failures(state) - known:
            return Look("failed", why(child))
        requests = "request" if child.busy == 1 else "requests"
        line = f"{name} is {child.phase}, {child.busy} {requests} running"
        return Look("open", line)

    return look


def renewed(before: State) -> Wish:
    """Nothing is outdated any more, and nobody is on the way in or out."""
    known = _failures(before)

    def look(state: State) -> Look:
        outdated = [child for child in state.children if child.outdated]
        moving = [child for child in state.children if child.phase in MOVING]
        line = f"{len(outdated)} to be replaced, {len(moving)} starting or leaving"
        if fresh := [each for each in state.children if _life(each) in _failures(state) - known]:
            return Look("failed", why(fresh[0]))
        if not outdated and not moving:
            return Look("done", "every process is up to date")
        return Look("open", line, ", ".join(map(why, [*outdated, *moving])))

    return look


def _failures(state: State) -> set[tuple[str, int]]:
    """The lives that had failed already, which no command of ours is to blame for."""
    return {_life(each) for each in state.children if each.phase == "failed"}


def _life(child: ChildState) -> tuple[str, int]:
    """A name and a generation: one incarnation of a child."""
    return child.name, child.generation


def _child(state: State, name: str) -> ChildState | None:
    return next((child for child in state.children if child.name == name), None)
