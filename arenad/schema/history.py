"""What outlives the daemon, how it reaches the recorder, and how it is asked for.

No entry has a place for the text of a prompt or an answer, or for a key.
"""

from typing import Literal

from arenad.schema.base import Message
from arenad.schema.process import Condition, LogLine

HistoryKind = Literal["requests", "story", "log", "samples"]
Outcome = Literal["answered", "failed", "cancelled"]


class RequestEnded(Message):
    """One request as its frontend saw it; of one for several answers (`n`), each of them.

    `at_unix_s` is its arrival; `chars` of the answer.

    `instance` is the last one asked, `asked` how many times one was; `error` is the kind of the
    `RequestError` that ended it. `first_event_s` is missing when no part of an answer came.
    `owner` is the name of the key with which it was asked, never the key; empty without one.
    """

    at_unix_s: float
    request_id: str
    frontend: str
    model: str
    streams: bool
    instance: str
    asked: int
    outcome: Outcome
    error: str
    waited_s: float
    first_event_s: float | None
    duration_s: float
    chars: int
    owner: str = ""


class StoryLine(Message):
    """One line of the daemon's story; `about` names the child."""

    at_unix_s: float
    about: str
    text: str


class InstanceSample(Message):
    """One instance at one time; `answered` and `failed` grow from its process's start."""

    at_unix_s: float
    instance: str
    generation: int
    condition: Condition
    busy: int
    answered: int
    failed: int
    memory_bytes: int
    processes: int
    cpu_percent: float
    loop_lag_ms: float


class TrafficSample(Message):
    """The pool at one time; the counters from `accepted` on grow from the daemon's start."""

    at_unix_s: float
    ready: int
    wanted: int
    running: int
    queued: int
    queue_wait_s: float
    accepted: int
    answered: int
    failed: int
    retried: int
    cancelled: int


Entry = RequestEnded | StoryLine | LogLine | InstanceSample | TrafficSample


class Remember(Message):
    """Master or frontend to recorder: entries numbered from `first` on.

    `source` is one life of the sender, so that an entry that is sent twice is kept once. `dropped`
    entries had to go before these, because nothing took them for too long.
    """

    source: str
    first: int
    entries: tuple[Entry, ...]
    dropped: int = 0


class Remembered(Message):
    """Recorder to sender: all entries of this source up to this number are on disk."""

    source: str
    number: int


class GetHistory(Message):
    """The newest `limit` entries. Ends with `HistoryPage`.

    None is older than `since_s`; 0 means any age. `about` is an instance or another process, empty
    for all; samples of none are of the traffic. `before` is that of a page, 0 for the newest page.
    """

    kind: HistoryKind
    since_s: float = 0.0
    about: str = ""
    limit: int = 50
    before: int = 0


class HistoryPage(Message):
    """Entries, oldest first. `before` asks for the page of older ones; 0 when there are none."""

    entries: tuple[Entry, ...]
    before: int = 0
