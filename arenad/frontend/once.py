"""Answers that are kept for whoever asks the same again with the same `Idempotency-Key`.

They stand on disk, in a folder that all frontends share: a file for each key of each owner, which
is held locked as long as the first request runs. Whoever comes meanwhile waits for it; when it
ends without an answer, or its frontend dies, the next one runs in its place. Only whole answers
are kept: what has failed is worth another try.
"""

import asyncio
import fcntl
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from arenad.errors import InvalidRequest
from arenad.log import wall_time_s

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255
MAX_COUNT = 1000
MAX_BYTES = 64 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""A longer answer is not kept: the same request would be performed again."""

SWEEP_INTERVAL_S = 30.0
LOOK_S = 0.02
LOOK_AT_MOST_S = 0.25

_MARK_BYTES = 32
_NAME = re.compile(r"[0-9a-f]{64}")
"""Nothing else in the folder is ours to remove."""

log = logging.getLogger("arenad.once")


class KeyReused(InvalidRequest):
    """The same key came with another request before."""

    http_status = 422
    code = "idempotency_key_reused"


class StillRunning(InvalidRequest):
    """The first request with this key takes longer than we wait for it."""

    http_status = 409
    code = "idempotency_key_in_use"


def mark_of(path: str, body: bytes) -> bytes:
    """What tells a request from any other with its key: all of it that makes a difference."""
    return sha256(path.encode() + b"\n" + body).digest()


class Answered(msgspec.Struct, frozen=True):
    """An answer that was given."""

    body: bytes
    headers: dict[str, str]


class Claim:
    """The right to answer, or the `answer` that was given already."""

    def __init__(self, file: int = -1, answer: Answered | None = None) -> None:
        """Without a file nothing is kept."""
        self.answer = answer
        self.is_kept = False
        self._file = file

    async def keep(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Keep this answer for whoever asks again: above all if its client leaves just now.

        The thread writes on then, by a descriptor of its own: the lock is held until that one is
        closed, too. What it leaves half written is no answer.
        """
        packed = msgspec.msgpack.encode(Answered(body, dict(headers)))
        if self._file < 0 or len(packed) > MAX_ANSWER_BYTES:
            return
        try:
            file = os.dup(self._file)
        except OSError as error:
            _tell(error)
            return
        writing = asyncio.get_running_loop().run_in_executor(None, _is_written, file, packed)
        self.is_kept = True
        self.is_kept = await asyncio.shield(writing)


