"""The other end of a DevTools link: a browser that does exactly what a test writes down."""

import asyncio
import json
import os
import select
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from arenad.worker.devtools import DevTools

ENOUGH_S = 30.0


def tell(story: Coroutine[Any, Any, None]) -> None:
    """Run a story to its end in the worker's own kind of loop, with a deadline for the whole."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(story, ENOUGH_S))


async def until(condition: Callable[[], bool]) -> None:
    """Until something inside is so; the story's own deadline ends a wait in vain."""
    while True:
        if condition():
            return
        await asyncio.sleep(0)


class ScriptedBrowser:
    """Reads commands, writes what it is told to, over real pipes."""

    def __init__(self, commands: asyncio.StreamReader, replies: asyncio.WriteTransport) -> None:
        self._commands = commands
        self._replies = replies

    async def command(self) -> dict[str, Any]:
        """The next command that arrives."""
        return json.loads((await self._commands.readuntil(b"\0"))[:-1])

    def write(self, data: bytes) -> None:
        self._replies.write(data)

    def write_all(self, data: bytes) -> None:
        """From a thread of its own, as fast as the pipe takes it."""
        pipe = self._replies.get_extra_info("pipe")
        left = memoryview(data)
        while left:
            select.select([], [pipe], [], ENOUGH_S)
            left = left[os.write(pipe.fileno(), left) :]

    def say(self, **message: Any) -> None:
        self.write(json.dumps(message).encode() + b"\0")

    def event(self, method: str, params: dict[str, Any], session: str = "s") -> None:
        self.say(method=method, params=params, sessionId=session)

    async def answer(self, method: str, **reply: Any) -> dict[str, Any]:
        """Wait for this command, and reply to it with a `result` or an `error`."""
        command = await self.command()
        assert command["method"] == method
        self.say(id=command["id"], sessionId=command.get("sessionId", ""), **reply)
        return command

    def leave(self) -> None:
        self._replies.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[DevTools, ScriptedBrowser]]:
    """A real link and the scripted browser behind it."""
    loop = asyncio.get_running_loop()
    commands_fd, our_out_fd = os.pipe()
    our_in_fd, replies_fd = os.pipe()
    commands = asyncio.StreamReader(limit=64 * 1024 * 1024)
    source, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), os.fdopen(commands_fd, "rb", 0)
    )
    replies, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(replies_fd, "wb", 0))
    devtools = await DevTools.open(our_in_fd, our_out_fd)
    try:
        yield devtools, ScriptedBrowser(commands, replies)
    finally:
        devtools.close()
        replies.close()
        source.close()
        await asyncio.sleep(0)  # a transport closes in the loop's next turn
