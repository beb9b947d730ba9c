"""What is kept of each key's use, and how it lies in the one file of all: a brain.

Requests and tokens of the last minute are counted by the second, those of the day in all. Frontends
write a row for each key, and beside it how many of its requests each of them has running; the
master reads both for operators. Locks stand far behind the rows, on bytes that hold nothing.
"""

import struct
from array import array
from typing import Self

SLOTS = 61
"""The second of now, which has only begun, and sixty whole ones before it."""

DAY_S = 24 * 3600

SEATS = 256
"""More than frontends can be: 64, their successors, and those that still drain."""

MAX_COUNT = 2**32 - 1

_HEAD = struct.Struct("=8sqqQQ")
_NONE = bytes(SLOTS * array("I").itemsize)

ROW_BYTES = _HEAD.size + 2 * len(_NONE)

COUNTS = struct.Struct(f"={SEATS}H")
"""The requests that each frontend has running, by its seat."""

COUNT = struct.Struct("=H")
MOST_RUNNING = 2**16 - 1
STRIDE = ROW_BYTES + COUNTS.size

FLOCK = struct.Struct("hhqqi")
"""`struct flock` of fcntl(2): type, whence, start, length, pid."""

LOCKS = 2**40
"""Where the locks are: those of seats first, then those of rows."""

_FROM_THE_START = 0


def flock(kind: int, number: int) -> bytes:
    """A lock of this kind (fcntl's `F_WRLCK` and so on) by its number, as fcntl takes it."""
    return FLOCK.pack(kind, _FROM_THE_START, LOCKS + number, 1, 0)


class Use:
    """How much was used: by the second on the clock that all processes share, and on a day of UTC.

    A second's place in the arrays is its remainder by their length.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.second = self.day = self.day_requests = self.day_tokens = 0
        self.requests, self.tokens = array("I", _NONE), array("I", _NONE)

    @classmethod
    def unpacked(cls, row: bytes, id_: bytes) -> Self:
        """What stands in a row; nothing was used yet if it is another key's, or too short."""
        use = cls()
        if len(row) == ROW_BYTES and row.startswith(id_):
            head = _HEAD.unpack_from(row)
            _, use.second, use.day, use.day_requests, use.day_tokens = head
            use.requests = array("I", row[_HEAD.size : -len(_NONE)])
            use.tokens = array("I", row[-len(_NONE) :])
        return use

    def packed(self, id_: bytes) -> bytes:
        """As a row."""
        head = _HEAD.pack(id_, self.second, self.day, self.day_requests, self.day_tokens)
        return head + self.requests.tobytes() + self.tokens.tobytes()

    def advance(self, now_s: float, now_unix_s: float) -> None:
        """Forget what is too long ago to count. A clock that went back is of another boot."""
        second, day = int(now_s), int(now_unix_s // DAY_S)
        if not 0 <= second - self.second < SLOTS:
            self.requests, self.tokens = array("I", _NONE), array("I", _NONE)
        else:
            for gone in range(self.second + 1, second + 1):
                self.requests[gone % SLOTS] = self.tokens[gone % SLOTS] = 0
        self.second = second
        if day != self.day:
            self.day, self.day_requests, self.day_tokens = day, 0, 0

    def add(self, requests: int, tokens: int) -> None:
        """Count these now."""
        place = self.second % SLOTS
        self.requests[place] = min(MAX_COUNT, self.requests[place] + requests)
        self.tokens[place] = min(MAX_COUNT, self.tokens[place] + tokens)
        self.day_requests += requests
        self.day_tokens += tokens

    def last_minute(self) -> tuple[int, int]:
        """Requests and tokens that count for the limits of a minute."""
        return sum(self.requests), sum(self.tokens)