class Once:
    """The folder. Answers are kept for `keep_s`; 0 keeps none."""

    def __init__(self, folder: str, keep_s: float, wait_s: float) -> None:
        """The folder is there already, and nobody else's; `wait_s` for a request that runs.

        Without a folder nothing is kept.
        """
        self._folder = Path(folder)
        self._has_folder = bool(folder)
        self.adjust(keep_s, wait_s)

    def adjust(self, keep_s: float, wait_s: float) -> None:
        """Go by these from the next request on; what is kept for too long by them goes soon."""
        self._keep_s = keep_s if self._has_folder else 0.0
        self._wait_s = wait_s

    @asynccontextmanager
    async def claim(self, key: str, owner: str, mark: bytes) -> AsyncGenerator[Claim]:
        """The right to answer what was asked, or the answer. Raises `RequestError`.

        `mark` is what `mark_of` makes of the request. Without a key nothing is kept.
        """
        if not key or not self._keep_s:
            yield Claim()
            return
        if len(key) > MAX_KEY_CHARS:
            told = f"{HEADER}: has {len(key)} characters; {MAX_KEY_CHARS} are taken"
            raise InvalidRequest(told, param=HEADER)
        path = self._folder / sha256(f"{owner}\n{key}".encode(errors="replace")).hexdigest()
        try:
            file, answer = await self._held(path, mark)
        except OSError as error:
            log.warning("%s is not honoured: %s", HEADER, error.strerror)
            yield Claim()
            return
        claim = Claim(file, answer)
        try:
            yield claim
        finally:
            with suppress(OSError):  # as on a disk that is read-only by now: nothing is kept in it
                if answer is None and not claim.is_kept and os.fstat(file).st_nlink:
                    path.unlink(missing_ok=True)  # while it is ours: who waits makes a new one
            os.close(file)
            if claim.is_kept:
                self._trim()

    async def _held(self, path: Path, mark: bytes) -> tuple[int, Answered | None]:
        """The file, locked, and the answer in it. Raises `KeyReused`, `StillRunning`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._wait_s
        look_s = LOOK_S
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            is_ours = False
            try:
                if _lock(file) and os.fstat(file).st_nlink:
                    answer = self._answer_in(file, mark)
                    is_ours = True
                    return file, answer
                _check(os.pread(file, _MARK_BYTES, 0), mark)
            finally:
                if not is_ours:
                    os.close(file)
            if loop.time() >= until_s:
                told = f"{HEADER}: the first request with it still runs; ask again later"
                raise StillRunning(told, param=HEADER, retry_after_s=self._wait_s)
            await asyncio.sleep(look_s)
            look_s = min(LOOK_AT_MOST_S, 2 * look_s)

    def _answer_in(self, file: int, mark: bytes) -> Answered | None:
        """What is kept in a file that is ours; none when it is old, or was never finished."""
        is_young = os.fstat(file).st_mtime + self._keep_s > wall_time_s()
        content = os.pread(file, MAX_ANSWER_BYTES + _MARK_BYTES, 0) if is_young else b""
        with suppress(msgspec.MsgspecError):
            answer = msgspec.msgpack.decode(content[_MARK_BYTES:], type=Answered)
            _check(content[:_MARK_BYTES], mark)
            return answer
        os.ftruncate(file, 0)
        os.pwrite(file, mark, 0)
        return None

    async def sweep(self) -> None:
        """Remove what has had its time, again and again."""
        while self._has_folder:
            await asyncio.to_thread(self._trim)
            await asyncio.sleep(SWEEP_INTERVAL_S)

    def _trim(self) -> None:
        """The oldest go, until the rest is young, few and small enough; what runs is none of it."""
        room_count, room_bytes = MAX_COUNT, MAX_BYTES
        for age_s, size_bytes, path in sorted(self._entries()):
            if age_s <= self._keep_s and size_bytes <= _MARK_BYTES:
                continue
            room_count -= 1
            room_bytes -= size_bytes
            if age_s > self._keep_s or room_count < 0 or room_bytes < 0:
                _remove(path, size_bytes)

    def _entries(self) -> list[tuple[float, int, Path]]:
        found: list[tuple[float, int, Path]] = []
        now_s = wall_time_s()
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in filter(lambda each: _NAME.fullmatch(each.name), entries):
                with suppress(FileNotFoundError):  # another frontend was quicker
                    status = entry.stat(follow_symlinks=False)
                    found.append((now_s - status.st_mtime, status.st_size, Path(entry.path)))
        return found


def _check(before: bytes, mark: bytes) -> None:
    """Raises `KeyReused`; a mark that is not written yet is nobody's."""
    if len(before) == _MARK_BYTES and before != mark:
        told = f"{HEADER}: came with another request before; a new request takes a new one"
        raise KeyReused(told, param=HEADER)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path, size_bytes: int) -> None:
    """Unless it is held, by who runs or is told what is in it, or is another one since we looked.

    A request may run for longer than its answer would be kept.
    """
    with suppress(OSError):  # another frontend was quicker
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _lock(file):
                status = os.fstat(file)
                if status.st_nlink and status.st_size == size_bytes:
                    path.unlink()
        finally:
            os.close(file)


def _is_written(file: int, packed: bytes) -> bool:
    """Write all of it, and close the file."""
    try:
        written = 0
        while written < len(packed):
            written += os.pwrite(file, packed[written:], _MARK_BYTES + written)
    except OSError as error:
        _tell(error)
        return False
    finally:
        os.close(file)
    return True


def _tell(error: OSError) -> None:
    log.warning("an answer cannot be kept for a second request: %s", error.strerror)
