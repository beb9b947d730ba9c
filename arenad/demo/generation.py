"""One answer on its way to one client: the rests, the heartbeats, the stop, the end."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from time import monotonic, monotonic_ns
from typing import Literal, Protocol

from arenad.demo import protocol
from arenad.demo.models import Piece
from arenad.demo.protocol import Attachment, Side
from arenad.demo.upstream import UpstreamFault

HEARTBEAT_S = 5.0
"""Silence after which the client hears that the answer is still on its way."""

WRITE_TIMEOUT_S = 60.0
"""A client that reads nothing for this long is taken for gone."""

TOTAL_TIMEOUT_S = 3600.0
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
"""Of the text and of the reasoning, each. An answer that reaches a limit ends as `length`."""

CATCH_UP_S = 1.0
"""How far a pace may fall behind before it is given up instead of caught up with."""

Ending = Literal["finished", "cut", "stopped", "left"]
"""`cut`: a limit was reached; `left`: the client is gone."""


async def paced(pieces: Iterator[Piece]) -> AsyncGenerator[Piece, None]:
    """Perform the rests of `pieces` against the clock, so that slow writes do not add up.

    A piece of kind `clock` becomes the nanoseconds of the machine's monotonic clock, and a space.
    """
    due = monotonic()
    for piece in pieces:
        due = max(due, monotonic() - CATCH_UP_S) + piece.pause_s
        # A rest of nothing still lets a stop in.
        await asyncio.sleep(max(0.0, due - monotonic()))
        yield piece if piece.kind != "clock" else Piece(f"{monotonic_ns()} ")


class Sink(Protocol):
    """Where the lines go: a prepared response, or what stands before it."""

    async def write(self, line: bytes, /) -> None:
        """Take a line; waits while the client reads too slowly. Raises `ConnectionError`."""


class Generation:
    """Writes one side's answer.

    `text` and `reasoning` are what was written so far, as UTF-8, `pictures` what was drawn.
    """

    def __init__(self, sink: Sink, side: Side = "a", beat_s: float | None = None) -> None:
        """`beat_s` is the silence after which a heartbeat is written; None: the usual one."""
        self.text = bytearray()
        self.reasoning = bytearray()
        self.pictures: list[Attachment] = []
        self._sink = sink
        self._side: Side = side
        self._beat_s = HEARTBEAT_S if beat_s is None else beat_s
        self._prompt_bytes = 0
        self._has_finished = False
        self._stop_wanted = False
        self._deadline: asyncio.Timeout | None = None
        self._wrote_at = monotonic()

    def stop(self) -> None:
        """End the answer now, wherever it is."""
        self._stop_wanted = True
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def run(
        self, message: str, prompt_bytes: int, pieces: AsyncGenerator[Piece, None]
    ) -> Ending:
        """Write the whole answer that fills `message`; returns how it ended."""
        self._prompt_bytes = prompt_bytes
        try:
            await self._write(protocol.start_line(message, self._side))
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat())
                ending = await self._speak(pieces)
                beating.cancel()
            if not self._has_finished:
                await self._finish("length" if ending == "cut" else "stop")
        except ConnectionError:
            return "left"
        return ending

    async def _speak(self, pieces: AsyncGenerator[Piece, None]) -> Ending:
        limit_s = 0.0 if self._stop_wanted else TOTAL_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s) as self._deadline, aclosing(pieces):
                async for piece in pieces:
                    if not await self._take(piece):
                        return "cut"
        except TimeoutError:
            return "stopped" if self._stop_wanted else "cut"
        except UpstreamFault as fault:
            await self._write(protocol.error_line(str(fault), self._side))
        except ConnectionError:
            return "left"
        finally:
            self._deadline = None
        return "finished"

    async def _take(self, piece: Piece) -> bool:
        match piece.kind:
            case "text" | "reasoning":
                return await self._grow(piece.kind, piece.text)
            case "line":
                self.pictures += _pictures(piece)
                await self._write(protocol.line(piece.text, piece.value, self._side))
            case "raw":
                await self._write(piece.text.encode() + b"\n")
            case "finish":
                await self._finish(piece.text)
            case "image" | "clock":
                raise ValueError(f"{piece.kind}: whoever plays the pieces has to make a text of it")
        return True

    async def _grow(self, kind: Literal["text", "reasoning"], text: str) -> bool:
        kept = self.text if kind == "text" else self.reasoning
        encoded = text.encode()
        if len(kept) + len(encoded) > ANSWER_LIMIT_BYTES:
            return False
        kept += encoded
        await self._write(protocol.piece_line(kind, text, self._side))
        return True

    async def _finish(self, reason: str) -> None:
        """Write the last line, unless the reason is empty; whatever comes after, it stays one."""
        self._has_finished = True
        if reason:
            size_bytes = len(self.text)
            line = protocol.finish_line(reason, self._prompt_bytes, size_bytes, self._side)
            await self._write(line)

    async def _beat(self) -> None:
        with suppress(ConnectionError):  # the speaker learns of it too
            while True:
                silent_s = monotonic() - self._wrote_at
                if silent_s >= self._beat_s:
                    await self._write(protocol.heartbeat_line(self._side))
                    silent_s = 0.0
                await asyncio.sleep(self._beat_s - silent_s)

    async def _write(self, line: bytes) -> None:
        self._wrote_at = monotonic()
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._sink.write(line)
        except TimeoutError:
            raise ConnectionAbortedError("the client reads nothing") from None


def _pictures(piece: Piece) -> list[Attachment]:
    """The pictures that a line brings, as histories have them."""
    if piece.text != "2":
        return []
    return [
        Attachment("picture.png", item["mimeType"], item["image"])
        for item in piece.value
        if item["type"] == "image"
    ]
