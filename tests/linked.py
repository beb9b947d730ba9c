"""Links in a test's hand: two ends of one, or a raw one; each story under both event loops."""

import asyncio
import functools
import inspect
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from arenad import link
from arenad.link import Link, Served
from arenad.schema.chat import TextDelta
from arenad.schema.frame import Body, Frame
from arenad.wire import Peer

ENOUGH_S = 30.0
ITEM = TextDelta("x" * 10_000)

Story = Callable[..., Coroutine[Any, Any, None]]


def on_each_loop(story: Story) -> Callable[..., None]:
    """Make a test of a story, for each of the two loops, with a deadline for the whole.

    What the story wants of pytest are its parameters, keyword-only.
    """

    @functools.wraps(story)
    def test(new_loop: Callable[[], asyncio.AbstractEventLoop], **given: Any) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(asyncio.wait_for(story(**given), ENOUGH_S))

    loop = inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([loop, *inspect.signature(story).parameters.values()])
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("new_loop", loops, ids=["asyncio", "uvloop"])(test)


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
