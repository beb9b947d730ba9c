"""The pages of arenactl: a `State` in, lines out. No I/O; no line is wider than `COLUMNS`.

Colour only underlines what a word already says; it is added after the text was measured.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from arenactl.text import (
    COLUMNS,
    NOTHING,
    Side,
    age,
    clean,
    clock,
    clock_ms,
    count,
    cut,
    pad,
    percent,
    rate,
    size,
    span,
    width,
    wrap,
)
from arenad.schema.control import (
    ChildState,
    Effect,
    Happening,
    PaceNow,
    Reloaded,
    State,
    StoryOf,
    Traffic,
)
from arenad.schema.paths import view_url
from arenad.schema.process import LogLine

STORY_LINES = 6
RECENT_S = 3600.0
"""A child that is well again tells of its last death for an hour; `instances` always tells."""

_INDENT = "  "
_STORY_INDENT = " " * 12
_LABEL_COLUMNS = 11
_NAME_COLUMNS = 12

Tone = Literal["good", "wait", "bad", "quiet"]
_CODES: dict[Tone, str] = {"good": "1;32", "wait": "1;33", "bad": "1;31", "quiet": "2"}

_TONES: dict[str, Tone] = {
    "well": "good",
    "degraded": "wait",
    "down": "bad",
    "ready": "good",
    "spare": "good",
    "starting": "wait",
    "draining": "wait",
    "stopping": "wait",
    "backoff": "wait",
    "opening": "wait",
    "resting": "wait",
    "needs_login": "bad",
    "needs_human": "bad",
    "expired": "bad",
    "away": "bad",
    "outdated": "bad",
    "broken": "bad",
    "failed": "bad",
    "stopped": "quiet",
    "debug": "quiet",
    "warning": "wait",
    "error": "bad",
}
"""How each word of the daemon is meant; a word that is not here stays uncoloured."""


class Column(msgspec.Struct, frozen=True):
    """A column of the table: its heading, what it shows of a child, and its limits."""

    head: str
    cell: Callable[[ChildState], str]
    limit: int
    side: Side = "right"


def condition_of(child: ChildState) -> str:
    """The one word for how a child is: its phase, or its session's condition once it runs."""
    if child.phase != "ready" or child.role != "worker":
        return child.phase
    if child.spare:
        return "spare"
    return child.condition or "opening"


def changes(told: Reloaded, *, is_rehearsal: bool) -> list[str]:
    """What a reload changes: a field to a line, longer ones over several."""
    if not told.changes:
        return ["nothing has changed"]
    fields = "1 field" if len(told.changes) == 1 else f"{len(told.changes)} fields"
    lines = [f"{fields} would change:" if is_rehearsal else f"{fields} changed:"]
    for each in told.changes:
        text = f"{each.field}: {each.before} -> {each.after} ({_EFFECTS[each.effect]})"
        first, *rest = wrap(text, COLUMNS - 2 * len(_INDENT))
        lines += [_INDENT + first, *(2 * _INDENT + line for line in rest)]
    return lines


_EFFECTS: dict[Effect, str] = {
    "at once": "at once",
    "new frontends": "frontends are replaced",
    "new instances": "instances are replaced, in turn",
    "new arena": "the demo arena is replaced",
    "new arena and instances": "the demo arena and the instances are replaced",
    "restart": "needs a restart of the daemon; not followed until then",
}


def needs_person(child: ChildState) -> bool:
    """Whether it waits for somebody to pass a check, or to log in."""
    return child.phase == "ready" and child.condition in ("needs_login", "needs_human")


def remedy(child: ChildState, state: State) -> str:
    """Where a person clears what an instance waits for."""
    wanted = "a login" if child.condition == "needs_login" else "a person"
    return f"{clean(child.name)} needs {wanted}: {view_url(state.gui_url, child.name)}"


def workers(state: State) -> list[ChildState]:
    """The instances, without the other processes."""
    return [child for child in state.children if child.role == "worker"]


def _of_worker(show: Callable[[ChildState], str]) -> Callable[[ChildState], str]:
    """A cell that says something only for an instance."""
    return lambda child: show(child) if child.role == "worker" else NOTHING


def _busy(child: ChildState) -> str:
    return f"{child.busy}/{child.slots}" if child.slots > 0 else NOTHING


_STATE = Column("STATE", condition_of, 11, "left")
_AGE = Column("AGE", lambda child: age(child.phase_age_s), 4)
_BUSY = Column("BUSY", _busy, 5)
_ANSWERED = Column("ANSWERED", _of_worker(lambda child: count(child.answered)), 8)
_RESTARTS = Column("RESTARTS", lambda child: count(child.restarts), 8)
_MEMORY = Column("MEMORY", lambda child: size(child.memory_bytes), 6)
_CPU = Column("CPU", lambda child: percent(child.cpu_percent) if child.pid else NOTHING, 5)
_PID = Column("PID", lambda child: str(child.pid) if child.pid else NOTHING, 7)
_GENERATION = Column("GEN", lambda child: str(child.generation), 4)
_MODELS = Column("MODELS", lambda child: count(len(child.models)), 6)
_PROCESSES = Column("PROCS", lambda child: count(child.processes), 5)
_DESCRIPTORS = Column("FDS", lambda child: count(child.descriptors), 5)

