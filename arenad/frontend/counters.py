"""What all frontends together have used of each key's limits: kept in one small file.

A row for each key, written under a lock of its own (of the open file description, fcntl(2)) that is
held for microseconds and never waited for in the kernel: who holds it may be a stopped process.
Beside a row stand the running requests of each frontend, in the seat that it holds locked as long
as it lives, so those of one that died count no more. What cannot be counted there, because the disk
or somebody's lock refuses, each frontend counts for itself, and says so.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from arenad.errors import RequestError
from arenad.frontend import quota
from arenad.frontend.quota import Allowance, Wanted
from arenad.log import wall_time_s
from arenad.schema.keys import Key
from arenad.usage import COUNT, COUNTS, FLOCK, MOST_RUNNING, ROW_BYTES, SEATS, STRIDE, Use, flock

LOCK_WAIT_S = 0.5
LOOK_AGAIN_S = 0.001
REOPEN_S = 1.0

log = logging.getLogger("arenad.counters")


class _Locked(OSError):
    """Somebody else is just counting."""


class _Paused(OSError):
    """It was tried in vain a moment ago."""


class Counters:
    """The file, opened when a limit is first asked for."""

    def __init__(self, paths: Sequence[str]) -> None:
        """The first of these that can be written is taken."""
        self.fault = ""
        self._paths = paths
        self._fd = -1
        self._seat = -1
        self._reopen_s = 0.0
        self._running: Counter[str] = Counter()
        self._keys: dict[str, Key] = {}
        self._owed: dict[str, tuple[Key, int]] = {}
        self._own: dict[str, Use] = {}
        self._settling: asyncio.TimerHandle | None = None

    async def begin(self, key: Key, tokens: int, chats: int = 1) -> Allowance:
        """Count one request more, of so many tokens and chats; `end` has to follow.

        Raises `Refusal`.
        """
        self._keys[key.id] = key
        wanted = Wanted(tokens, chats)
        until_s = time.monotonic() + (0.0 if self.fault else LOCK_WAIT_S)
        while True:
            try:
                return self._begin_shared(key, wanted)
            except _Locked:
                if time.monotonic() < until_s:
                    await asyncio.sleep(LOOK_AGAIN_S)
                    continue
                self._fail(f"{self._paths[0]}: another process holds it locked; end that")
            except _Paused:
                pass
            except OSError as error:
                self._fail(f"{self._paths[0]}: {error.strerror}")
                self._close()
            return self._begin_alone(key, wanted)

    def end(self, key: Key, tokens: int, chats: int = 1) -> None:
        """The request is over, and its answers were so many tokens. Never waits, never fails."""
        self._running[key.id] -= chats
        self._owe(key, tokens)
        if self.fault:
            self._use_alone(key).add(0, tokens)
        if self._settling is None:
            self._settle()

    def _owe(self, key: Key, tokens: int) -> None:
        """These, and how many run just now, are yet to be written."""
        before = self._owed.get(key.id, (key, 0))[1]
        self._owed[key.id] = (key, before + tokens)

    def _settle(self) -> None:
        """Write down what is owed; a little later, if that cannot be done now."""
        self._settling = None
        self._write_owed()
        self._settle_later()

    def _settle_later(self) -> None:
        if self._owed and self._settling is None:
            later_s = REOPEN_S if self.fault else LOOK_AGAIN_S
            self._settling = asyncio.get_running_loop().call_later(later_s, self._settle)

    def _write_owed(self) -> None:
        with suppress(OSError):
            self._opened()  # first, because more is owed to a file that is opened anew
        for id_, (key, tokens) in list(self._owed.items()):
            with suppress(OSError):
                self._write_end(key, tokens)
                del self._owed[id_]

    def close(self) -> None:
        """Close the file; what cannot be written now is lost."""
        if self._settling is not None:
            self._settling.cancel()
            self._write_owed()
        self._close()

    # -- together ----------------------------------------------------------------------------------

    def _begin_shared(self, key: Key, wanted: Wanted) -> Allowance:
        """Raises the refusal; `OSError` when it cannot be counted, `_Locked` when not just now."""
        fd = self._opened()
        at = key.row * STRIDE
        id_ = bytes.fromhex(key.id)
        self._lock(SEATS + key.row)
        try:
            row = os.pread(fd, ROW_BYTES, at)
            if not row.startswith(id_):  # of a key that is gone: its ends are not counted here
                os.pwrite(fd, bytes(COUNTS.size), at + ROW_BYTES)
            use = Use.unpacked(row, id_)
            now_s, now_unix_s = time.monotonic(), wall_time_s()
            use.advance(now_s, now_unix_s)
            running = self._all_running(key, wanted.chats) if key.limits.concurrency else 0
            why = quota.refusal(key, use, running, wanted, now_s, now_unix_s)
            if why is None:
                use.add(wanted.chats, wanted.tokens)
                self._write(key, use, self._running[key.id] + wanted.chats)
                self._running[key.id] += wanted.chats
        finally:
            self._unlock(SEATS + key.row)
        self._recovered()
        left = quota.allowance(key.limits, use, now_s)
        if why is not None:
            raise Refusal(why, left)
        return left

    def _write_end(self, key: Key, tokens: int) -> None:
        """In a row that has become another key's there is nothing to count any more."""
        fd = self._opened()
        id_ = bytes.fromhex(key.id)
        self._lock(SEATS + key.row)
        try:
            row = os.pread(fd, ROW_BYTES, key.row * STRIDE)
            if row.startswith(id_) or not row.strip(b"\0"):
                use = Use.unpacked(row, id_)
                use.advance(time.monotonic(), wall_time_s())
                use.add(0, tokens)
                self._write(key, use, self._running[key.id])
        finally:
            self._unlock(SEATS + key.row)

    def _write(self, key: Key, use: Use, running: int) -> None:
        at = key.row * STRIDE
        os.pwrite(self._fd, use.packed(bytes.fromhex(key.id)), at)
        at += ROW_BYTES + self._seat * COUNT.size
        os.pwrite(self._fd, COUNT.pack(min(max(0, running), MOST_RUNNING)), at)

    def _all_running(self, key: Key, more: int) -> int:
        """The key's chats in all frontends; those of frontends that have died are struck out.

        Only when it matters is it looked who has died: a seat that nobody holds locked.
        """
        at = key.row * STRIDE + ROW_BYTES
        packed = os.pread(self._fd, COUNTS.size, at)
        counts = COUNTS.unpack(packed.ljust(COUNTS.size, b"\0"))
        own = self._running[key.id]
        others = sum(counts) - counts[self._seat]
        if own + others + more <= key.limits.concurrency:
            return own + others
        for seat, count in enumerate(counts):
            if count and seat != self._seat and not self._is_held(seat):
                os.pwrite(self._fd, COUNT.pack(0), at + seat * COUNT.size)
                others -= count
        return own + others

    # -- alone -------------------------------------------------------------------------------------

    def _begin_alone(self, key: Key, wanted: Wanted) -> Allowance:
        use = self._use_alone(key)
        now_s = time.monotonic()
        running = self._running[key.id]
        why = quota.refusal(key, use, running, wanted, now_s, wall_time_s())
        if why is None:
            use.add(wanted.chats, wanted.tokens)
            self._running[key.id] += wanted.chats
            self._owe(key, 0)
            self._settle_later()
        left = quota.allowance(key.limits, use, now_s)
        if why is not None:
            raise Refusal(why, left)
        return left

    def _use_alone(self, key: Key) -> Use:
        use = self._own.setdefault(key.id, Use())
        use.advance(time.monotonic(), wall_time_s())
        return use

    def _fail(self, fault: str) -> None:
        if not self.fault:
            log.warning("%s; each frontend counts for itself what keys use, until it works", fault)
        self.fault = fault
        self._reopen_s = time.monotonic() + REOPEN_S

    def _recovered(self) -> None:
        if self.fault:
            log.info("what keys use is counted by all frontends together again")
            self.fault = ""
            self._own.clear()
            if self._settling is not None:
                self._settling.cancel()
            self._settle()

    # -- the file ----------------------------------------------------------------------------------

    def _opened(self) -> int:
        """The file, with a seat of our own in it. Raises `OSError`."""
        if time.monotonic() < self._reopen_s:
            raise _Paused
        if self._fd < 0:
            self._open()
            self._owe_running()
        return self._fd

    def _owe_running(self) -> None:
        """A seat that was just taken tells of nothing that runs here."""
        for id_, chats in self._running.items():
            if chats > 0:
                self._owe(self._keys[id_], 0)
        self._settle_later()

    def _open(self) -> None:
        failed = OSError(None, "no place for it is known")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        for path in self._paths:
            try:
                self._fd = os.open(path, flags, 0o600)
                break
            except OSError as error:
                failed = error
        else:
            raise failed
        for seat in range(SEATS):
            with suppress(_Locked):
                self._lock(seat)
                self._take(seat)
                return
        self._close()
        raise OSError(None, "has no seat left")

    def _take(self, seat: int) -> None:
        """A seat may still tell of one who died in it."""
        self._seat = seat
        for row in range(os.fstat(self._fd).st_size // STRIDE + 1):
            at = row * STRIDE + ROW_BYTES + seat * COUNT.size
            if os.pread(self._fd, COUNT.size, at).strip(b"\0"):
                os.pwrite(self._fd, COUNT.pack(0), at)

    def _close(self) -> None:
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
        self._fd = self._seat = -1

    def _lock(self, number: int) -> None:
        """Raises `_Locked`."""
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, flock(fcntl.F_WRLCK, number))
        except BlockingIOError as error:
            raise _Locked from error

    def _unlock(self, number: int) -> None:
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, flock(fcntl.F_UNLCK, number))

    def _is_held(self, seat: int) -> bool:
        found = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, flock(fcntl.F_WRLCK, seat))
        return FLOCK.unpack(found)[0] != fcntl.F_UNLCK


class Refusal(Exception):
    """A request does not fit into its key's limits: the error, and what is left of them."""

    def __init__(self, error: RequestError, left: Allowance) -> None:
        super().__init__(error.message)
        self.error = error
        self.left = left
