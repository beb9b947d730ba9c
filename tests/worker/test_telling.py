"""An answer as it is passed on: its events untouched, its text kept, its names told once."""

import asyncio

import pytest

from arenad.schema.chat import Began, Citation, Event, Heartbeat, Image, ReasoningDelta, TextDelta
from arenad.worker.sites import telling as telling_module
from arenad.worker.sites.telling import Telling


def test_an_answer_is_passed_on_and_kept() -> None:
    """Each side's text is that which clients get; reasoning and signs of life are no part of it."""
    told: list[Event] = []
    events: list[Event] = [
        Heartbeat(),
        ReasoningDelta("hm"),
        TextDelta("a"),
        TextDelta("B", side=1),
        Image("http://i/"),
        Citation("http://c/", "C"),
    ]

    async def emit(event: Event) -> None:
        told.append(event)

    async def story() -> None:
        telling = Telling(emit)
        await telling.began("new", "", "")
        assert not telling.has_told
        await telling.began("new", "", "")
        await telling.began("new", "s1", "")
        for event in events:
            await telling.event(event)
        assert telling.has_told
        assert telling.texts == ("a![image](http://i/)\n[C](http://c/)", "B")

    asyncio.run(story())
    assert told == [Began("new"), Began("new", "s1"), *events]


def test_nothing_of_an_answer_without_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is passed on, but its conversation cannot be gone on with."""
    monkeypatch.setattr(telling_module, "KEPT_CHARS", 10)
    told: list[Event] = []

    async def emit(event: Event) -> None:
        told.append(event)

    async def story() -> None:
        telling = Telling(emit)
        await telling.event(TextDelta("x" * 10))
        assert telling.texts == ("x" * 10,)
        await telling.event(TextDelta("y"))
        await telling.event(TextDelta("z"))
        assert telling.texts == ()

    asyncio.run(story())
    assert len(told) == 3
