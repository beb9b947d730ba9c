"""What every source has in common: bounded pieces, waiters that are woken, an end."""

import asyncio

import pytest
from recorded_valve import RecordedValve
from scripted_browser import tell

from arenad.errors import UpstreamFailed
from arenad.worker import source
from arenad.worker.page_port import BrowserGone
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


def test_the_network_waits_between_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held back once so much is unread, and not before somebody reads; let go when half is read."""
    monkeypatch.setattr(source, "HELD_BYTES", 100)
    monkeypatch.setattr(source, "READ_BYTES", 30)

    async def story() -> None:
        inbox, valve = Inbox(), RecordedValve()
        inbox.valve = valve
        for _ in range(4):
            inbox._add("x" * 30)
        assert valve.told == []
        assert await inbox.read() == ["x" * 30]
        inbox._add("x" * 30)
        assert valve.told == ["shut: the answer is not read"]
        assert await inbox.read() == ["x" * 30]
        assert await inbox.read() == ["x" * 30]
        assert len(valve.told) == 1
        assert await inbox.read() == ["x" * 30]
        assert valve.told[1:] == ["open: the answer is not read"]

    tell(story())


@pytest.mark.parametrize("how", ["abandon", "let_go", "lose"])
def test_the_network_goes_on_when_nobody_will_read(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whether the answer is given up, its page is gone, or another one is awaited."""
    monkeypatch.setattr(source, "HELD_BYTES", 10)

    async def story() -> None:
        inbox, valve = Inbox(), RecordedValve()
        inbox.valve = valve
        inbox._add("x")
        await inbox.read()
        inbox._add("x" * 11)
        assert valve.reasons
        getattr(inbox, how)(*["gone"] * (how == "lose"))
        assert not valve.reasons

    tell(story())


def test_what_comes_at_once_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """MBs that a browser hands over in one piece are cut; a frame of text stays what it is."""
    monkeypatch.setattr(source, "READ_BYTES", 30)

    async def story() -> None:
        inbox = Inbox()
        inbox._add(b"a" * 60 + b"b" * 10)
        inbox._add("c" * 70)
        assert await inbox.read() == [b"a" * 30]
        assert await inbox.read() == [b"a" * 30]
        assert await inbox.read() == [b"b" * 10, "c" * 70]

    tell(story())
