"""Links over real sockets, under both event loops: answers, ends, cancels, back pressure."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from arenad import link
from arenad.errors import Cancelled, LinkLost, RequestError, Resting
from arenad.link import Link, Served, Tasks
from arenad.schema.chat import Failure, Finish, Heartbeat, TextDelta
from arenad.schema.control import Done, GetState, Watch
from arenad.schema.frame import Body, Frame, Kind
from arenad.wire import Peer, pack

ENOUGH_S = 30.0
ITEM = TextDelta("x" * 10_000)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a story to its end, under each of the two loops, with a deadline for the whole."""

    def run_one(story: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(story, ENOUGH_S))

    return run_one


@asynccontextmanager
async def linked(
    serve: link.Serve = link.refuse, on_note: Callable[[Body], None] = link.ignore
) -> AsyncIterator[tuple[Link, Link]]:
    """A caller and a server at the two ends of one socket pair."""
    near, far = socket.socketpair()
    caller = await link.adopt(near, "the server")
    server = await link.adopt(far, "the caller", serve, on_note)
    try:
        yield caller, server
    finally:
        for each in (caller, server):
            each.close()
        await caller.lost.wait()
        await server.lost.wait()


class RawEnd:
    """The other end of a link under test, frame by frame and byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = Peer()
        self.write = writer.write
        self.close = writer.close
        self._reader = reader
        self._frames: list[Frame] = []

    async def frame(self) -> Frame | None:
        """The next frame; none at the end of the link."""
        while not self._frames:
            if not (chunk := await self._reader.read(65536)):
                return None
            self._frames += self.peer.receive(chunk)
            assert self.peer.fault is None
        return self._frames.pop(0)


@asynccontextmanager
async def raw_linked(
    serve: link.Serve = link.refuse, on_note: Callable[[Body], None] = link.ignore
) -> AsyncIterator[tuple[Link, RawEnd]]:
    """A link and a raw end."""
    near, far = socket.socketpair()
    made = await link.adopt(near, "the raw end", serve, on_note)
    reader, writer = await asyncio.open_unix_connection(sock=far)
    try:
        yield made, RawEnd(reader, writer)
    finally:
        made.close()
        writer.close()
        await made.lost.wait()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until it is so; the story's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - of what no event tells: that nothing moves any more
        await asyncio.sleep(0)


async def echo(served: Served) -> Body:
    return served.body


# -- calls and streams ------------------------------------------------------------------------------


def test_a_call_is_answered(run: Run) -> None:
    """The END's body is the answer; many calls at once keep their answers apart."""

    async def story() -> None:
        async with linked(echo) as (caller, _):
            calls = (caller.call(TextDelta(str(n)), ENOUGH_S) for n in range(100))
            answers = await asyncio.gather(*calls)
        assert answers == [TextDelta(str(n)) for n in range(100)]

    run(story())


def test_a_stream_gives_items_then_its_end(run: Run) -> None:
    """Items in order, then the END, then `ended`."""

    async def serve(served: Served) -> Body:
        for text in "abc":
            await served.item(TextDelta(text))
        return Finish("stop")

    async def story() -> None:
        async with linked(serve) as (caller, _):
            stream, bodies = caller.stream(Watch()), list[Body]()
            while not stream.ended:
                bodies.append(await stream.receive(ENOUGH_S))
        assert bodies == [*(TextDelta(text) for text in "abc"), Finish("stop")]

    run(story())


def test_notes_arrive_in_order_with_calls(run: Run) -> None:
    """A note gets no answer, and overtakes nothing."""
    notes: list[Body] = []

    async def serve(_: Served) -> Body:
        return Done(str(len(notes)))

    async def story() -> None:
        async with linked(serve, notes.append) as (caller, _):
            caller.note(TextDelta("a"))
            caller.note(TextDelta("b"))
            assert await caller.call(GetState(), ENOUGH_S) == Done("2")

    run(story())
    assert notes == [TextDelta("a"), TextDelta("b")]


def test_an_error_crosses_the_link(run: Run) -> None:
    """The same class with the same fields is raised at the other end, even of half a letter."""

    async def serve(_: Served) -> Body:
        raise Resting("patience \ud800", retry_after_s=7.0, param="model")

    async def story() -> None:
        async with linked(serve) as (caller, _):
            with pytest.raises(Resting, match=r"patience \?") as raised:
                await caller.call(GetState(), ENOUGH_S)
            assert (raised.value.retry_after_s, raised.value.param) == (7.0, "model")

    run(story())


