"""The history's tables: a table for each kind of entry, a column for each of its fields.

`MIGRATIONS` lead from nothing to the newest version, one step each; the file's `user_version` says
how many it has taken. A step that was released is never changed: a change is one more step.
"""

from arenad.schema.history import (
    Entry,
    HistoryKind,
    InstanceSample,
    RequestEnded,
    StoryLine,
    TrafficSample,
)
from arenad.schema.process import LogLine

TABLES: dict[type[Entry], str] = {
    RequestEnded: "request",
    StoryLine: "story",
    LogLine: "log",
    InstanceSample: "instance_sample",
    TrafficSample: "traffic_sample",
}

ABOUT: dict[type[Entry], str] = {
    RequestEnded: "instance",
    StoryLine: "about",
    LogLine: "source",
    InstanceSample: "instance",
}
"""The column that names the process an entry is about."""

_KINDS: dict[HistoryKind, type[Entry]] = {
    "requests": RequestEnded,
    "story": StoryLine,
    "log": LogLine,
    "samples": InstanceSample,
}

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE request (
            id INTEGER PRIMARY KEY, at_unix_s REAL NOT NULL, request_id TEXT NOT NULL,
            frontend TEXT NOT NULL, model TEXT NOT NULL, streams INTEGER NOT NULL,
            instance TEXT NOT NULL, asked INTEGER NOT NULL, outcome TEXT NOT NULL,
            error TEXT NOT NULL, waited_s REAL NOT NULL, first_event_s REAL,
            duration_s REAL NOT NULL, chars INTEGER NOT NULL)""",
        """CREATE TABLE story (
            id INTEGER PRIMARY KEY, at_unix_s REAL NOT NULL, about TEXT NOT NULL,
            text TEXT NOT NULL)""",
        """CREATE TABLE log (
            id INTEGER PRIMARY KEY, at_unix_s REAL NOT NULL, level TEXT NOT NULL,
            source TEXT NOT NULL, text TEXT NOT NULL)""",
        """CREATE TABLE instance_sample (
            id INTEGER PRIMARY KEY, at_unix_s REAL NOT NULL, instance TEXT NOT NULL,
            generation INTEGER NOT NULL, condition TEXT NOT NULL, busy INTEGER NOT NULL,
            answered INTEGER NOT NULL, failed INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,
            processes INTEGER NOT NULL, cpu_percent REAL NOT NULL, loop_lag_ms REAL NOT NULL)""",
        """CREATE TABLE traffic_sample (
            id INTEGER PRIMARY KEY, at_unix_s REAL NOT NULL, ready INTEGER NOT NULL,
            wanted INTEGER NOT NULL, running INTEGER NOT NULL, queued INTEGER NOT NULL,
            queue_wait_s REAL NOT NULL, accepted INTEGER NOT NULL, answered INTEGER NOT NULL,
            failed INTEGER NOT NULL, retried INTEGER NOT NULL, cancelled INTEGER NOT NULL)""",
        "CREATE INDEX request_at ON request (at_unix_s)",
        "CREATE INDEX story_at ON story (at_unix_s)",
        "CREATE INDEX log_at ON log (at_unix_s)",
        "CREATE INDEX instance_sample_at ON instance_sample (at_unix_s)",
        "CREATE INDEX traffic_sample_at ON traffic_sample (at_unix_s)",
        """CREATE TABLE source (
            name TEXT PRIMARY KEY, number INTEGER NOT NULL, at_unix_s REAL NOT NULL)""",
    ),
    ("ALTER TABLE request ADD COLUMN owner TEXT NOT NULL DEFAULT ''",),
)


def kind_of(kind: HistoryKind, about: str) -> type[Entry]:
    """What is asked for: samples of no instance are those of the traffic."""
    return TrafficSample if kind == "samples" and not about else _KINDS[kind]
