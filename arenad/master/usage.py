"""What a key has used, for operators: read from the file in which frontends count it.

The file belongs to the children, so nothing of it is trusted to be more than numbers; it is read
without a lock, for a number that is just being written is as good as the one before it.
"""

import fcntl
import os
import stat
from collections.abc import Sequence

from arenad.schema.keys import Key, KeyUse
from arenad.usage import COUNTS, FLOCK, ROW_BYTES, SEATS, STRIDE, Use, flock


def use_of(paths: Sequence[str], key: Key, now_s: float, now_unix_s: float) -> KeyUse | None:
    """What it has used, by the first of these files that tells; none when one cannot be read.

    `now_s` is on the clock that all processes share.
    """
    id_ = bytes.fromhex(key.id)
    for path in paths:
        try:
            file = _opened(path)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        try:
            row = os.pread(file, STRIDE, key.row * STRIDE)
            if row.startswith(id_):
                return _told(file, row, id_, now_s, now_unix_s)
        except OSError:
            return None
        finally:
            os.close(file)
    return KeyUse()


def _opened(path: str) -> int:
    """Raises OSError, also where something else stands in the file's place."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(None, "is no regular file")
    return file


def _told(file: int, row: bytes, id_: bytes, now_s: float, now_unix_s: float) -> KeyUse:
    use = Use.unpacked(row[:ROW_BYTES], id_)
    use.advance(now_s, now_unix_s)
    requests, tokens = use.last_minute()
    counts = COUNTS.unpack(row[ROW_BYTES:].ljust(COUNTS.size, b"\0"))
    running = sum(counts[seat] for seat in range(SEATS) if counts[seat] and _is_held(file, seat))
    return KeyUse(
        minute_requests=requests,
        minute_tokens=tokens,
        day_requests=use.day_requests,
        day_tokens=use.day_tokens,
        running=running,
    )


def _is_held(file: int, seat: int) -> bool:
    """Whether the frontend that counts there still lives."""
    found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, flock(fcntl.F_WRLCK, seat))
    return FLOCK.unpack(found)[0] != fcntl.F_UNLCK
