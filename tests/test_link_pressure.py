"""Links whose readers are slow: who is held back, who is not, who is cut off."""

import socket

import pytest
from linked import ENOUGH_S, ITEM, linked, on_each_loop, until

from arenad import link
from arenad.link import Served
from arenad.schema.chat import Finish, Heartbeat, TextDelta
from arenad.schema.control import Done, GetState, Watch
from arenad.schema.frame import Body, Kind


def served_count(items: int) -> tuple[list[int], link.Serve]:
    """A server of so many items, and how many it has sent."""
    sent = [0]

    async def serve(served: Served) -> Body:
        for _ in range(items):
            await served.item(ITEM)
            sent[0] += 1
        return Finish("stop")

    return sent, serve


@on_each_loop
async def test_a_slow_reader_holds_the_sender() -> None:
    """The sender stops soon after the high water mark; reading on brings every item."""
    sent, serve = served_count(2000)

    async with linked(serve) as (caller, server):
        stream = caller.stream(Watch())
        await until(lambda: caller._behind and not server._writable.is_set())
        assert sent[0] < link.ITEMS_HIGH + 200  # what the buffers of both sides hold
        received = 0
        while await stream.receive(ENOUGH_S) == ITEM:
            received += 1
        assert received == sent[0] == 2000


@on_each_loop
async def test_a_quick_reader_does_not_open_the_gate_for_a_slow_one() -> None:
    """While one stream is far behind, others of the link wait; when it is cancelled they go on."""
    _, serve = served_count(3000)

    async with linked(serve) as (caller, _):
        slow, quick = caller.stream(Watch()), caller.stream(Watch())
        await until(lambda: caller._behind)
        while quick._arrived:
            assert await quick.receive(ENOUGH_S) == ITEM
        assert len(slow._arrived) < link.ITEMS_HIGH + 100
        assert not caller._transport.is_reading()
        slow.cancel()
        while not quick.ended:
            await quick.receive(ENOUGH_S)


@on_each_loop
async def test_a_reader_that_leaves_far_behind_opens_the_gate() -> None:
    """Also when the END of what it leaves has arrived already."""

    async def serve(served: Served) -> Body:
        if isinstance(served.body, Watch):
            for _ in range(2 * link.ITEMS_HIGH):
                await served.item(Heartbeat())
        return Done("well")

    async with linked(serve) as (caller, _):
        stream = caller.stream(Watch())
        await until(lambda: stream._arrived and stream._arrived[-1].kind is Kind.END)
        stream.cancel()
        assert await caller.call(GetState(), ENOUGH_S) == Done("well")


@on_each_loop
async def test_who_reads_no_notes_is_cut_off(*, caplog: pytest.LogCaptureFixture) -> None:
    """Notes wait for nobody, so what is unsent of them is bounded."""
    note = TextDelta("x" * 1_000_000)

    near, far = socket.socketpair()
    made = await link.adopt(near, "the deaf end")
    with far:
        for _ in range(12):
            made.note(note)
        await made.lost.wait()
    assert "the deaf end does not read what it is sent; the link is closed" in caplog.text
