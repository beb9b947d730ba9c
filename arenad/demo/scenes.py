"""Answers as the faults within a stream have them: pieces in, pieces out."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from arenad.demo.faults import Faults
from arenad.demo.generation import TOTAL_TIMEOUT_S
from arenad.demo.models import Piece
from arenad.demo.protocol import Side
from arenad.demo.upstream import UpstreamFault

OTHER_CODES = "1457896abhijklmz"
"""Codes that a reader has to count and to go past, known to the site's framework or not."""

BEAT_S = 0.2
"""Between two heartbeats, where nothing else is written on purpose."""

MODEL_ERROR = '{"error":{"message":"The model is overloaded.","code":529}}'
PLATFORM_ERROR = "This request was stopped by the platform."
ARENA_ERROR = "hasArenaError"
_ENDING = frozenset({"filtered", "platform-error", "arena-error"})
"""Faults after which nothing of the answer comes any more."""

FACE = "\U0001f600"

Pieces = AsyncGenerator[Piece, None]


def beat_s(faults: Faults) -> float | None:
    """How often an answer beats while it is silent; None: as usual."""
    if faults.keys() & {"slow-start", "stall"}:
        return TOTAL_TIMEOUT_S
    return BEAT_S if "heartbeats" in faults else None


async def staged(pieces: Pieces, faults: Faults, side: Side) -> Pieces:
    """The pieces of one side as the faults have them. Raises `UpstreamFault` where one wants it."""
    await asyncio.sleep(faults.get("slow-start", 0) + faults.get("heartbeats", 0))
    for piece in _prelude(faults, side):
        yield piece
    if "one-side" in faults and side == "b":
        raise UpstreamFault(MODEL_ERROR)
    place = 0
    async with aclosing(_closed_early(pieces) if "early-finish" in faults else pieces) as played:
        async for piece in played:
            yield piece
            async for extra in _between(faults, side, place):
                yield extra
            if faults.keys() & _ENDING:
                break
            place += 1
    if "no-finish" in faults:
        yield Piece("", kind="finish")


async def _between(faults: Faults, side: Side, place: int) -> Pieces:
    """What comes after the piece at a place."""
    if place == 0:
        async for extra in _after_first(faults, side):
            yield extra
    if "step-lines" in faults:
        yield Piece("e", 0, "line", {"finishReason": "unknown", "isContinued": True})
        yield Piece("f", 0, "line", {"messageId": f"step-{place}"})


def _prelude(faults: Faults, side: Side) -> list[Piece]:
    lines: list[Piece] = []
    if "unknown-lines" in faults:
        lines += [Piece(code, 0, "line", [{"n": code}]) for code in OTHER_CODES]
        lines += [Piece(raw, kind="raw") for raw in ('c0:"lost"', '0:"lost"', '12:["$","p",null]')]
    if "long-line" in faults:
        lines.append(Piece("8", 0, "line", side * int(faults["long-line"])))
    return lines


async def _after_first(faults: Faults, side: Side) -> Pieces:
    """What comes after the first piece."""
    await asyncio.sleep(faults.get("stall", 0))
    if "half-pairs" in faults:
        # Two JSON strings that are no text by themselves, as a site sends that cuts by UTF-16.
        high, low = (f"{half:04x}" for half in _halves(FACE))
        yield Piece(f'{side}0:"\\u{high}"', kind="raw")
        yield Piece(f'{side}0:"\\u{low}"', kind="raw")
    if "model-error" in faults:
        raise UpstreamFault(MODEL_ERROR)
    if "platform-error" in faults:
        yield Piece("e", 0, "line", {"message": PLATFORM_ERROR})
    if "arena-error" in faults:
        yield Piece("0", 0, "line", ARENA_ERROR)
    if "filtered" in faults:
        yield Piece("content-filter", kind="finish")


def _halves(character: str) -> tuple[int, int]:
    encoded = character.encode("utf-16-be")
    return int.from_bytes(encoded[:2]), int.from_bytes(encoded[2:])


async def _closed_early(pieces: Pieces) -> Pieces:
    """The same, with the finish before the last piece."""
    held: Piece | None = None
    async with aclosing(pieces):
        async for piece in pieces:
            if held is not None:
                yield held
            held = piece
    yield Piece("stop", kind="finish")
    if held is not None:
        yield held
