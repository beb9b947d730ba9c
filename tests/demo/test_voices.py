"""Who answers, and how answers are counted."""

import asyncio

import pytest

from arenad.demo import voices
from arenad.demo.protocol import Refusal, Turn
from arenad.schema.config import DemoConfig
from arenad.schema.process import DemoSettings


def _voices() -> voices.Voices:
    return voices.Voices(DemoSettings(demo=DemoConfig(chunks_per_s=1000.0), upstream_key=""))


def test_a_model_speaks_by_its_name() -> None:
    """The answer comes in the model's own pieces."""

    async def story() -> list[str]:
        answer = _voices().answer("demo-echo", [Turn("user", "one two")])
        return [piece.text async for piece in answer]

    assert asyncio.run(story()) == ["one ", "two"]


def test_an_unknown_model_is_refused() -> None:
    """The refusal names it."""
    with pytest.raises(Refusal, match="400 unknown model: model: demo-nobody"):
        _voices().check("demo-nobody")
    _voices().check("demo-echo")


def test_room_is_bounded() -> None:
    """With as many answers as may be, the next has to wait."""
    full = _voices()
    full.check_room()
    full.counts.running = voices.RUNNING_LIMIT
    with pytest.raises(Refusal, match="429"):
        full.check_room()


def test_each_ending_is_counted_once() -> None:
    """A cut answer has finished too; who left is counted apart."""
    counts = voices.Counts()
    for ending in ("finished", "cut", "stopped", "left"):
        counts.end(ending)
    assert (counts.finished, counts.stopped, counts.left) == (2, 1, 1)