@pytest.mark.parametrize("answer", [ValueError("a bug"), TextDelta("\ud800")])
def test_a_bug_in_a_served_call_is_answered(
    run: Run, answer: Exception | Body, caplog: pytest.LogCaptureFixture
) -> None:
    """Who serves wrongly, or answers what cannot be sent, still ends the call; the link goes on."""

    async def serve(served: Served) -> Body:
        if isinstance(served.body, Watch):
            return Done("well")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def story() -> None:
        async with linked(serve) as (caller, _):
            with pytest.raises(RequestError, match=r"internal error|cannot be sent") as raised:
                await caller.call(GetState(), ENOUGH_S)
            assert type(raised.value) is RequestError
            assert await caller.call(Watch(), ENOUGH_S) == Done("well")

    run(story())
    assert ("a GetState call ended with a bug" in caplog.text) is isinstance(answer, Exception)


def test_an_end_that_does_not_serve_says_so(run: Run) -> None:
    """The default is a refusal, and deafness for notes."""

    async def story() -> None:
        async with linked() as (caller, _):
            caller.note(Heartbeat())
            with pytest.raises(RequestError, match="Watch is not served here"):
                await caller.call(Watch(), ENOUGH_S)

    run(story())


def test_silence_ends_with_the_deadline(run: Run) -> None:
    """`receive` gives up after its time; a call that gave up is cancelled at the other end."""

    async def story() -> None:
        async with raw_linked() as (made, raw):
            with pytest.raises(TimeoutError):
                await made.call(GetState(), 0)
            call, cancel = await raw.frame(), await raw.frame()
            assert call is not None
            assert cancel == Frame(call.call, Kind.CANCEL, None)

    run(story())


# -- cancel -----------------------------------------------------------------------------------------


def test_a_cancel_reaches_the_server(run: Run) -> None:
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

    async def story() -> None:
        async with raw_linked(serve) as (_, raw):
            call, packed = raw.peer.call(Watch())
            raw.write(packed)
            assert await raw.frame() == Frame(call, Kind.ITEM, Heartbeat())
            raw.write(raw.peer.cancel(call))
            end = await raw.frame()
            assert end is not None
            assert isinstance(end.body, Failure)
            assert (end.kind, end.body.kind) == (Kind.END, Cancelled.kind)

    run(story())
    assert log == ["cancelled"]


def test_a_call_cancelled_before_it_began_is_answered(run: Run) -> None:
    """CALL and CANCEL in one read: nothing is served, yet the call does not stay open for ever."""
    served: list[Body] = []

    async def serve(call: Served) -> Body:
        served.append(call.body)
        return Done("")

    async def story() -> None:
        async with raw_linked(serve) as (_, raw):
            call, packed = raw.peer.call(Watch())
            raw.write(packed + raw.peer.cancel(call))
            end = await raw.frame()
            assert end is not None
            assert (end.call, end.kind) == (call, Kind.END)

    run(story())
    assert served == []


def test_a_second_cancel_leaves_the_clean_up_alone(run: Run) -> None:
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

    async def story() -> None:
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

    run(story())


def test_a_reader_that_leaves_cancels_once_and_hears_nothing_more(run: Run) -> None:
    """Late items are dropped, the late END is taken, and leaving again says nothing."""

    async def story() -> None:
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

    run(story())


# -- the end of a link ------------------------------------------------------------------------------


def test_eof_ends_every_waiter(run: Run) -> None:
    """All that wait on a link end with `LinkLost`, and so does whoever asks later."""

    async def story() -> None:
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

    run(story())


def test_what_arrived_before_the_end_is_still_delivered(run: Run) -> None:
    """Items and the END are read after the link is lost; only silence is a loss."""

    async def story() -> None:
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

    run(story())


def test_eof_cancels_what_is_served(run: Run) -> None:
    """Nobody is left to answer: the work stops."""
    stopped = asyncio.Event()

    async def serve(served: Served) -> Body:
        try:
            await served.item(Heartbeat())
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return Done("never")

    async def story() -> None:
        async with raw_linked(serve) as (_, raw):
            raw.write(raw.peer.call(Watch())[1])
            await raw.frame()
            raw.close()
            await stopped.wait()

    run(story())


