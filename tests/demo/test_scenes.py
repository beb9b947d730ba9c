"""Answers as faults have them: which pieces come, and in which order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from arenad.demo import scenes
from arenad.demo.models import Piece
from arenad.demo.upstream import UpstreamFault

ONE, TWO = Piece("one "), Piece("two")


async def _spoken() -> AsyncGenerator[Piece, None]:
    for piece in (ONE, TWO):
        yield piece


def _staged(side: str = "a", **faults: float) -> list[Piece | str]:
    named = {name.replace("_", "-"): value for name, value in faults.items()}
    seen: list[Piece | str] = []

    async def story() -> None:
        pieces = scenes.staged(_spoken(), named, side)
        with suppress(StopAsyncIteration):
            while True:
                try:
                    seen.append(await anext(pieces))
                except UpstreamFault:
                    seen.append("failed")

    asyncio.run(story())
    return seen


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ("early-finish", [ONE, Piece("stop", kind="finish"), TWO]),
        ("no-finish", [ONE, TWO, Piece("", kind="finish")]),
        ("filtered", [ONE, Piece("content-filter", kind="finish")]),
        ("model-error", [ONE, "failed"]),
        ("platform-error", [ONE, Piece("e", 0, "line", {"message": scenes.PLATFORM_ERROR})]),
        ("arena-error", [ONE, Piece("0", 0, "line", "hasArenaError")]),
        ("one-side", [ONE, TWO]),
        ("slow-start", [ONE, TWO]),
    ],
)
def test_each_fault_has_its_scene(fault: str, wanted: list[Piece | str]) -> None:
    """What is not touched comes as it is."""
    assert _staged(**{fault: 0}) == wanted


def test_one_side_is_the_second() -> None:
    """Side B fails before it says a word."""
    assert _staged("b", one_side=0) == ["failed"]


def test_unknown_lines_come_first() -> None:
    """Every code that a reader does not know, and lines that are none of a side."""
    *extra, one, two = _staged(unknown_lines=0)
    assert (one, two) == (ONE, TWO)
    assert {piece.kind for piece in extra} == {"line", "raw"}
    assert not {piece.text for piece in extra} & set("0g23cdef")


def test_half_pairs_are_no_text_alone() -> None:
    """The two halves are JSON, and together the face."""
    first, high, low, last = _staged(half_pairs=0)
    assert (first, last) == (ONE, TWO)
    assert (high.text, low.text) == ('a0:"\\ud83d"', 'a0:"\\ude00"')


def test_steps_follow_each_piece() -> None:
    """An end and a start, without a message."""
    assert [piece.text for piece in _staged(step_lines=0)] == ["one ", "e", "f", "two", "e", "f"]


def test_a_long_line_has_its_length() -> None:
    """In an unknown code, before the text."""
    long, *_ = _staged(long_line=1000)
    assert len(long.value) == 1000


@pytest.mark.parametrize(
    ("faults", "often"),
    [({}, None), ({"heartbeats": 3}, scenes.BEAT_S), ({"stall": 3}, scenes.TOTAL_TIMEOUT_S)],
)
def test_beats_are_many_or_none(faults: dict[str, float], often: float | None) -> None:
    """Silence on purpose has no heartbeat; heartbeats on purpose are frequent."""
    assert scenes.beat_s(faults) == often
