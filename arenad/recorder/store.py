"""The history's file: one SQLite database in WAL mode, bounded by age and by size.

Everything here blocks, and is called from one thread at a time. Whatever the disk or the file does
becomes a `StoreFailed` that says what and what helps; the next call tries again from the beginning.
A damaged file is moved aside, never deleted. An entry that is given twice is kept once.
"""

import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from arenad.errors import ArenadError
from arenad.log import wall_time_s
from arenad.recorder.tables import ABOUT, MIGRATIONS, TABLES, kind_of
from arenad.schema.config import HistoryConfig
from arenad.schema.history import Entry, GetHistory, HistoryPage, Remember, StoryLine

FILE = "history.db"
SIDE_FILES = ("-wal", "-shm")
MAX_ASIDE = 3
"""So many damaged files are kept; one more, and nothing is written before somebody has looked."""

LOCK_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 2.0
READ_STEPS = 10_000
WAL_BYTES = 4 * 1024 * 1024
DAY_S = 24 * 3600.0

PRUNE_S = 600.0
PRUNE_ENTRIES = 5000
"""After so long, and after so many entries, it is looked for what has to go."""

PRUNE_ROUNDS = 40
SHRINK = 20
"""A round for size removes a twentieth of the time that the file spans."""

PAGE_ROWS = 500
PAGE_CHARS = 128 * 1024
"""A page is a frame that the master passes on: it stays far below what a link takes."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PASSING = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY),
    sqlite3.SQLITE_INTERRUPT,
)
"""Errors after which the open file is as good as before; opening it again could fail otherwise."""


class StoreFailed(ArenadError):
    """The history cannot be written or read now; the message says why and what helps."""


class Store:
    """The file, opened when it is first needed and again after any failure."""

    def __init__(
        self, folder: Path, rules: HistoryConfig, steps: Sequence[Sequence[str]] = MIGRATIONS
    ) -> None:
        """Nothing is opened yet."""
        self.path = folder / FILE
        self.rules = rules
        self._steps = steps
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._is_open = False
        self._prune_at_s = 0.0
        self._since_prune = 0

    # -- writing -----------------------------------------------------------------------------------

    def append(self, batches: Sequence[Remember]) -> int:
        """Keep what is new in the batches, all or nothing; gives how many were dropped before them.

        Raises `StoreFailed`; then they may be given again, whatever became of them.
        """
        with self._opened() as connection:
            with _transaction(connection):
                dropped = sum([_append(connection, batch) for batch in batches])
                if dropped:
                    words = f"{dropped} entries are missing here: they could not be kept in time"
                    _insert(connection, [StoryLine(wall_time_s(), "history", words)])
            self._since_prune += sum(len(batch.entries) for batch in batches)
            self._prune_if_due(connection)
        return dropped

    def _prune_if_due(self, connection: sqlite3.Connection) -> None:
        now_s = time.monotonic()
        if now_s < self._prune_at_s and self._since_prune < PRUNE_ENTRIES:
            return
        self._prune_at_s, self._since_prune = now_s + PRUNE_S, 0
        _forget(connection, wall_time_s() - self.rules.keep_days * DAY_S)
        for _ in range(PRUNE_ROUNDS):
            if _used_bytes(connection) <= self.rules.max_bytes:
                break
            oldest_s, newest_s = _span(connection)
            _forget(connection, oldest_s + max(1.0, (newest_s - oldest_s) / SHRINK))
        # It gives a row without columns for each page, of which `execute` takes the first alone.
        connection.executescript("PRAGMA incremental_vacuum;")

    # -- reading -----------------------------------------------------------------------------------

    def read(self, wish: GetHistory) -> HistoryPage:
        """The newest entries that are asked for, as many as fit in a page. Raises `StoreFailed`."""
        kind = kind_of(wish.kind, wish.about)
        names = [field.name for field in msgspec.structs.fields(kind)]
        conditions = ["at_unix_s >= ?"]
        values: list[float | str] = [wall_time_s() - wish.since_s if wish.since_s else 0.0]
        if wish.before:
            conditions.append("id < ?")
            values.append(wish.before)
        if wish.about:
            conditions.append(f"{ABOUT[kind]} = ?")
            values.append(wish.about)
        rows = max(1, min(wish.limit, PAGE_ROWS))
        query = (
            f"SELECT id, {', '.join(names)} FROM {TABLES[kind]} "  # noqa: S608 - our own names
            f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT {rows + 1}"
        )
        with self._opened() as connection, _deadline(connection):
            found = connection.execute(query, values).fetchall()
        return _page(kind, found, rows)

    # -- the file ----------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        """The connection. Whatever fails on it becomes a `StoreFailed`, and mostly closes it."""
        try:
            if self._connection is not None and self._is_gone():
                self.close()  # somebody removed or replaced the file under us
            if self._connection is None:
                self._open()
            assert self._connection is not None  # noqa: S101 - `_open` sets it or raises
            yield self._connection
        except sqlite3.Error as error:
            if not self._is_open or _code(error) not in _PASSING:
                self.close()
            raise StoreFailed(self._explained(error)) from error
        except OSError as error:
            self.close()
            raise StoreFailed(f"{self.path}: {error.strerror}") from error
        except StoreFailed:
            self.close()
            raise

    def _is_gone(self) -> bool:
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def _open(self) -> None:
        connection = sqlite3.connect(
            self.path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        version = _version(connection)
        if version > len(self._steps):
            newest = len(self._steps)
            raise StoreFailed(
                f"{self.path} is of version {version}, we know {newest}: a newer arenad made it; "
                "move it away, or use that arenad"
            )
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of no effect but in a new file
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}").fetchall()
        for number, step in enumerate(self._steps[version:], start=version + 1):
            with _transaction(connection):
                if _version(connection) >= number:
                    continue  # another one who opens a new file was quicker
                for statement in step:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        self._inode = self.path.stat().st_ino
        self._is_open = True

    def close(self) -> None:
        """Close the file; never raises."""
        connection, self._connection, self._is_open = self._connection, None, False
        if connection is not None:
            with suppress(sqlite3.Error):  # what was committed is in the file or its WAL already
                connection.close()

    def _explained(self, error: sqlite3.Error) -> str:
        """What went wrong, for an operator; a damaged file is out of the way afterwards."""
        if (code := _code(error)) in _DAMAGED:
            return self._move_aside(error)
        remedy = _REMEDIES.get(code, f"{error} ({getattr(error, 'sqlite_errorname', 'no code')})")
        return f"{self.path}: {remedy}"

    def _move_aside(self, error: sqlite3.Error) -> str:
        before = list(self.path.parent.glob(f"{FILE}.damaged-*"))
        before = [path for path in before if not path.name.endswith(SIDE_FILES)]
        if len(before) >= MAX_ASIDE:
            return (
                f"{self.path} is damaged ({error}), and so were {len(before)} before it, which "
                f"stand beside it; look at that disk, then move them away"
            )
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{len(before) + 1}"
        try:
            for suffix in ("", *SIDE_FILES):
                part = Path(f"{self.path}{suffix}")
                if part.exists():
                    part.rename(f"{aside}{suffix}")
        except OSError as failure:
            return f"{self.path} is damaged, and cannot be moved aside: {failure.strerror}"
        return f"{self.path} was damaged ({error}); it was moved to {aside}, a new one is begun"


_REMEDIES = {
    sqlite3.SQLITE_FULL: "no space is left on that disk; free some",
    sqlite3.SQLITE_IOERR: "the disk refuses; it has errors, or there is a quota",
    sqlite3.SQLITE_READONLY: "cannot be written; check the disk and the file's owner and mode",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that the folder is there, and its owner",
    sqlite3.SQLITE_BUSY: "another program holds it locked; end that",
    sqlite3.SQLITE_INTERRUPT: "has so much to look through that it took too long; ask for less",
}


def _code(error: sqlite3.Error) -> int:
    """SQLite's own code, without its refinements."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