def test_a_protocol_fault_closes_the_link_loudly(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The same bytes that only cost a control client its connection are a bug between siblings."""

    async def story() -> None:
        async with raw_linked() as (made, raw):
            stream = made.stream(Watch())
            await raw.frame()
            raw.write(b"\x00\x00\x00\x01\xc1")
            with pytest.raises(LinkLost):
                await stream.receive(ENOUGH_S)
            assert await raw.frame() is None

    run(story())
    assert "the raw end breaks the protocol (not a frame: " in caplog.text


# -- back pressure ----------------------------------------------------------------------------------


def served_count(items: int) -> tuple[list[int], link.Serve]:
    """A server of so many items, and how many it has sent."""
    sent = [0]

    async def serve(served: Served) -> Body:
        for _ in range(items):
            await served.item(ITEM)
            sent[0] += 1
        return Finish("stop")

    return sent, serve


def test_a_slow_reader_holds_the_sender(run: Run) -> None:
    """The sender stops soon after the high water mark; reading on brings every item."""
    sent, serve = served_count(2000)

    async def story() -> None:
        async with linked(serve) as (caller, server):
            stream = caller.stream(Watch())
            await until(lambda: caller._behind and not server._writable.is_set())
            assert sent[0] < link.ITEMS_HIGH + 200  # what the buffers of both sides hold
            received = 0
            while await stream.receive(ENOUGH_S) == ITEM:
                received += 1
            assert received == sent[0] == 2000

    run(story())


def test_a_quick_reader_does_not_open_the_gate_for_a_slow_one(run: Run) -> None:
    """While one stream is far behind, others of the link wait; when it is cancelled they go on."""
    _, serve = served_count(3000)

    async def story() -> None:
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

    run(story())


def test_a_reader_that_leaves_far_behind_opens_the_gate(run: Run) -> None:
    """Also when the END of what it leaves has arrived already."""

    async def serve(served: Served) -> Body:
        if isinstance(served.body, Watch):
            for _ in range(2 * link.ITEMS_HIGH):
                await served.item(Heartbeat())
        return Done("well")

    async def story() -> None:
        async with linked(serve) as (caller, _):
            stream = caller.stream(Watch())
            await until(lambda: stream._arrived and stream._arrived[-1].kind is Kind.END)
            stream.cancel()
            assert await caller.call(GetState(), ENOUGH_S) == Done("well")

    run(story())


def test_who_reads_no_notes_is_cut_off(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Notes wait for nobody, so what is unsent of them is bounded."""
    note = TextDelta("x" * 1_000_000)

    async def story() -> None:
        near, far = socket.socketpair()
        made = await link.adopt(near, "the deaf end")
        with far:
            for _ in range(12):
                made.note(note)
            await made.lost.wait()

    run(story())
    assert "the deaf end does not read what it is sent; the link is closed" in caplog.text


# -- Unix sockets by path ---------------------------------------------------------------------------


def test_a_link_by_path(run: Run, tmp_path: Path) -> None:
    """As frontends reach workers; a server closed, or none, is `LinkLost`."""
    path = tmp_path / "w1.sock"

    async def story() -> None:
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

    run(story())


# -- tasks ------------------------------------------------------------------------------------------


async def _fail() -> None:
    raise ValueError("nobody expected it")


def test_an_error_in_a_task_is_said(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody awaits a background task, so its end with an error is a log line."""

    async def story() -> None:
        tasks = Tasks()
        task = tasks.start(_fail(), "the failing one")
        await asyncio.wait([task])
        await tasks.close()

    with caplog.at_level(logging.ERROR):
        run(story())
    assert "the failing one ended with an error that nobody expected" in caplog.text


def test_close_ends_all_and_what_they_start_meanwhile(run: Run) -> None:
    """Tasks that start others on their way out leave nothing behind; closing twice is fine."""
    ended: list[str] = []

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("last")

    async def first(tasks: Tasks) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("first")
            tasks.start(last(), "started late")
            await asyncio.sleep(0)

    async def story() -> None:
        before = asyncio.all_tasks()
        tasks = Tasks()
        tasks.start(first(tasks), "first")
        await asyncio.sleep(0)
        await tasks.close()
        await tasks.close()
        assert asyncio.all_tasks() == before

    run(story())
    assert ended == ["first", "last"]


def test_a_task_of_the_group_may_close_it(run: Run) -> None:
    """It does not wait for itself."""
    closed: list[Awaitable[None]] = []

    async def close(tasks: Tasks) -> None:
        await tasks.close()
        closed.append(asyncio.sleep(0))

    async def story() -> None:
        tasks = Tasks()
        await tasks.start(close(tasks), "the closing one")
        await closed[0]

    run(story())
