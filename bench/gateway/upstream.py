"""An OpenAI-compatible upstream that costs next to nothing, and knows when it was left.

It says the words of the last message: model `echo` at once, `echo-20ms` one each 20 ms. `silent`
begins nothing, `cut` hangs up in the middle, `stall` says half and then nothing more. `GET /seen`
tells of each request how it went: `{"said": …, "at_s": …, "left_s": …}`, by CLOCK_MONOTONIC.
"""

import asyncio
import json
from typing import Any, ClassVar

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n"
END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
PAUSE_S = {"echo-20ms": 0.02}
MODELS = ("echo", "echo-20ms", "silent", "cut", "stall")
MARKED_CHARS = 40


class Upstream(asyncio.Protocol):
    """One connection."""

    seen: ClassVar[list[dict[str, Any]]] = []

    def __init__(self) -> None:
        """Nothing has come."""
        self._held = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._entry: dict[str, Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when an answer was left."""
        del exc
        if self._timer is not None:
            self._timer.cancel()
        if self._entry is not None:
            self._entry["left_s"] = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        """One request at a time."""
        self._held += data
        head, end, body = self._held.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if not end or len(body) < int(fields.get(b"content-length", 0)):
            return
        self._held = b""
        path = head.split(b" ", 2)[1]
        if path == b"/seen":
            self._whole(self.seen)
        elif path.endswith(b"/models"):
            self._whole({"object": "list", "data": [{"id": name} for name in MODELS]})
        else:
            self._answer(json.loads(body))

    def _whole(self, value: object) -> None:
        body = json.dumps(value).encode()
        length = b"Content-Length: %d" % len(body)
        self._transport.write(HEAD % (b"application/json", length) + body)

    def _answer(self, wish: dict[str, Any]) -> None:
        text = str(wish["messages"][-1]["content"])
        now_s = asyncio.get_running_loop().time()
        self._entry = {"said": text[:MARKED_CHARS], "at_s": now_s, "left_s": None}
        self.seen.append(self._entry)
        model, words = wish["model"], [f"{word} " for word in text.split()]
        if not wish.get("stream"):
            self._begin_whole(model, words)
            return
        if model == "silent":
            return
        self._transport.write(HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked"))
        if model in PAUSE_S:
            self._say(model, words, 0, now_s)
            return
        said = words[: len(words) // 2] if model in ("cut", "stall") else words
        self._transport.write(b"".join(_chunk(_delta(model, word)) for word in said))
        if model == "cut":
            self._leave()
        elif model != "stall":
            self._end(model)

    def _begin_whole(self, model: str, words: list[str]) -> None:
        loop = asyncio.get_running_loop()
        choice = {"index": 0, "finish_reason": "stop"}
        message = {"role": "assistant", "content": "".join(words), "refusal": None}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": model}
        value = {**head, "choices": [{**choice, "message": message}], "usage": usage}
        if model in ("cut", "stall"):
            self._transport.write(HEAD % (b"application/json", b"Content-Length: 100000") + b"{")
            if model == "cut":
                self._leave()
        elif model in PAUSE_S:
            self._timer = loop.call_later(PAUSE_S[model] * len(words), self._finish, value)
        elif model != "silent":
            self._finish(value)

    def _finish(self, value: object) -> None:
        self._entry = None
        self._whole(value)

    def _say(self, model: str, words: list[str], place: int, due_s: float) -> None:
        if place == len(words):
            self._end(model)
            return
        self._transport.write(_chunk(_delta(model, words[place])))
        due_s += PAUSE_S[model]
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due_s, self._say, model, words, place + 1, due_s)

    def _end(self, model: str) -> None:
        self._entry = None
        self._transport.write(_chunk(_delta(model, "", "stop")) + _chunk(DONE) + END)

    def _leave(self) -> None:
        self._entry = None
        asyncio.get_running_loop().call_later(0.05, self._transport.abort)


def _delta(model: str, word: str, reason: str | None = None) -> bytes:
    delta = {"content": word} if word else {}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