# -- entries and rows ------------------------------------------------------------------------------


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchall()[0][0])


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _deadline(connection: sqlite3.Connection) -> Generator[None]:
    """Break off a statement that takes too long."""
    end_s = time.monotonic() + READ_TIMEOUT_S
    connection.set_progress_handler(lambda: time.monotonic() > end_s, READ_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, READ_STEPS)


def _append(connection: sqlite3.Connection, batch: Remember) -> int:
    """Insert what is new of one batch; how many were dropped before it, told for the first time."""
    found = connection.execute("SELECT number FROM source WHERE name = ?", [batch.source])
    known = next(iter(found.fetchall()), (0,))[0]
    _insert(connection, batch.entries[max(0, known + 1 - batch.first) :])
    last = max(known, batch.first + len(batch.entries) - 1)
    connection.execute(
        "INSERT OR REPLACE INTO source VALUES (?, ?, ?)", [batch.source, last, wall_time_s()]
    )
    return batch.dropped if batch.first > known else 0


def _insert(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    for entry in entries:
        names = ", ".join(entry.__struct_fields__)
        marks = ", ".join("?" * len(entry.__struct_fields__))
        connection.execute(
            f"INSERT INTO {TABLES[type(entry)]} ({names}) VALUES ({marks})",  # noqa: S608 - our own names
            msgspec.structs.astuple(entry),
        )


def _page(kind: type[Entry], found: list[tuple[object, ...]], rows: int) -> HistoryPage:
    """Rows, newest first, as a page, oldest first, that is not too big."""
    entries: list[Entry] = []
    chars, last = 0, 0
    for number, *values in found[:rows]:
        chars += sum(len(value) for value in values if isinstance(value, str))
        if entries and chars > PAGE_CHARS:
            break
        entries.append(msgspec.convert([kind.__name__, *values], kind, strict=False))
        last = number if isinstance(number, int) else 0
    return HistoryPage(tuple(reversed(entries)), last if len(entries) < len(found) else 0)


def _forget(connection: sqlite3.Connection, before_unix_s: float) -> None:
    with _transaction(connection):
        for table in (*TABLES.values(), "source"):
            connection.execute(f"DELETE FROM {table} WHERE at_unix_s < ?", [before_unix_s])  # noqa: S608 - our own names


def _used_bytes(connection: sqlite3.Connection) -> int:
    """What the entries take: pages of the file that are not free."""
    pages, free, each_bytes = (
        connection.execute(f"PRAGMA {name}").fetchall()[0][0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * each_bytes


def _span(connection: sqlite3.Connection) -> tuple[float, float]:
    """The times of the oldest and of the newest entry."""
    times = [
        connection.execute(f"SELECT min(at_unix_s), max(at_unix_s) FROM {table}").fetchall()[0]  # noqa: S608 - our own names
        for table in TABLES.values()
    ]
    return (
        min((low for low, _ in times if low is not None), default=0.0),
        max((high for _, high in times if high is not None), default=0.0),
    )
