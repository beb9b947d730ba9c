"""A tap between clients and arenad: passes everything on, and has each answer judged.

What a client program makes of an answer is one thing; whether it is what the maker's description
says is another. All requests of all clients come through here, so both are known of each.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import official
from aiohttp import web

OWN_TO_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "host"}
MAX_BODY_BYTES = 64 * 1024 * 1024
SHOWN = 20


class Tap:
    """What has passed so far, by path."""

    def __init__(self, target: str) -> None:
        """`target` is arenad's address, without `/v1`."""
        self.address = ""
        self.answers: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.left = 0
        self.faults: list[str] = []
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """One request, and its answer as it comes."""
        body = await request.read()
        session = self._session
        assert session
        async with session.request(
            request.method,
            self._target + request.path_qs,
            headers=_kept(request.headers),
            data=body,
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            held = bytearray()
            try:
                async for piece in answer.content.iter_any():
                    held += piece
                    await response.write(piece)
                await response.write_eof()
            except (ConnectionError, asyncio.CancelledError):
                self.left += 1
                raise
            self._judge(request, answer, bytes(held))
        return response

    def _judge(self, request: web.Request, answer: aiohttp.ClientResponse, body: bytes) -> None:
        place = official.place_of(request.path, request.headers)
        if place is None:
            return
        self.answers[request.path] += 1
        is_stream = answer.content_type == "text/event-stream"
        try:
            if is_stream:
                count, faults = official.faults_of_stream(place, body)
                self.events[request.path] += count
            else:
                faults = official.faults_of(place, answer.status, body)
        except ValueError as error:
            faults = [str(error)]
        if "x-request-id" not in answer.headers:
            faults.append("it has no x-request-id")
        self.faults += [f"{request.method} {request.path}: {each}" for each in faults]

    async def begin(self) -> web.AppRunner:
        """Listen on a free port."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0),
        )
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self.pass_on)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def end(self, runner: web.AppRunner) -> None:
        """Listen no more."""
        await runner.cleanup()
        if self._session:
            await self._session.close()


def _kept(headers: "aiohttp.typedefs.LooseHeaders") -> dict[str, str]:
    return {
        name: value for name, value in headers.items() if name.lower() not in OWN_TO_A_CONNECTION
    }


@contextmanager
def tapping(target: str) -> Iterator[Tap]:
    """The tap, in a thread of its own."""
    tap, ready, loop = Tap(target), threading.Event(), asyncio.new_event_loop()

    def live() -> None:
        runner = loop.run_until_complete(tap.begin())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(tap.end(runner))
        loop.close()

    thread = threading.Thread(target=live, name="tap")
    thread.start()
    ready.wait(10)
    try:
        yield tap
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
