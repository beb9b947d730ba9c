"""`arenactl history`: asks for the pages of the past and lays them out, newest last."""

import time
from collections.abc import Iterable, Sequence

import msgspec

from arenactl.arguments import Options
from arenactl.client import Client
from arenactl.output import Output
from arenactl.text import (
    COLUMNS,
    NOTHING,
    Side,
    clean,
    count,
    pad,
    percent,
    size,
    wrap,
)
from arenad.schema.history import (
    Entry,
    GetHistory,
    HistoryPage,
    InstanceSample,
    RequestEnded,
    StoryLine,
    TrafficSample,
)
from arenad.schema.process import LogLine

MOMENT_COLUMNS = len("11-26 10:22:31")

_MINUTE_S = 60
_TENTHS_BELOW_S = 100

LAG_LIMIT_MS = 99_999


class Column(msgspec.Struct, frozen=True):
    """A column of a table: its heading and its width."""

    head: str
    columns: int
    side: Side = "right"


def show(client: Client, options: Options, output: Output) -> None:
    """Ask and print."""
    entries = _entries(client, options)
    if output.as_json:
        for entry in entries:
            output.document(msgspec.structs.asdict(entry))
    else:
        output.page(page(entries))


def _entries(client: Client, options: Options) -> list[Entry]:
    """As many as are wanted, in as many pages as that takes, oldest first."""
    found: list[Entry] = []
    before = 0
    while (missing := options.lines - len(found)) > 0:
        wish = GetHistory(options.kind, options.since_s, options.instance, missing, before)
        answer = client.ask(wish, HistoryPage)
        found = [*answer.entries, *found]
        before = answer.before
        if not before:
            break
    return found[-options.lines :] if options.lines else []


# -- pages -----------------------------------------------------------------------------------------


def page(entries: Sequence[Entry]) -> list[str]:
    """Lines for a person; all entries are of one kind."""
    if not entries:
        return ["Nothing of that kind is remembered."]
    match entries[0]:
        case StoryLine() | LogLine():
            return [line for entry in entries for line in _told(entry)]
        case first:
            return _table(entries, _COLUMNS[type(first)])


def moment(at_unix_s: float) -> str:
    """Local date and time; a time that no calendar knows shows as dashes."""
    try:
        return time.strftime("%m-%d %H:%M:%S", time.localtime(at_unix_s))
    except (ValueError, OverflowError, OSError):
        return "----- --:--:--"


def seconds(value: float | None) -> str:
    """A length of time in at most five columns."""
    if value is None:
        return NOTHING
    if value < _TENTHS_BELOW_S:
        return f"{value:.2f}s" if value < 10 else f"{value:.1f}s"  # noqa: PLR2004 - three figures
    return f"{value:.0f}s" if value < 10 * _MINUTE_S else f"{min(value / _MINUTE_S, 9999):.0f}m"


def _told(entry: Entry) -> Iterable[str]:
    """A line of text, broken between words and indented below its time."""
    if isinstance(entry, StoryLine):
        head = f"{moment(entry.at_unix_s)}  {clean(entry.about)}: "
    elif isinstance(entry, LogLine):
        head = f"{moment(entry.at_unix_s)}  {entry.level} {clean(entry.source)}: "
    else:
        return
    indent = " " * (MOMENT_COLUMNS + 2)
    first, *further = wrap(
        f"{head[MOMENT_COLUMNS + 2 :]}{clean(entry.text)}", COLUMNS - len(indent)
    )
    yield f"{head[:MOMENT_COLUMNS]}  {first}"
    yield from (indent + line for line in further)


def _table(entries: Sequence[Entry], columns: Sequence[Column]) -> list[str]:
    """A heading and a row for each entry."""
    return [_row([each.head for each in columns], columns)] + [
        _row([moment(entry.at_unix_s), *_cells(entry)], columns) for entry in entries
    ]


def _row(cells: Sequence[str], columns: Sequence[Column]) -> str:
    padded = [pad(cell, each.columns, each.side) for cell, each in zip(cells, columns, strict=True)]
    return " ".join(padded).rstrip()


def _cells(entry: Entry) -> tuple[str, ...]:
    """What stands in the columns after the time."""
    match entry:
        case RequestEnded():
            times = (entry.waited_s, entry.first_event_s, entry.duration_s)
            return (
                *(entry.owner or NOTHING, entry.model, entry.instance or NOTHING),
                *(*map(seconds, times), count(entry.chars), _end(entry)),
            )
        case InstanceSample():
            return (
                *(entry.condition, str(entry.generation), count(entry.busy)),
                *(count(entry.answered), count(entry.failed), size(entry.memory_bytes)),
                *(count(entry.processes), percent(entry.cpu_percent)),
                f"{min(entry.loop_lag_ms, LAG_LIMIT_MS):.0f}ms",
            )
        case TrafficSample():
            numbers = (entry.answered, entry.failed, entry.retried, entry.cancelled)
            return (
                *(f"{entry.ready}/{entry.wanted}", count(entry.running), count(entry.queued)),
                *(seconds(entry.queue_wait_s), *map(count, numbers)),
            )
        case _:
            return ()


def _end(ended: RequestEnded) -> str:
    """How it ended, in a word: a failure by its kind."""
    return {"answered": "ok", "cancelled": "left"}.get(ended.outcome, ended.error)


_TIME = Column("TIME", MOMENT_COLUMNS, "left")

_COLUMNS: dict[type[Entry], tuple[Column, ...]] = {
    RequestEnded: (
        *(_TIME, Column("KEY", 7, "left"), Column("MODEL", 12, "left"), Column("FROM", 4)),
        *(Column("WAIT", 5), Column("FIRST", 5), Column("TOOK", 5), Column("CHARS", 5)),
        Column("END", 15, "left"),
    ),
    InstanceSample: (
        *(_TIME, Column("STATE", 11, "left"), Column("GEN", 4), Column("BUSY", 4)),
        *(Column("ANSWERED", 8), Column("FAILED", 6), Column("MEMORY", 6), Column("PROCS", 5)),
        *(Column("CPU", 5), Column("LAG", 7)),
    ),
    TrafficSample: (
        *(_TIME, Column("READY", 7), Column("RUNNING", 7), Column("QUEUED", 6)),
        *(Column("WAIT", 5), Column("ANSWERED", 8), Column("FAILED", 6)),
        *(Column("RETRIED", 7), Column("LEFT", 6)),
    ),
}
