"""One request of the chaos run: what it asks, what must come back, and what its end counts as.

The client is written out by hand, over one connection of its own, because the run must know two
things that a library hides: which port the request left from (so that its frontend can be told),
and whether an answer ended or was cut.
"""

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from typing import Literal

from arenad.demo import models
from arenad.demo.protocol import Turn

END_TIMEOUT_S = 150.0
"""An answer that has not ended by then has hung, which is never allowed."""

Outcome = Literal["ok", "honest error", "cut", "refused", "hung", "wrong", "vanished"]
"""`cut`: the connection ended without an end or an error; `vanished`: the client left on purpose."""

WORDS = (
    *("arena", "steady", "🦊", "naïve", "競技場", "שלום", "**bold**", "`a\\b`"),
    *("<br>", "&amp;", 'quote"', "it's", "👩\u200d💻", "żółć", "end."),
)


@dataclass
class Wish:
    """What a client asks for."""

    model: str
    prompt: str
    streams: bool
    slow: bool = False
    leaves_after_s: float | None = None

    @property
    def expected(self) -> str:
        """The text that the demo's model writes for this prompt."""
        conversation = [Turn("user", self.prompt)]
        return "".join(each.text for each in models.pieces(self.model, conversation, 1000.0))


@dataclass
class Answer:
    """What came back. Times are of `time.monotonic`."""

    wish: Wish
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    port: int = 0
    status: int = 0
    request_id: str = ""
    text: str = ""
    error: str = ""
    has_ended: bool = False
    outcome: Outcome = "cut"


def wish(draw: random.Random) -> Wish:
    """A request of the steady load: every built-in model, sizes over five powers of ten."""
    streams = draw.random() < 0.6
    match draw.randrange(6):
        case 0:
            return Wish("demo-slow-start", _words(draw, 12), streams)
        case 1:
            return Wish("demo-echo", _words(draw, 40), streams)
        case 2:
            return Wish("demo-echo-instant", _words(draw, 800), streams)
        case 3:
            return Wish("demo-eliza", f"I feel {_words(draw, 5)}", streams)
        case _:
            size = int(10 ** draw.uniform(1, 5.5))
            return Wish("demo-long", f"{size} {draw.randrange(1000)}", streams)


def slow_wish(draw: random.Random) -> Wish:
    """A megabyte for a client that reads it slowly."""
    return Wish("demo-long", f"1000000 {draw.randrange(1000)}", streams=True, slow=True)


def vanishing_wish(draw: random.Random) -> Wish:
    """An answer of some seconds for a client that leaves before its end."""
    model = draw.choice(["demo-slow-start", "demo-echo"])
    return Wish(model, _words(draw, 60), draw.random() < 0.7, leaves_after_s=draw.uniform(0, 4))


def _words(draw: random.Random, limit: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(1 + draw.randrange(limit)))


async def ask(url: str, each: Wish) -> Answer:
    """Perform one request; never raises for what the other side does."""
    answer = Answer(each)
    limit_s = END_TIMEOUT_S if each.leaves_after_s is None else each.leaves_after_s
    try:
        async with asyncio.timeout(limit_s):
            await _converse(url, answer)
    except TimeoutError:
        answer.outcome = "hung" if each.leaves_after_s is None else "vanished"
        answer.error = f"no end within {limit_s:g} s"
    except ConnectionRefusedError as error:
        answer.outcome, answer.error = "refused", str(error)
    except (OSError, EOFError, ValueError) as error:
        if not answer.error:
            answer.error = f"{type(error).__name__}: {error}"
    answer.ended_s = time.monotonic()
    _judge(answer)
    return answer


def _judge(answer: Answer) -> None:
    """Hold the text against what the model writes, whatever else is said of the answer."""
    expected = answer.wish.expected
    if not expected.startswith(answer.text) or (answer.has_ended and answer.text != expected):
        answer.outcome = "wrong"
        answer.error = f"{len(answer.text)} of {len(expected)} characters; {answer.error}"
    elif answer.has_ended:
        answer.outcome = "ok"


async def _converse(url: str, answer: Answer) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=64 * 1024)
    try:
        answer.port = writer.get_extra_info("sockname")[1]
        writer.write(_request(answer.wish))
        await writer.drain()
        headers = await _head(reader, answer)
        if answer.status == 200 and answer.wish.streams:
            await _read_stream(reader, answer)
        else:
            body = await reader.readexactly(int(headers["content-length"]))
            _read_whole(json.loads(body), answer)
    finally:
        if answer.wish.leaves_after_s is not None:
            writer.transport.abort()  # gone without a word
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _request(each: Wish) -> bytes:
    body = json.dumps(
        {
            "model": each.model,
            "stream": each.streams,
            "messages": [{"role": "user", "content": each.prompt}],
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _head(reader: asyncio.StreamReader, answer: Answer) -> dict[str, str]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    answer.status = int(first.split()[1])
    answer.request_id = headers.get("x-request-id", "")
    return headers


def _read_whole(body: dict, answer: Answer) -> None:
    if answer.status != 200:
        answer.outcome = "honest error"
        answer.error = f"{answer.status} {body['error']['code']}: {body['error']['message']}"
        return
    (choice,) = body["choices"]
    answer.text = choice["message"]["content"]
    answer.has_ended = choice["finish_reason"] == "stop"


async def _read_stream(reader: asyncio.StreamReader, answer: Answer) -> None:
    """Chunks of HTTP, events of SSE: the end is a finish reason, [DONE], and the last chunk."""
    held = b""
    pieces: list[str] = []
    finish = done = False
    try:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            held += (await reader.readexactly(size + 2))[:-2]
            *events, held = held.split(b"\n\n")
            for event in events:
                if event.startswith(b":"):
                    continue
                said = event.removeprefix(b"data: ")
                if said == b"[DONE]":
                    done = True
                    continue
                finish |= _read_event(json.loads(said), answer, pieces)
            if answer.wish.slow:
                await asyncio.sleep(size / 200_000)
        answer.has_ended = finish and done and not held
    finally:
        answer.text = "".join(pieces)


def _read_event(event: dict, answer: Answer, pieces: list[str]) -> bool:
    """Take one event's text; whether it carries the finish reason."""
    if "error" in event:
        answer.outcome = "honest error"
        answer.error = f"in mid-stream {event['error']['code']}: {event['error']['message']}"
        return False
    choice = event["choices"][0] if event["choices"] else {}
    pieces.append(choice.get("delta", {}).get("content") or "")
    return choice.get("finish_reason") == "stop"
