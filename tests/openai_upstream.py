"""An OpenAI-compatible upstream on loopback, for tests: the model's name says how it answers."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

MODELS = ("echo", "whole", "thinking", "slow", "silent", "pausing", "cut", "unfinished", "failing")


class Upstream:
    """Keeps what it was asked, and how many clients left in the middle of an answer."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.models: tuple[str, ...] = MODELS
        self.models_status = 200
        self.is_out_of_order = False
        self.words = "Incorrect API key: "
        self.asked: list[dict[str, Any]] = []
        self.gate = asyncio.Semaphore(0)
        """What the model `gated` waits for, each time it is asked."""

        self.left = threading.Semaphore(0)
        self.under_way = threading.Semaphore(0)
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        app = web.Application()
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, f"{self.words}{request.headers.get('Authorization')}")
        return None

    async def _list(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        if self.models_status != 200:
            return _error(self.models_status, "no list now")
        data = [{"id": name, "object": "model", "owned_by": "tests"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if refusal := self._refusal(request):
            return refusal
        if self.is_out_of_order:
            return _error(500, "out of order")
        model, text = body["model"], body["messages"][-1]["content"]
        if model.isdecimal():
            headers = {"Retry-After": "2"} if model == "429" else {"Location": "/elsewhere"}
            return _error(int(model), f"refused as {model}", headers)
        if model.startswith("code-"):
            return _error(400, "as coded", code=model.removeprefix("code-"), param="messages")
        if model == "whole":
            message = {"role": "assistant", "content": text, "reasoning_content": "hm"}
            return web.json_response({"choices": [{"message": message, "finish_reason": "length"}]})
        try:
            if model == "gated":
                await self.gate.acquire()
            return await self._stream(request, model, text)
        except asyncio.CancelledError:
            self.left.release()
            raise

    async def _stream(self, request: web.Request, model: str, text: str) -> web.StreamResponse:
        if model == "silent":
            self.under_way.release()
            await asyncio.Event().wait()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if model == "thinking":
            await response.write(_chunk({"reasoning_content": "hm"}))
        words = text.split(" ")
        for place, word in enumerate(words):
            await response.write(_chunk({"content": word if place == 0 else f" {word}"}))
            if model in ("slow", "pausing"):
                self.under_way.release()
                await asyncio.Event().wait()
            if model == "cut":
                assert request.transport is not None
                request.transport.abort()
        if model == "failing":
            await response.write(b'data: {"error": {"message": "out of memory"}}\n\n')
        elif model != "unfinished":
            await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response


def _chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def _error(
    status: int, message: str, headers: dict[str, str] | None = None, **fields: str
) -> web.Response:
    return web.json_response(
        {"error": {"message": message} | fields}, status=status, headers=headers
    )


@contextlib.asynccontextmanager
async def serving_upstream(key: str = "") -> AsyncIterator[Upstream]:
    """One that listens in this loop."""
    upstream = Upstream(key)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()


class Threaded:
    """One that listens in a thread of its own, beside a test that waits for a daemon."""

    def __init__(self, key: str = "") -> None:
        self.upstream = Upstream(key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self.upstream.start(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.upstream.stop(), self._loop).result(10)

    def let_one_go(self) -> None:
        """One request of the model `gated` is answered."""
        self._loop.call_soon_threadsafe(self.upstream.gate.release)

    @contextlib.contextmanager
    def running(self) -> Iterator[Upstream]:
        self._thread.start()
        try:
            self.start()
            yield self.upstream
        finally:
            self.stop()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()