STATUS_COLUMNS = (_STATE, _AGE, _BUSY, _ANSWERED, _RESTARTS, _MEMORY, _CPU)
INSTANCE_COLUMNS = (
    *(_STATE, _AGE, _PID, _GENERATION, _MODELS, _PROCESSES, _DESCRIPTORS),
    *(_BUSY, _ANSWERED, _MEMORY, _CPU),
)


def status(state: State, *, colour: bool = False) -> list[str]:
    """The page of `arenactl status`; its first line says whether the daemon is well."""
    instances = workers(state)
    others = [child for child in state.children if child.role != "worker"]
    shown = [*instances, *others]
    notes = [_recent_note(child) for child in shown]
    lines = [*_verdict(state, colour=colour), "", *_block(state), ""]
    if shown:
        lines += _table(shown, notes, STATUS_COLUMNS, colour=colour)
    if not instances:
        lines += [f"{_INDENT}No instances. `arenactl scale 2` starts two."]
    if waiting := [child for child in instances if needs_person(child)]:
        lines += ["", *(remedy(child, state) for child in waiting)]
    if state.story:
        lines += ["", *_story(state.story[-STORY_LINES:])]
    return lines


def instances(state: State, *, colour: bool = False) -> list[str]:
    """The page of `arenactl instances`: the workers alone, closer."""
    shown = workers(state)
    if not shown:
        return ["No instances. `arenactl scale 2` starts two."]
    return _table(shown, [_closer_note(child) for child in shown], INSTANCE_COLUMNS, colour=colour)


