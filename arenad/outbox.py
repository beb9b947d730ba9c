"""What waits to be remembered: entries in order, numbered, bounded, kept until they are on disk.

A brain of the master and of each frontend. One batch is under way at a time; a recorder that died
with it is sent it again, and knows by the numbers what it has already. Beyond the limits the oldest
entries go and are counted.
"""

from collections import deque
from itertools import islice

import msgspec

from arenad.schema.history import Entry, Remember, Remembered

LIMIT = 2000
LIMIT_CHARS = 1024 * 1024
BATCH = 500


class Outbox:
    """Entries on their way to the recorder."""

    def __init__(self, source: str, limit: int = LIMIT, limit_chars: int = LIMIT_CHARS) -> None:
        """`source` must differ from that of every other outbox, past ones included."""
        self.dropped = 0
        self._source = source
        self._limit = limit
        self._limit_chars = limit_chars
        self._held: deque[Entry] = deque()
        self._chars = 0
        self._first = 1
        self._sent = 0
        self._told = 0

    def __len__(self) -> int:
        """How many entries are not on disk yet, as far as we know."""
        return len(self._held)

    @property
    def unsent(self) -> int:
        """How many entries are not even under way."""
        return len(self._held) - (self._sent - self._first + 1)

    @property
    def is_under_way(self) -> bool:
        """Whether a batch was sent that has not been answered."""
        return self._sent >= self._first

    def put(self, entry: Entry) -> None:
        """One more entry; the oldest make room for it."""
        self._held.append(entry)
        self._chars += _chars(entry)
        while len(self._held) > self._limit or self._chars > self._limit_chars:
            self._forget_first()
            self.dropped += 1

    def _forget_first(self) -> None:
        self._chars -= _chars(self._held.popleft())
        self._first += 1
        self._sent = max(self._sent, self._first - 1)

    def batch(self) -> Remember | None:
        """What to send now; none while nothing waits, or a batch is under way."""
        return None if self.is_under_way else self._next()

    def rest(self) -> list[Remember]:
        """All that is not under way, for a sender that leaves and cannot wait for answers."""
        batches: list[Remember] = []
        while (batch := self._next()) is not None:
            batches.append(batch)
        return batches

    def _next(self) -> Remember | None:
        start = self._sent - self._first + 1
        entries = tuple(islice(self._held, start, start + BATCH))
        if not entries:
            return None
        first = self._sent + 1
        self._sent += len(entries)
        dropped, self._told = self.dropped - self._told, self.dropped
        return Remember(self._source, first, entries, dropped)

    def remembered(self, news: Remembered) -> None:
        """All up to this number are on disk; what others have sent on this link is not ours."""
        if news.source != self._source:
            return
        while self._held and self._first <= min(news.number, self._sent):
            self._forget_first()
        if not self.is_under_way:
            self.dropped -= self._told
            self._told = 0

    @property
    def kept(self) -> Remember:
        """All that is not on disk, under way or not."""
        return Remember(self._source, self._first, tuple(self._held), self.dropped)

    def resume(self, kept: Remember) -> None:
        """Go on as the outbox that kept this; what is in this one already comes after it."""
        put, self._held = self._held, deque(kept.entries)
        self._source, self._first, self.dropped = kept.source, kept.first, kept.dropped
        self._chars = sum(map(_chars, self._held))
        self.rewind()
        for entry in put:
            self.put(entry)

    def rewind(self) -> None:
        """Another recorder: what was under way is to be sent again."""
        self._sent = self._first - 1
        self._told = 0


def _chars(entry: Entry) -> int:
    return sum(len(each) for each in msgspec.structs.astuple(entry) if isinstance(each, str))
