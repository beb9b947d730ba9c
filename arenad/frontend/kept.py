"""Images of answers that are kept for a while, for clients that want an address of ours.

They stand on disk, in a folder that all frontends share, so any of them serves what any has kept. A
file's name is its id, which nobody can guess; its first line is its type.
"""

import asyncio
import binascii
import logging
import os
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

from arenad.errors import InvalidRequest
from arenad.frontend.dispatch import Answer
from arenad.log import wall_time_s
from arenad.schema.chat import Event, Finish, Image
from arenad.schema.config import FilesConfig

SWEEP_INTERVAL_S = 30.0
_ID = re.compile(r"file-[0-9a-f]{32}")
_LINE_BYTES = 256
_DATA = re.compile(r"data:(image/[a-z0-9.+-]+);base64,")

log = logging.getLogger("arenad.kept")


class FileNotKept(InvalidRequest):
    """There is no such file, or not any more."""

    http_status = 404
    code = "not_found"


class KeptFile:
    """One of them, read part by part: its reader may be slow, and one of many."""

    def __init__(self, fd: int) -> None:
        """Looks at what it is; `close` ends it."""
        self._fd = fd
        line = os.pread(fd, _LINE_BYTES, 0).partition(b"\n")[0]
        status = os.fstat(fd)
        self.kind = line.decode()
        self.kept_unix_s = status.st_mtime
        self._begin = len(line) + 1
        self.size_bytes = status.st_size - self._begin

    async def part(self, begin: int, size_bytes: int) -> bytes:
        """So much of the content from there on. Raises `OSError`."""
        return await asyncio.to_thread(os.pread, self._fd, size_bytes, self._begin + begin)

    def close(self) -> None:
        """It is not read any more."""
        os.close(self._fd)


class Kept:
    """The folder. `rules` may change at any time."""

    def __init__(self, folder: str, rules: FilesConfig) -> None:
        """The folder is there already, and nobody else's."""
        self.rules = rules
        self._folder = Path(folder)

    async def answer(self, events: Answer, base: str) -> AsyncGenerator[Event | Finish]:
        """The same events, with addresses below `base` for images that came as data URLs.

        What cannot be kept stays what it was.
        """
        async with aclosing(events):
            async for event in events:
                yield await self._named(event, base) if isinstance(event, Image) else event

    async def _named(self, image: Image, base: str) -> Image:
        found = _DATA.match(image.url)
        if found is None:
            return image
        try:
            content = binascii.a2b_base64(image.url[found.end() :])
            name = await self.keep(content, found[1])
        except (OSError, ValueError) as error:
            log.warning("an image cannot be kept (%s); it is told as it is", error)
            return image
        return Image(f"{base}/v1/files/{name}/content", image.side)

    async def keep(self, content: bytes, kind: str) -> str:
        """Keep a file; gives its id. Raises `OSError`."""
        name = f"file-{secrets.token_hex(16)}"
        await asyncio.to_thread(self._write, name, kind.encode() + b"\n" + content)
        return name

    async def open(self, name: str) -> "KeptFile":
        """The file, to be closed. Raises `FileNotKept`."""
        if _ID.fullmatch(name):
            opening = asyncio.get_running_loop().run_in_executor(None, self._opened, name)
            try:
                return await asyncio.shield(opening)
            except OSError:
                pass
            except asyncio.CancelledError:  # the thread opens it all the same
                opening.add_done_callback(_close)
                raise
        told = (
            f"there is no {name[:80]!r}, or not any more; see files.keep_s, keep_count, keep_bytes"
        )
        raise FileNotKept(f"id: {told}", param="id")

    async def sweep(self) -> None:
        """Remove what has had its time, again and again."""
        while True:
            await asyncio.to_thread(self._trim)
            await asyncio.sleep(min(SWEEP_INTERVAL_S, self.rules.keep_s))

    # -- in a thread -------------------------------------------------------------------------------

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self._folder / f".{name}"
        try:
            fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
            unfinished.rename(self._folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._trim()

    def _opened(self, name: str) -> "KeptFile":
        file = KeptFile(os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        if file.kept_unix_s + self.rules.keep_s < wall_time_s():
            file.close()
            raise FileNotFoundError
        return file

    def _trim(self) -> None:
        """The oldest go, until the rest is young, few and small enough."""
        rules, now_s = self.rules, wall_time_s()
        room_count, room_bytes = rules.keep_count, rules.keep_bytes
        for age_s, size_bytes, path in sorted(self._entries(now_s)):
            room_count -= 1
            room_bytes -= size_bytes
            if age_s > rules.keep_s or room_count < 0 or room_bytes < 0:
                with suppress(OSError):  # another frontend was quicker, or it is tried again
                    path.unlink()

    def _entries(self, now_s: float) -> list[tuple[float, int, Path]]:
        found: list[tuple[float, int, Path]] = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in filter(_is_ours, entries):
                with suppress(FileNotFoundError):  # another frontend was quicker
                    status = entry.stat(follow_symlinks=False)
                    found.append((now_s - status.st_mtime, status.st_size, Path(entry.path)))
        return found


def _close(opening: "asyncio.Future[KeptFile]") -> None:
    """Nobody reads what was opened."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """Nothing else is ever removed, whatever folder we are given; a dot is of one being written."""
    return _ID.fullmatch(entry.name.removeprefix(".")) is not None
