"""asyncio around the wire: call, stream and serve over one Unix socket.

The end of the socket ends every waiter with `LinkLost`; that is how death is learnt. Water marks on
both sides hold a fast sender to the pace of a slow reader.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from arenad.due import NEVER_S, Due
from arenad.errors import Cancelled, LinkLost, RequestError
from arenad.schema.chat import Failure, error_of, failure_of
from arenad.schema.frame import Body, Frame, Kind
from arenad.wire import Peer

ITEMS_HIGH = 32
"""Unread items of one stream at which the socket is no longer read."""

ITEMS_LOW = 8
"""Unread items at which reading goes on."""

MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""Notes wait for nobody: who reads none of them for so long is cut off."""

_CANCELLED = failure_of(Cancelled("cancelled by the caller"))
_BUG = failure_of(RequestError("internal error; the log of the instance has more"))

log = logging.getLogger("arenad.link")


class Tasks:
    """Background tasks that somebody keeps, whose errors are said, and that are awaited."""

    def __init__(self) -> None:
        """Start with none."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or the group is closed."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "%s ended with an error that nobody expected", task.get_name(), exc_info=error
            )

    async def close(self) -> None:
        """Cancel what still runs, what that starts on its way out too; wait until all has ended."""
        while running := self._tasks - {asyncio.current_task()}:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


class Served:
    """A call that the other end made, as the one who serves it sees it."""

    def __init__(self, link: "Link", call: int, body: Body) -> None:
        """`body` is what was asked."""
        self.body = body
        self._link = link
        self._call = call

    async def item(self, body: Body) -> None:
        """Send one item of the stream; waits while the other end reads too slowly."""
        await self._link.send_item(self._call, body)


Serve = Callable[[Served], Awaitable[Body]]
"""Answers one call: sends items, returns the body of the END, or raises a `RequestError`."""


async def refuse(served: Served) -> Body:
    """Serve nothing: for links on which only this end calls."""
    raise RequestError(f"{type(served.body).__name__} is not served here")


def ignore(body: Body) -> None:
    """Take no notes."""
    log.debug("ignored a note %s", type(body).__name__)


class Stream:
    """A call of ours and what has arrived for it."""

    def __init__(self, link: "Link", call: int) -> None:
        """Made by `Link.stream` alone."""
        self._link = link
        self._call = call
        self._arrived: deque[Frame] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._due = Due(self._too_late)
        self.ended = False

    async def receive(self, timeout_s: float) -> Body:
        """The next item, or, as the last, the END's body.

        Raises `LinkLost` when the other end is gone, `TimeoutError` after `timeout_s` of silence,
        and the `RequestError` that the END carried, if it did.
        """
        if not self._arrived:
            await self._wait(timeout_s)
        frame = self._arrived.popleft()
        if len(self._arrived) == ITEMS_LOW:
            self._link.caught_up(self._call)
        body = cast("Body", frame.body)
        if frame.kind is Kind.END:
            self.ended = True
            if isinstance(body, Failure):
                raise error_of(body)
        return body

    async def _wait(self, timeout_s: float) -> None:
        if self._link.lost.is_set():
            raise self._link.loss()
        self._due.within(timeout_s)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._due.at(NEVER_S)

    def _too_late(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def cancel(self) -> None:
        """Tell the other end to stop, if it has not ended yet."""
        self._due.close()
        if not self.ended:
            self.ended = True
            self._link.cancel(self._call)

    def arrive(self, frame: Frame) -> bool:
        """Take a frame from the link; true when the reader is far behind."""
        self._arrived.append(frame)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        return len(self._arrived) >= ITEMS_HIGH

    def lose(self) -> None:
        """The link is gone: end the waiter."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._link.loss())


