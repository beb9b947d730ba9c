"""What every source has in common: bounded pieces, waiters that are woken, an end."""

import asyncio

import pytest
from scripted_browser import tell

from arenad.errors import UpstreamFailed
from arenad.worker import source
from arenad.worker.devtools import BrowserGone
from arenad.worker.source import Inbox


def test_pieces_come_in_order_and_at_once() -> None:
    """A reader gets all that has come, and then nothing."""

    async def story() -> None:
        inbox = Inbox()
        reading = asyncio.ensure_future(inbox.read())
        await asyncio.sleep(0)
        inbox._add("a")
        inbox._add(b"b")
        inbox._add("")
        assert await reading == ["a", b"b"]
        inbox._end("")
        inbox._add("late")
        inbox._end("another end")
        assert await inbox.read() == []
        await inbox.over()
        assert inbox.sent_texts() == []

    tell(story())


def test_a_cut_and_a_loss_are_told_apart() -> None:
    """After what had come: an error of the site, or a page that is gone."""

    async def story() -> None:
        for end, kind in (
            (lambda each: each._end("cut"), UpstreamFailed),
            (lambda each: each.lose("gone"), BrowserGone),
        ):
            inbox = Inbox()
            inbox._add("x")
            end(inbox)
            assert await inbox.read() == ["x"]
            with pytest.raises(kind):
                await inbox.read()
            with pytest.raises(kind):
                await inbox.head()

    tell(story())


def test_what_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it all is dropped, and no answer with a hole is given out; abandoned is nothing kept."""
    monkeypatch.setattr(source, "UNREAD_LIMIT_BYTES", 10)

    async def story() -> None:
        inbox = Inbox()
        for _ in range(3):
            inbox._add("12345")
        with pytest.raises(UpstreamFailed, match="read so slowly"):
            await inbox.read()
        left = Inbox()
        left.abandon()
        left._add("x" * 100)
        assert not left._pieces
        assert not left.is_over

    tell(story())
