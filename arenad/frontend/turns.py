"""Whose turn it is to send the site a request: kept by all frontends together, in a small file.

The file holds the time of the last request and the draw for the gap after it. It is read at any
time and written under a lock that is never waited for: one who holds it may be a stopped process.
"""

import fcntl
import logging
import os
import random
import struct
import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from arenad.pace import gap_s
from arenad.schema.process import Pace

LOCKED_S = 0.005
"""When another frontend is just taking its turn we look again so much later."""

FAULT_S = 1.0
"""When its file cannot be read or written, so much later."""

_LAST = struct.Struct("=dd")

log = logging.getLogger("arenad.turns")


class Turn(msgspec.Struct, frozen=True):
    """One that was taken: in which file, and what that said before and says since."""

    path: str
    before: bytes
    since: bytes


_ALWAYS = Turn("", b"", b"")
"""At a site without a pace."""


class Turns:
    """The turns at each site that has a pace, by template; at any other one it is always ours."""

    def __init__(self) -> None:
        """No site has a pace until the master tells of one."""
        self.paces: Mapping[str, Pace] = {}
        self._files: dict[str, int] = {}
        self._again_s: dict[str, float] = {}

    def wait_s(self, template: str, ahead: int = 0) -> float:
        """How long until the turn after `ahead` others, as far as can be seen now; 0 is at once."""
        pace = self.paces.get(template)
        if pace is None:
            return 0.0
        now_s = time.monotonic()
        try:
            last_s, draw = self._last(pace)
        except OSError as error:
            _tell(error)
            return FAULT_S
        gap = gap_s(pace, now_s, draw)
        next_s = last_s + gap if last_s <= now_s else now_s  # else of a boot before this one
        return max(0.0, next_s - now_s, self._again_s.get(template, 0.0) - now_s) + ahead * gap

    def take(self, template: str) -> Turn | None:
        """Take the turn, if it is there; then a request has to follow, or it is given back."""
        pace = self.paces.get(template)
        if pace is None:
            return _ALWAYS
        try:
            fd = self._file(pace)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # locked, or one that `wait_s` tells of
            return None
        try:
            if self.wait_s(template) > 0:
                return None
            draw = random.random()  # noqa: S311 - jitter, no secret
            before, since = os.pread(fd, _LAST.size, 0), _LAST.pack(time.monotonic(), draw)
            os.pwrite(fd, since, 0)
        except OSError as error:  # as of a full disk, which `wait_s` does not see: it reads well
            self._again_s[template] = time.monotonic() + FAULT_S
            _tell(error)
            return None
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
        return Turn(pace.turns_path, before, since)

    def give_back(self, turn: Turn) -> None:
        """No request came of it: undo it, unless another turn was taken since, or is just now."""
        fd = self._files.get(turn.path)
        if fd is None:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        try:
            if os.pread(fd, _LAST.size, 0) == turn.since:
                os.pwrite(fd, turn.before, 0)
                os.ftruncate(fd, len(turn.before))
        except OSError as error:  # then it stays taken
            _tell(error)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files."""
        for fd in self._files.values():
            with suppress(OSError):
                os.close(fd)
        self._files.clear()

    def _last(self, pace: Pace) -> tuple[float, float]:
        """When the last request was sent, long ago if never, and its draw. Raises OSError."""
        said = os.pread(self._file(pace), _LAST.size, 0)
        return _LAST.unpack(said) if len(said) == _LAST.size else (float("-inf"), 0.0)

    def _file(self, pace: Pace) -> int:
        path = pace.turns_path
        if path not in self._files:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._files[path] = os.open(path, flags, 0o600)
        return self._files[path]


def _tell(error: OSError) -> None:
    log.error("the pace of the site cannot be kept: %s", error)
