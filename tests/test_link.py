"""Links over real sockets, under both event loops: answers, ends, cancels, paths."""

import asyncio
from pathlib import Path

import pytest
from linked import ENOUGH_S, echo, linked, on_each_loop, raw_linked

from arenad import link
from arenad.errors import Cancelled, LinkLost, RequestError, Resting
from arenad.link import Link, Served
from arenad.schema.chat import Failure, Finish, Heartbeat, TextDelta
from arenad.schema.control import Done, GetState, Watch
from arenad.schema.frame import Body, Frame, Kind
from arenad.wire import pack

# -- calls and streams ------------------------------------------------------------------------------


@on_each_loop
async def test_a_call_is_answered() -> None:
    """The END's body is the answer; many calls at once keep their answers apart."""
    async with linked(echo) as (caller, _):
        calls = (caller.call(TextDelta(str(n)), ENOUGH_S) for n in range(100))
        answers = await asyncio.gather(*calls)
    assert answers == [TextDelta(str(n)) for n in range(100)]


@on_each_loop
async def test_a_stream_gives_items_then_its_end() -> None:
    """Items in order, then the END, then `ended`."""

    async def serve(served: Served) -> Body:
        for text in "abc":
            await served.item(TextDelta(text))
        return Finish("stop")

    async with linked(serve) as (caller, _):
        stream, bodies = caller.stream(Watch()), list[Body]()
        while not stream.ended:
            bodies.append(await stream.receive(ENOUGH_S))
    assert bodies == [*(TextDelta(text) for text in "abc"), Finish("stop")]


@on_each_loop
async def test_notes_arrive_in_order_with_calls() -> None:
    """A note gets no answer, and overtakes nothing."""
    notes: list[Body] = []

    async def serve(_: Served) -> Body:
        return Done(str(len(notes)))

    async with linked(serve, notes.append) as (caller, _):
        caller.note(TextDelta("a"))
        caller.note(TextDelta("b"))
        assert await caller.call(GetState(), ENOUGH_S) == Done("2")
    assert notes == [TextDelta("a"), TextDelta("b")]


@on_each_loop
async def test_an_error_crosses_the_link() -> None:
    """The same class with the same fields is raised at the other end, even of half a letter."""

    async def serve(_: Served) -> Body:
        raise Resting("patience \ud800", retry_after_s=7.0, param="model")

    async with linked(serve) as (caller, _):
        with pytest.raises(Resting, match=r"patience \?") as raised:
            await caller.call(GetState(), ENOUGH_S)
        assert (raised.value.retry_after_s, raised.value.param) == (7.0, "model")


@pytest.mark.parametrize("answer", [ValueError("a bug"), TextDelta("\ud800")])
@on_each_loop
async def test_a_bug_in_a_served_call_is_answered(
    *, answer: Exception | Body, caplog: pytest.LogCaptureFixture
) -> None:
    """Who serves wrongly, or answers what cannot be sent, still ends the call; the link goes on."""

    async def serve(served: Served) -> Body:
        if isinstance(served.body, Watch):
            return Done("well")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with linked(serve) as (caller, _):
        with pytest.raises(RequestError, match=r"internal error|cannot be sent") as raised:
            await caller.call(GetState(), ENOUGH_S)
        assert type(raised.value) is RequestError
        assert await caller.call(Watch(), ENOUGH_S) == Done("well")
    assert ("a GetState call ended with a bug" in caplog.text) is isinstance(answer, Exception)


@on_each_loop
async def test_an_end_that_does_not_serve_says_so() -> None:
    """The default is a refusal, and deafness for notes."""
    async with linked() as (caller, _):
        caller.note(Heartbeat())
        with pytest.raises(RequestError, match="Watch is not served here"):
            await caller.call(Watch(), ENOUGH_S)


