"""demo-upstream: passes a conversation to an OpenAI-compatible address and its deltas back."""

import concurrent.futures.thread
import encodings.idna
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp
import msgspec

from arenad.demo.models import Piece
from arenad.demo.protocol import Turn
from arenad.errors import ArenadError
from arenad.schema.process import DemoSettings

# Looking up a name loads these at first use, when the process may no longer read their files.
LOADED_EARLY = (concurrent.futures.thread, encodings.idna)

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 120.0
TOTAL_TIMEOUT_S = 900.0
LINE_LIMIT_BYTES = 1024 * 1024
ERROR_LIMIT_BYTES = 4096
"""Bytes of an upstream's error that are shown."""

_HTTP_OK = 200


class UpstreamFault(ArenadError):
    """The upstream cannot be reached, refuses, or breaks off."""


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    error: Any = None


class Reader:
    """An upstream's event stream, bytes in and pieces out. No I/O."""

    def __init__(self) -> None:
        self.finished = False
        self._held = b""

    def feed(self, received: bytes) -> list[Piece]:
        """The pieces that are complete now. Raises `UpstreamFault`."""
        *lines, self._held = (self._held + received).split(b"\n")
        if len(self._held) > LINE_LIMIT_BYTES:
            raise UpstreamFault(f"the upstream sent a line above {LINE_LIMIT_BYTES} bytes")
        return [piece for line in lines for piece in self._read(line.strip())]

    def _read(self, line: bytes) -> list[Piece]:
        if not line.startswith(b"data:"):
            return []
        value = line[5:].strip()
        if value == b"[DONE]":
            self.finished = True
            return []
        try:
            chunk = msgspec.json.decode(value, type=_Chunk)
        except msgspec.MsgspecError as error:
            raise UpstreamFault(f"the upstream sent what is no chunk: {error}") from None
        if chunk.error is not None:
            raise UpstreamFault(msgspec.json.encode(chunk.error).decode())
        return [piece for choice in chunk.choices[:1] for piece in self._pieces(choice)]

    def _pieces(self, choice: _Choice) -> list[Piece]:
        self.finished |= choice.finish_reason is not None
        delta = choice.delta
        thought = delta.reasoning_content or delta.reasoning
        pieces = [Piece(thought, kind="reasoning")] if thought else []
        return [*pieces, Piece(delta.content)] if delta.content else pieces


class Upstream:
    """The configured upstream, with its one client session."""

    def __init__(self, settings: DemoSettings) -> None:
        """Make the session; call `close` in the end. Needs a running loop."""
        self._address = settings.demo.upstream_url.rstrip("/") + "/chat/completions"
        self._model = settings.demo.upstream_model
        self._key = settings.upstream_key
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=TOTAL_TIMEOUT_S,
                sock_connect=CONNECT_TIMEOUT_S,
                sock_read=SILENCE_TIMEOUT_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close every connection to the upstream."""
        await self._session.close()

    async def answer(self, conversation: Sequence[Turn]) -> AsyncGenerator[Piece, None]:
        """The upstream's answer as it comes. Raises `UpstreamFault`, which never shows the key."""
        try:
            async for piece in self._deltas(conversation):
                yield piece
        except TimeoutError:
            raise UpstreamFault("the upstream took too long") from None
        except aiohttp.ClientError as error:
            raise UpstreamFault(f"the upstream failed: {self._shown(str(error))}") from None

    async def _deltas(self, conversation: Sequence[Turn]) -> AsyncGenerator[Piece, None]:
        body = {
            "model": self._model,
            "stream": True,
            "messages": [{"role": turn.speaker, "content": turn.text} for turn in conversation],
        }
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        async with self._session.post(
            self._address,
            data=msgspec.json.encode(body),
            headers=headers,
            allow_redirects=False,  # the key is for this address only
        ) as response:
            if response.status != _HTTP_OK:
                text = (await response.content.read(ERROR_LIMIT_BYTES)).decode(errors="replace")
                raise UpstreamFault(f"the upstream answered {response.status}: {self._shown(text)}")
            reader = Reader()
            async for received in response.content.iter_any():
                for piece in reader.feed(received):
                    yield piece
            if not reader.finished:
                raise UpstreamFault("the upstream broke off in the middle of its answer")

    def _shown(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text
