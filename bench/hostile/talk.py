"""One connection of which every byte is ours, and what the other side makes of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

PATIENCE_S = 240.0
"""What has not ended by then has hung."""


class Heard(NamedTuple):
    """An answer: its status (0 for none), its headers, its body, and whether that is all of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


NOTHING = Heard(0, {}, b"", is_whole=False)
"""The other side hung up without a word."""


class Wire:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Nothing is said."""
        self.reader, self.writer = reader, writer

    def send(self, sent: bytes) -> None:
        """These bytes, as soon as they can go."""
        self.writer.write(sent)

    def leave(self) -> None:
        """Gone without a word (RST)."""
        self.writer.transport.abort()

    async def hear(self) -> Heard:
        """One answer, as far as it comes. Never raises for what the other side does."""
        heard = NOTHING
        try:
            async with asyncio.timeout(PATIENCE_S):
                heard = await self._head()
                return await self._body(heard)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            return heard

    async def _head(self) -> Heard:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return Heard(int(first.split()[1]), {k.lower(): v for k, v in pairs}, b"", is_whole=False)

    async def _body(self, heard: Heard) -> Heard:
        if (length := heard.headers.get("content-length")) is not None:
            body = await self.reader.readexactly(int(length))
            return heard._replace(body=body, is_whole=True)
        parts: list[bytes] = []
        try:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                parts.append((await self.reader.readexactly(size + 2))[:-2])
            await self.reader.readuntil(b"\r\n")
        except (OSError, EOFError, ValueError):
            return heard._replace(body=b"".join(parts))
        return heard._replace(body=b"".join(parts), is_whole=True)


@contextlib.asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A connection to the server of this address, closed at the end."""
    at = urlsplit(url)
    made = Wire(*await asyncio.open_connection(at.hostname, at.port, limit=1024 * 1024))
    try:
        yield made
    finally:
        made.writer.close()
        with contextlib.suppress(OSError):
            await made.writer.wait_closed()


def post(path: str, body: object, key: str, **headers: str) -> bytes:
    """A request, whole; the connection ends with its answer."""
    packed = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return head(path, len(packed), key, **headers) + packed


def head(path: str, length: int, key: str, **headers: str) -> bytes:
    """Of a request with a body of so many bytes."""
    told = {
        "Host": "127.0.0.1",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(length),
        "Authorization": f"Bearer {key}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [
        f"POST {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in told.items() if value),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