class Link(asyncio.Protocol):
    """One end of a socket between two processes of arenad."""

    def __init__(
        self, name: str, serve: Serve = refuse, on_note: Callable[[Body], None] = ignore
    ) -> None:
        """`name` is who is at the other end, for log lines and errors."""
        self.name = name
        self.lost = asyncio.Event()
        self._serve = serve
        self._on_note = on_note
        self._peer = Peer()
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._behind: set[int] = set()
        self._tasks = Tasks()
        self._writable = asyncio.Event()
        self._writable.set()

    # -- calls that this end makes ----------------------------------------------------------------

    def note(self, body: Body) -> None:
        """Send a message that gets no answer; nothing happens on a lost link."""
        if (transport := self._open()) is None:
            return
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._abort("does not read what it is sent")
        else:
            transport.write(self._peer.note(body))

    def stream(self, body: Body) -> Stream:
        """Open a call; its items and its end are read from the stream. Raises `LinkLost`."""
        if self.lost.is_set():
            raise self.loss()
        call, packed = self._peer.call(body)
        self._streams[call] = stream = Stream(self, call)
        self._write(packed)
        return stream

    async def call(self, body: Body, timeout_s: float) -> Body:
        """Make a plain call and wait for its end. Raises as `Stream.receive` does."""
        stream = self.stream(body)
        try:
            return await stream.receive(timeout_s)
        finally:
            stream.cancel()

    def cancel(self, call: int) -> None:
        """Nobody reads this call of ours any more, whether or not its end has arrived already."""
        self._streams.pop(call, None)
        self._write(self._peer.cancel(call))
        self.caught_up(call)

    def caught_up(self, call: int) -> None:
        """The reader of this call is not behind; when no other is, the socket is read again."""
        self._behind.discard(call)
        if not self._behind and (transport := self._open()) is not None:
            transport.resume_reading()

    def loss(self) -> LinkLost:
        """The error of everybody who waits on this link after its end."""
        return LinkLost(f"the link to {self.name} is lost")

    def close(self) -> None:
        """Close the socket after what is buffered is written."""
        if self._transport is not None:
            self._transport.close()

    def _abort(self, reason: str) -> None:
        """Close at once; before the log line, which may itself become a note on this link."""
        if self._transport is not None:
            self._transport.abort()
        log.error("%s %s; the link is closed", self.name, reason)

    # -- calls that this end serves ---------------------------------------------------------------

    async def send_item(self, call: int, body: Body) -> None:
        """One item of a call that we serve; waits at the high water mark."""
        self._write(self._peer.item(call, body))
        if not self._writable.is_set():
            await self._writable.wait()

    async def _answer(self, frame: Frame) -> None:
        served = Served(self, frame.call, cast("Body", frame.body))
        try:
            self._end(frame.call, await self._serve(served))
        except RequestError as error:
            self._end(frame.call, failure_of(error))
        except Exception:  # the boundary of a served call: it is said, and answered
            log.exception("a %s call ended with a bug", type(frame.body).__name__)
            self._end(frame.call, _BUG)

    def _end(self, call: int, body: Body) -> None:
        self._write(self._peer.end(call, body))

    def _answered(self, call: int) -> None:
        """A call that its caller cancelled, perhaps before its first step, gets its END here.

        One that we cancel because this process leaves gets none: EOF tells its caller that we are
        lost, and so that another may be asked.
        """
        if self._serving.pop(call, None) is None:
            self._end(call, _CANCELLED)

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Route every whole frame."""
        for frame in self._peer.receive(data):
            self._route(frame)
        if self._peer.fault is not None:
            self._abort(f"breaks the protocol ({self._peer.fault})")
        elif self._behind and (transport := self._open()) is not None:
            transport.pause_reading()

    def _route(self, frame: Frame) -> None:
        if frame.kind is Kind.CALL and frame.call == 0:
            self._on_note(cast("Body", frame.body))
        elif frame.kind is Kind.CALL:
            task = self._tasks.start(self._answer(frame), f"call {frame.call} from {self.name}")
            self._serving[frame.call] = task
            task.add_done_callback(lambda _: self._answered(frame.call))
        elif frame.kind is Kind.CANCEL:
            self._stop_serving(frame.call)
        else:
            self._deliver(frame)

    def _stop_serving(self, call: int) -> None:
        """Cancel a served call once: a second cancel would break off how it cleans up."""
        if (task := self._serving.pop(call, None)) is not None:
            task.cancel()

    def _deliver(self, frame: Frame) -> None:
        stream = self._streams.get(frame.call)
        if frame.kind is Kind.END:
            self._streams.pop(frame.call, None)
        if stream is not None and stream.arrive(frame):
            self._behind.add(frame.call)

    def connection_lost(self, exc: Exception | None) -> None:
        """End every waiter: streams of ours with `LinkLost`, calls we serve by cancelling them."""
        del exc
        self.lost.set()
        self._writable.set()
        for stream in self._streams.values():
            stream.lose()
        self._streams.clear()
        for call in list(self._serving):
            self._stop_serving(call)

    def pause_writing(self) -> None:
        """The other end reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other end has caught up."""
        self._writable.set()

    def _open(self) -> asyncio.Transport | None:
        """The transport, while it still carries anything."""
        transport = self._transport
        return None if transport is None or transport.is_closing() else transport

    def _write(self, packed: bytes) -> None:
        if packed and (transport := self._open()) is not None:
            transport.write(packed)


async def adopt(
    end: socket.socket,
    name: str,
    serve: Serve = refuse,
    on_note: Callable[[Body], None] = ignore,
) -> Link:
    """A link over an inherited socket."""
    loop = asyncio.get_running_loop()
    end.setblocking(False)
    _, link = await loop.create_unix_connection(lambda: Link(name, serve, on_note), sock=end)
    return link


async def connect(
    path: str, name: str, timeout_s: float, on_note: Callable[[Body], None] = ignore
) -> Link:
    """A link to a process that listens at `path`. Raises `LinkLost` when nobody does."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, link = await loop.create_unix_connection(lambda: Link(name, on_note=on_note), path)
    except (OSError, TimeoutError) as error:
        raise LinkLost(f"{name}: {str(error) or 'no answer in time'}") from error
    return link