@on_each_loop
async def test_silence_ends_with_the_deadline() -> None:
    """`receive` gives up after its time; a call that gave up is cancelled at the other end."""
    async with raw_linked() as (made, raw):
        with pytest.raises(TimeoutError):
            await made.call(GetState(), 0)
        call, cancel = await raw.frame(), await raw.frame()
        assert call is not None
        assert cancel == Frame(call.call, Kind.CANCEL, None)


@on_each_loop
async def test_each_wait_has_a_deadline_of_its_own() -> None:
    """A longer one outlasts the one before it, for which the timer was set; a shorter one does not."""
    asked = asyncio.Event()

    async def serve(served: Served) -> Body:
        await served.item(Heartbeat())
        await asked.wait()
        await asyncio.sleep(0.2)
        await served.item(Heartbeat())
        return await asyncio.get_running_loop().create_future()

    async with linked(serve) as (caller, _):
        stream = caller.stream(Watch())
        assert await stream.receive(0.15) == Heartbeat()
        asked.set()
        assert await stream.receive(ENOUGH_S) == Heartbeat()
        with pytest.raises(TimeoutError):
            await stream.receive(0.01)
        stream.cancel()


# -- cancel -----------------------------------------------------------------------------------------


@on_each_loop
async def test_a_cancel_reaches_the_server() -> None:
    """The served coroutine is cancelled, its clean-up runs, and the call is answered with an END."""
    log: list[str] = []

    async def serve(served: Served) -> Body:
        await served.item(Heartbeat())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        return Done("never")

    async with raw_linked(serve) as (_, raw):
        call, packed = raw.peer.call(Watch())
        raw.write(packed)
        assert await raw.frame() == Frame(call, Kind.ITEM, Heartbeat())
        raw.write(raw.peer.cancel(call))
        end = await raw.frame()
        assert end is not None
        assert isinstance(end.body, Failure)
        assert (end.kind, end.body.kind) == (Kind.END, Cancelled.kind)
    assert log == ["cancelled"]


@on_each_loop
async def test_a_call_cancelled_before_it_began_is_answered() -> None:
    """CALL and CANCEL in one read: nothing is served, yet the call does not stay open for ever."""
    served: list[Body] = []

    async def serve(call: Served) -> Body:
        served.append(call.body)
        return Done("")

    async with raw_linked(serve) as (_, raw):
        call, packed = raw.peer.call(Watch())
        raw.write(packed + raw.peer.cancel(call))
        end = await raw.frame()
        assert end is not None
        assert (end.call, end.kind) == (call, Kind.END)
    assert served == []


@on_each_loop
async def test_a_second_cancel_leaves_the_clean_up_alone() -> None:
    """CANCEL twice, then EOF: what a served call does on its way out is not broken off."""
    cleaned = asyncio.Event()

    async def serve(served: Served) -> Body:
        try:
            await served.item(Heartbeat())
            await asyncio.Event().wait()
        finally:
            await served.item(Finish("stop"))
            await asyncio.wait_for(may_clean.wait(), ENOUGH_S)
            cleaned.set()
        return Done("never")

    may_clean = asyncio.Event()

    async with raw_linked(serve) as (made, raw):
        call, packed = raw.peer.call(Watch())
        raw.write(packed)
        await raw.frame()
        raw.write(pack(Frame(call, Kind.CANCEL, None)))
        assert await raw.frame() == Frame(call, Kind.ITEM, Finish("stop"))
        raw.write(pack(Frame(call, Kind.CANCEL, None)))
        raw.close()
        await made.lost.wait()
        may_clean.set()
        await cleaned.wait()


@on_each_loop
async def test_a_reader_that_leaves_cancels_once_and_hears_nothing_more() -> None:
    """Late items are dropped, the late END is taken, and leaving again says nothing."""
    async with raw_linked(echo) as (made, raw):
        stream = made.stream(Watch())
        call = await raw.frame()
        assert call is not None
        raw.peer.receive(b"")
        stream.cancel()
        stream.cancel()
        assert await raw.frame() == Frame(call.call, Kind.CANCEL, None)
        raw.write(raw.peer.item(call.call, Heartbeat()) + raw.peer.end(call.call, Done("")))
        probe, packed = raw.peer.call(Watch())
        raw.write(packed)
        assert await raw.frame() == Frame(probe, Kind.END, Watch())
        assert not made.lost.is_set()


