"""Frames of a page that fails to draw them, at a browser that answers as it is told."""

import asyncio
from typing import Any

import pytest
from scripted_browser import ENOUGH_S, until

from arenad.worker import frames
from arenad.worker.frames import STUCK_AFTER, Frames
from arenad.worker.page_port import BrowserError, NoReply


class Told:
    """DevTools whose frames end as they are told, one after another; the last one goes on."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = [*ends]
        self.begun = 0

    async def command(self, method: str, *_: object) -> dict[str, Any]:
        if method == "Target.attachToTarget":
            return {"sessionId": "s"}
        await asyncio.sleep(0)
        self.begun += 1
        if (end := self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]) is not None:
            raise end
        return {}


def stuck_after(
    monkeypatch: pytest.MonkeyPatch, *ends: Exception | None, frames_begun: int
) -> bool:
    """Whether they are stuck once so many have begun."""
    monkeypatch.setattr(frames, "AGAIN_S", 0.0)

    async def story() -> bool:
        told = Told(*ends)
        drawn = Frames(told)  # pyright: ignore[reportArgumentType] - as DevTools
        await drawn.attach("t")
        drawn.begin(asyncio.Lock())
        await until(lambda: told.begun >= frames_begun)
        await drawn.end()
        await drawn.close()
        return drawn.are_stuck

    return asyncio.run(asyncio.wait_for(story(), ENOUGH_S))


def test_a_page_whose_frame_never_ends_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next ones are refused as long as that one is pending, whatever the page is used for."""
    refused = BrowserError("Another frame is pending")
    assert stuck_after(monkeypatch, NoReply("none"), refused, frames_begun=STUCK_AFTER + 2)


def test_a_page_that_was_late_once_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was busy, and moves again."""
    late = [NoReply("none")] * (STUCK_AFTER - 1)
    assert not stuck_after(monkeypatch, *late, None, frames_begun=STUCK_AFTER + 2)
    again = [*late, None, *late, None]
    assert not stuck_after(monkeypatch, *again, frames_begun=len(again) + 1)
