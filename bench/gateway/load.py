"""A client that costs next to nothing: chats over kept connections, each piece with its time."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

PATIENCE_S = 60.0
_CONTENT = re.compile(rb'"content": ?("(?:[^"\\]|\\.)+")')
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Heard(NamedTuple):
    """One answer: its head, its body without chunk lengths, and when its parts came, in seconds."""

    asked_s: float
    head: bytes
    body: bytes
    first_s: float
    parts_s: list[float]
    ended_s: float
    is_cut: bool

    @property
    def text(self) -> str:
        """What was said, piece by piece."""
        return "".join(msgspec.json.decode(each) for each in _CONTENT.findall(self.body))

    @property
    def is_ok(self) -> bool:
        """Whether it began well."""
        return self.head.startswith(b"HTTP/1.1 200")

    @property
    def gaps_ms(self) -> list[float]:
        """Between the parts."""
        pairs = zip(self.parts_s, self.parts_s[1:], strict=False)
        return [(after - before) * 1000 for before, after in pairs]


class Client(asyncio.Protocol):
    """One connection; `chat` once at a time."""

    def __init__(self) -> None:
        """Nothing is asked."""
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._done: asyncio.Future[bool] | None = None
        self._first_s = 0.0
        self._parts_s: list[float] = []
        self._is_chunked: bool | None = None
        self._wanted_bytes = 0
        self.began = asyncio.Event()

    @classmethod
    async def connect(cls, url: str) -> "Client":
        """A connection to the server of this address."""
        at = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(cls, at.hostname, at.port)
        return client

    async def chat(self, model: str, text: str, key: str = "", *, stream: bool = True) -> Heard:
        """Ask, and hear all of the answer."""
        asked_s = self.ask(model, text, key, stream=stream)
        assert self._done is not None
        async with asyncio.timeout(PATIENCE_S):
            is_cut = await self._done
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        body = _joined(body) if self._is_chunked else body
        ended_s = time.monotonic()
        return Heard(asked_s, head, body, self._first_s, self._parts_s, ended_s, is_cut)

    def ask(self, model: str, text: str, key: str = "", *, stream: bool) -> float:
        """Ask only; when that was."""
        wish = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        body = msgspec.json.encode(wish)
        auth = f"Authorization: Bearer {key}\r\n" if key else ""
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n{auth}"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._received.clear()
        self._first_s, self._parts_s, self._is_chunked = 0.0, [], None
        self.began.clear()
        self._done = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        asked_s = time.monotonic()
        self._transport.write(head.encode() + body)
        return asked_s

    def leave(self) -> float:
        """Hang up; when that was."""
        assert self._transport is not None
        self._transport.abort()
        return time.monotonic()

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Note when; look whether it is the end."""
        self._received += data
        if b'"content"' in data:
            now_s = time.monotonic()
            if self._first_s == 0.0 and _CONTENT.search(self._received):
                self._first_s = now_s
                self.began.set()
            self._parts_s.append(now_s)
        if self._is_chunked is None and not self._read_head():
            return
        is_end = (
            self._received.endswith(b"\r\n0\r\n\r\n")
            if self._is_chunked
            else len(self._received) >= self._wanted_bytes
        )
        if is_end:
            self._finish(is_cut=False)

    def _read_head(self) -> bool:
        head, end, _ = self._received.partition(b"\r\n\r\n")
        if not end:
            return False
        self._is_chunked = b"chunked" in head.lower()
        length = _LENGTH.search(head)
        self._wanted_bytes = len(head) + 4 + (int(length[1]) if length else 1 << 60)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that had no end was cut."""
        del exc
        self._finish(is_cut=True)

    def _finish(self, *, is_cut: bool) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(is_cut)


def _joined(chunks: bytes) -> bytes:
    """A chunked body without the lengths, as far as it came."""
    body = bytearray()
    while chunks:
        length, _, rest = chunks.partition(b"\r\n")
        size = int(length or b"0", 16)
        body += rest[:size]
        chunks = rest[size + 2 :]
    return bytes(body)


def words(count: int) -> str:
    """So many different words."""
    return " ".join(f"w{number}" for number in range(count))


async def each(count: int, work: Callable[[Client, int], Awaitable[None]], url: str) -> None:
    """So many connections at once, and the work of each."""
    clients = [await Client.connect(url) for _ in range(count)]
    try:
        await asyncio.gather(*(work(client, place) for place, client in enumerate(clients)))
    finally:
        for client in clients:
            client.leave()
