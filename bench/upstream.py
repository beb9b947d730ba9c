"""A small OpenAI-compatible service whose answers are known: `answer 17` brings number 17.

Everything that is measured through pages asks this one. What was sent can so be compared with what
came, whatever stands between.
"""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from bench import nasty

MODELS = ("nasty", "nasty-two")
Spared = tuple[tuple[str, str], ...]
ASKED = re.compile(r"answer (\d+)")


class Upstream:
    """What it answers."""

    def __init__(
        self, *, is_plain_form: bool, large_bytes: int, pause_s: float, spared: Spared = ()
    ) -> None:
        """See `nasty.answer`; `pause_s` is the time between two pieces.

        `spared`: patterns of what stands in no answer, each with what stands there instead.
        """
        self._spared = [(re.compile(pattern), instead) for pattern, instead in spared]
        self._form = {"is_plain_form": is_plain_form, "large_bytes": large_bytes}
        self._pause_s = pause_s
        self.address = ""

    def text(self, number: int, model: str = MODELS[0]) -> str:
        """The answer of this number; the second model has others."""
        seed = number if model == MODELS[0] else number + 1_000_001
        text = nasty.answer(seed, **self._form)  # pyright: ignore[reportArgumentType]
        for pattern, instead in self._spared:
            text = pattern.sub(instead, text)
        return text

    def said(self, wish: dict[str, Any]) -> tuple[str, int]:
        """The text that a request is answered by, and the seed of its pieces."""
        found = ASKED.findall(json.dumps(wish["messages"][-1], ensure_ascii=False))
        number = int(found[-1]) if found else 1
        return self.text(number, wish["model"]), number

    async def models(self, request: web.Request) -> web.Response:
        """Which there are."""
        del request
        return web.json_response(
            {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]}
        )

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """An answer, as a stream or whole."""
        wish = await request.json()
        text, number = self.said(wish)
        if not wish.get("stream"):
            return web.json_response(_value(wish["model"], "message", text, "stop"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in nasty.pieces(text, number):
            await _write(response, _value(wish["model"], "delta", piece, None))
            await asyncio.sleep(self._pause_s)
        await _write(response, _value(wish["model"], "delta", "", "stop"))
        await response.write(b"data: [DONE]\n\n")
        return response


async def _write(response: web.StreamResponse, value: object) -> None:
    await response.write(b"data: " + json.dumps(value).encode() + b"\n\n")


def _value(model: str, kind: str, text: str, finish: str | None) -> dict[str, object]:
    choice = {"index": 0, kind: {"role": "assistant", "content": text}, "finish_reason": finish}
    whole = "chat.completion" + (".chunk" if kind == "delta" else "")
    return {"id": "c", "object": whole, "created": 0, "model": model, "choices": [choice]}


@contextmanager
def serving(
    *,
    is_plain_form: bool = False,
    large_bytes: int = nasty.LARGE_BYTES,
    pause_s: float = 0.0,
    spared: Spared = (),
    kind: type[Upstream] = Upstream,
) -> Iterator[Upstream]:
    """The service, in a thread of its own; its address ends in `/v1`."""
    upstream = kind(
        is_plain_form=is_plain_form, large_bytes=large_bytes, pause_s=pause_s, spared=spared
    )
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def begin() -> web.AppRunner:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        chat = web.post("/v1/chat/completions", upstream.chat)
        app.add_routes([chat, web.get("/v1/models", upstream.models)])
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream.address = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    def live() -> None:
        runner = loop.run_until_complete(begin())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=live, name="upstream")
    thread.start()
    ready.wait(10)
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