# -- the end of a link ------------------------------------------------------------------------------


@on_each_loop
async def test_eof_ends_every_waiter() -> None:
    """All that wait on a link end with `LinkLost`, and so does whoever asks later."""
    async with raw_linked() as (made, raw):
        waiting = [
            asyncio.ensure_future(made.call(GetState(), ENOUGH_S)),
            asyncio.ensure_future(made.stream(Watch()).receive(ENOUGH_S)),
        ]
        await raw.frame()
        await raw.frame()
        raw.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [LinkLost, LinkLost]
        assert str(ends[0]) == "the link to the raw end is lost"
        with pytest.raises(LinkLost):
            made.stream(Watch())
        made.note(Heartbeat())
        made.close()


@on_each_loop
async def test_what_arrived_before_the_end_is_still_delivered() -> None:
    """Items and the END are read after the link is lost; only silence is a loss."""
    async with raw_linked() as (made, raw):
        whole, cut = made.stream(Watch()), made.stream(Watch())
        for _ in range(2):
            await raw.frame()
        raw.write(raw.peer.item(1, TextDelta("a")) + raw.peer.end(1, Finish("stop")))
        raw.write(raw.peer.item(2, TextDelta("b")))
        raw.close()
        await made.lost.wait()
        assert await whole.receive(0) == TextDelta("a")
        assert await whole.receive(0) == Finish("stop")
        assert whole.ended
        assert await cut.receive(0) == TextDelta("b")
        with pytest.raises(LinkLost):
            await cut.receive(0)


@on_each_loop
async def test_eof_cancels_what_is_served() -> None:
    """Nobody is left to answer: the work stops."""
    stopped = asyncio.Event()

    async def serve(served: Served) -> Body:
        try:
            await served.item(Heartbeat())
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return Done("never")

    async with raw_linked(serve) as (_, raw):
        raw.write(raw.peer.call(Watch())[1])
        await raw.frame()
        raw.close()
        await stopped.wait()


@on_each_loop
async def test_a_protocol_fault_closes_the_link_loudly(*, caplog: pytest.LogCaptureFixture) -> None:
    """The same bytes that only cost a control client its connection are a bug between siblings."""
    async with raw_linked() as (made, raw):
        stream = made.stream(Watch())
        await raw.frame()
        raw.write(b"\x00\x00\x00\x01\xc1")
        with pytest.raises(LinkLost):
            await stream.receive(ENOUGH_S)
        assert await raw.frame() is None
    assert "the raw end breaks the protocol (not a frame: " in caplog.text


# -- Unix sockets by path ---------------------------------------------------------------------------


@on_each_loop
async def test_a_link_by_path(*, tmp_path: Path) -> None:
    """As frontends reach workers; a server closed, or none, is `LinkLost`."""
    path = tmp_path / "w1.sock"

    with pytest.raises(LinkLost, match="w1: "):
        await link.connect(str(path), "w1", ENOUGH_S)
    ends: list[Link] = []

    def accept() -> Link:
        ends.append(Link("a frontend", echo))
        return ends[-1]

    server = await asyncio.get_running_loop().create_unix_server(accept, str(path))
    notes = asyncio.Queue[Body]()
    made = await link.connect(str(path), "w1", ENOUGH_S, notes.put_nowait)
    assert await made.call(Watch(), ENOUGH_S) == Watch()
    ends[0].note(Watch())
    assert await asyncio.wait_for(notes.get(), ENOUGH_S) == Watch()
    server.close()
    ends[0].close()
    await made.lost.wait()
    with pytest.raises(LinkLost):
        await link.connect(str(path), "w1", ENOUGH_S)
