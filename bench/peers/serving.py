"""What the peers share: the arena's lines to OpenAI's chunks, a small HTTP server, a browser."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, async_playwright

from arenad.worker import finder

START_S = 60.0


class Lines:
    """Text of one answer, out of the site's lines as the network cut them."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._held = ""
        self.is_over = False

    def feed(self, piece: str) -> str:
        """The text that this piece completes."""
        *whole, self._held = (self._held + piece).split("\n")
        said = ""
        for line in whole:
            if line.startswith("a0:"):
                said += json.loads(line[3:])
            self.is_over |= line.startswith("ad:")
        return said


async def stream(request: web.Request, pieces: "asyncio.Queue[str | None]") -> web.StreamResponse:
    """An answer as server-sent events, from the pieces that a page pushes; None is their end."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    lines = Lines()
    while not lines.is_over and (piece := await pieces.get()) is not None:
        if said := lines.feed(piece):
            delta = {"index": 0, "delta": {"content": said}, "finish_reason": None}
            chunk = {"object": "chat.completion.chunk", "choices": [delta]}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


async def serve(*routes: web.RouteDef, until: asyncio.Event | None = None) -> None:
    """Serve on a free port, whose address is the first line that is printed."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    try:
        await (until or asyncio.Event()).wait()
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """The installed Chromium, as Playwright launches it."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=str(finder.find("")))
        yield launched
        await launched.close()


def said(wish: dict[str, Any]) -> str:
    """The prompt of an OpenAI request body."""
    return str(wish["messages"][-1]["content"])


@contextlib.contextmanager
def running(module: str, *words: str) -> Iterator[tuple[str, int]]:
    """A peer in a process of its own; its address, and its pid."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"{module} did not start: exit code {process.wait(START_S)}")
            yield address, process.pid
        finally:
            process.terminate()