def _many(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def story(told: StoryOf, *, colour: bool = False) -> list[str]:
    """The page of `arenactl story`: how it is, what happened and when, what comes next."""
    now = told.now
    head = f"what happened to {clean(told.name)}"
    if now is None and told.name[-1:].isdecimal():
        head = f"{clean(told.name)} is gone: the fleet was made smaller"
    elif now is not None:
        word = _paint(condition_of(now), _TONES.get(condition_of(now)), colour=colour)
        head = f"{clean(now.name)} is {word} for {span(now.phase_age_s)}"
        head += f", generation {now.generation}, {_many(now.restarts, 'restart')}"
    lines = [head]
    for each in told.story:
        first, *further = wrap(clean(each.text), COLUMNS - len(_STORY_INDENT)) or [""]
        lines.append(f"{_INDENT}{clock(each.at_unix_s)}  {first}".rstrip())
        lines += [_STORY_INDENT + more for more in further]
    if next_ := _what_next(now):
        lines.append(f"next: {next_}")
    return lines


def _what_next(child: ChildState | None) -> str:
    """What becomes of a child that is not at work; nothing for the others."""
    if child is None:
        return ""
    if child.next_try_s is not None:
        at_once = f", by `arenactl reset {clean(child.name)}` at once"
        return f"it is started again in {age(child.next_try_s)}{at_once}"
    if child.phase == "stopped":
        return f"it stays stopped; `arenactl restart {clean(child.name)}` starts it"
    return ""


def log_line(line: LogLine, *, colour: bool = False) -> list[str]:
    """One log record at its full length; the further lines of its text stand below, indented."""
    first, *further = line.text.splitlines() or [""]
    level = _paint(pad(line.level, 7), _TONES.get(line.level), colour=colour)
    head = f"{clock_ms(line.at_unix_s)} {level} {clean(line.source)} {clean(first)}"
    return [head.rstrip(), *(f"    {clean(more)}" for more in further)]


def _paint(text: str, tone: Tone | None, *, colour: bool) -> str:
    return f"\x1b[{_CODES[tone]}m{text}\x1b[0m" if colour and tone else text


def _verdict(state: State, *, colour: bool) -> list[str]:
    """The answer, word first, on as many lines as it needs."""
    said = clean(state.verdict).strip()
    if not said.casefold().startswith(state.word):
        said = f"{state.word}: {said}"
    first, *further = wrap(said, COLUMNS)
    word, rest = first[: len(state.word)], first[len(state.word) :]
    painted = _paint(word, _TONES.get(state.word), colour=colour) + rest
    return [painted, *further]


def _block(state: State) -> Iterator[str]:
    """Where everything is and how much goes through, a label and a value to the line."""
    traffic = state.traffic
    first, *others = (state.site or NOTHING).split("; ")
    rows = (
        ("site", first),
        *(("", each) for each in others),
        *_wanted(state),
        ("api", state.api_url or NOTHING),
        ("dashboard", state.gui_url or NOTHING),
        ("daemon", f"arenad {state.version}", f"pid {state.pid}", f"up {span(state.uptime_s)}"),
        (
            "traffic",
            f"{rate(traffic.requests_per_s)} requests/s",
            f"{count(traffic.running)} running",
            f"{count(traffic.queued)} of {count(traffic.queue_limit)} queued",
        ),
        (
            "",
            f"{count(traffic.answered)} answered",
            f"{count(traffic.failed)} failed",
            f"{count(traffic.retried)} retried",
        ),
    )
    for label, *values in (*rows, *_waiting(traffic), *map(_pace, state.paces)):
        line = _INDENT + pad(label, _LABEL_COLUMNS) + ", ".join(values)
        yield cut(line, COLUMNS)


def _wanted(state: State) -> Iterator[tuple[str, ...]]:
    """How many instances of each kind, where there are several kinds."""
    if state.templates:
        others = (f"{count(wanted)} of {name}" for name, wanted in state.templates.items())
        yield ("wanted", f"{count(state.instances_wanted)} on the site", *others)


def _waiting(traffic: Traffic) -> Iterator[tuple[str, ...]]:
    """Who waits, the most first, where there are keys to tell them apart."""
    if set(traffic.waiting) - {""}:
        most = sorted(traffic.waiting.items(), key=lambda each: (-each[1], each[0]))
        yield ("waiting", *(f"{count(waiting)} of {owner or 'no key'}" for owner, waiting in most))


def _pace(now: PaceNow) -> tuple[str, ...]:
    """How a site is asked: at which pace, and what it has refused."""
    allowed = "no limit"
    if now.per_minute:
        allowed = f"{now.allowed_per_minute:.3g} of {now.per_minute:g} requests/min"
    parts = [f"{now.template}: {allowed}" if now.template else allowed]
    if now.spacing_s:
        parts.append(f"{now.spacing_s:g} s apart")
    parts.append("1 refusal" if now.refusals == 1 else f"{count(now.refusals)} refusals")
    if now.rest_s is not None:
        parts.append(f"{now.resting} resting, the first for {age(now.rest_s)}")
    return ("pace", *parts)


def _table(
    shown: Sequence[ChildState],
    notes: Sequence[str],
    columns: Sequence[Column],
    *,
    colour: bool,
) -> list[str]:
    """A row for each child, and below it, over the full width, its note if it has one."""
    rows = [[cut(column.cell(child), column.limit) for column in columns] for child in shown]
    widths = [
        max(map(width, [column.head, *cells]))
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    names = [clean(child.name) for child in shown]
    name_columns, gap = _fit(max(map(width, ["NAME", *names])), widths)

    def line(name: str, cells: Sequence[str], tone: Tone | None) -> str:
        padded = [
            pad(cell, room, column.side)
            for cell, room, column in zip(cells, widths, columns, strict=True)
        ]
        padded[0] = _paint(padded[0], tone, colour=colour)
        return gap.join([pad(name, name_columns), *padded]).rstrip()

    lines = [line("NAME", [column.head for column in columns], None)]
    for child, name, cells, note in zip(shown, names, rows, notes, strict=True):
        lines.append(line(name, cells, _TONES.get(condition_of(child))))
        if note:
            lines.append(_INDENT + _paint(cut(note, COLUMNS - 2), "quiet", colour=colour))
    return lines


def _fit(wanted: int, widths: Sequence[int]) -> tuple[int, str]:
    """Room for the names and the gap between columns: first the gap gives way, then the names."""
    if wanted + sum(widths) + 2 * len(widths) <= COLUMNS:
        return wanted, "  "
    return min(wanted, COLUMNS - sum(widths) - len(widths)), " "


def _note(child: ChildState) -> str:
    """What an operator must know of a child beyond its word."""
    parts: list[str] = []
    if child.phase == "ready" and child.condition_reason and child.condition != "ready":
        parts.append(child.condition_reason)
    if child.phase == "ready" and child.asked_last:
        parts.append(child.asked_last)
    if child.next_try_s is not None:
        parts.append(f"next try in {age(child.next_try_s)}")
    if child.last_death:
        parts.append(f"last death: {child.last_death}")
    return ", ".join(parts)


def _closer_note(child: ChildState) -> str:
    """The note, and by which way it reaches its site."""
    way = f"through the proxy {child.proxy}" if child.proxy else ""
    return ", ".join(filter(None, (way, _note(child))))


def _recent_note(child: ChildState) -> str:
    """The note, unless it is the old story of a child that has long been well."""
    long_well = condition_of(child) in ("ready", "spare") and not child.phase_age_s < RECENT_S
    return "" if long_well else _note(child)


def _story(story: Sequence[Happening]) -> Iterator[str]:
    """The last happenings, oldest first, with the names in a column of their own."""
    column = min(_NAME_COLUMNS, max(width(clean(each.about)) for each in story))
    for each in story:
        yield cut(
            f"{clock(each.at_unix_s)}  {pad(each.about, column)}  {clean(each.text)}", COLUMNS
        )


def why(child: ChildState) -> str:
    """A child by name, word and reason, as a phrase."""
    said = f"{clean(child.name)} is {condition_of(child)}"
    reason = clean(child.condition_reason if child.phase == "ready" else child.last_death)
    return f"{said} ({reason})" if reason else said
