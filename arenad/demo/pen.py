"""Writes an answer's lines as the faults of the wire have them: torn, cut, dressed otherwise."""

import asyncio

from aiohttp import web

from arenad.demo.faults import Faults
from arenad.demo.generation import Sink


class Cut(ConnectionError):
    """The site broke the connection off on purpose."""


class Pen:
    """Takes whole lines of all sides and writes them to one response, one line at a time."""

    def __init__(self, sink: Sink, faults: Faults) -> None:
        """Faults that are none of the wire are not looked at."""
        self.is_cut = False
        self._sink = sink
        self._prefix = b"data: " if "data-prefix" in faults else b""
        self._end = b"\r\n" if "crlf" in faults else b"\n"
        self._part_bytes = max(1, int(faults["split"])) if "split" in faults else 0
        self._left_bytes = int(faults["cut"]) if "cut" in faults else None
        # The parts of a line stay together, whoever else writes meanwhile.
        self._turn = asyncio.Lock()

    async def write(self, line: bytes, /) -> None:
        """Write a line that ends with LF. Raises `Cut` at the byte where the answer is cut."""
        dressed = self._prefix + line.removesuffix(b"\n") + self._end
        async with self._turn:
            if self.is_cut:
                raise Cut("the answer was cut before")
            if self._left_bytes is not None:
                dressed = dressed[: self._left_bytes]
                self._left_bytes -= len(dressed)
            size = self._part_bytes or len(dressed) or 1
            for start in range(0, len(dressed), size):
                await self._sink.write(dressed[start : start + size])
            if self._left_bytes == 0:
                self.is_cut = True
                raise Cut("the answer is cut here")


def hang_up(request: web.Request) -> None:
    """Close the connection after what was written, in the middle of the body."""
    if request.transport is not None:
        request.transport.close()
