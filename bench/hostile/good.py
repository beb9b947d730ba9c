"""Good requests: each vocabulary, streamed and whole, held to what the demo's model writes."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from arenad.demo import models
from arenad.demo.protocol import Turn
from bench.hostile.talk import Heard, post, wire
from bench.nasty import WORDS


class Wish(NamedTuple):
    """What a client asks for, in which words."""

    path: str
    model: str
    prompt: str
    streams: bool

    @property
    def expected(self) -> str:
        """The text that the model writes for this prompt."""
        pieces = models.pieces(self.model, [Turn("user", self.prompt)], 1000.0)
        return "".join(each.text for each in pieces)


def wish(draw: random.Random) -> Wish:
    """One of any vocabulary, of 1 to 20,000 characters."""
    model = draw.choice(("demo-echo-instant", "demo-echo", "demo-eliza", "demo-long"))
    prompt = " ".join(draw.choices(WORDS, k=draw.randrange(1, 30)))
    if model == "demo-long":
        prompt = f"{int(10 ** draw.uniform(1, 4.3))} {draw.randrange(1000)}"
    elif model == "demo-eliza":
        prompt = f"I feel {prompt}"
    return Wish(draw.choice([*SAID]), model, prompt, draw.random() < 0.6)


def body_of(each: Wish) -> dict[str, Any]:
    """As its vocabulary has it."""
    told: dict[str, Any] = {"model": each.model, "stream": each.streams}
    match each.path:
        case "/v1/completions":
            return {**told, "prompt": each.prompt, "max_tokens": 1_000_000}
        case "/v1/responses":
            return {**told, "input": each.prompt}
        case "/v1/messages":
            messages = [{"role": "user", "content": each.prompt}]
            return {**told, "messages": messages, "max_tokens": 1_000_000}
        case _:
            return {**told, "messages": [{"role": "user", "content": each.prompt}]}


async def ask(url: str, key: str, each: Wish) -> str:
    """Perform it; what is wrong with its answer, empty if nothing is."""
    async with wire(url) as connection:
        connection.send(post(each.path, body_of(each), key))
        return fault(each, await connection.hear())


def fault(each: Wish, heard: Heard) -> str:
    """Where an answer is not what was asked for."""
    where = f"{each.path} {each.model} {'stream' if each.streams else 'whole'}"
    if heard.status != 200 or not heard.is_whole:
        return f"{where}: {heard.status}, {len(heard.body)} bytes: {heard.body[-300:]!r}"
    try:
        told = [*_events(heard.body)] if each.streams else [msgspec.json.decode(heard.body)]
        text, has_ended = SAID[each.path](told, each.streams)
    except (msgspec.MsgspecError, LookupError, TypeError) as error:
        return f"{where}: {error!r} in {heard.body[:300]!r}"
    if not has_ended:
        return f"{where}: has no end"
    wanted = each.expected
    if text.encode() != wanted.encode():
        return f"{where}: {len(text)} characters, wanted {len(wanted)}: {text[:80]!r}"
    return ""


def _events(body: bytes) -> Iterator[Any]:
    """The data of each event; OpenAI's [DONE] as its name."""
    for block in body.decode().split("\n\n"):
        lines = [line.removeprefix("data: ") for line in block.split("\n") if line[:5] == "data:"]
        for line in lines:
            yield line if line == "[DONE]" else msgspec.json.decode(line)


def _chat(told: list[Any], streams: bool) -> tuple[str, bool]:  # noqa: FBT001 - as in a table
    return _choices(told, streams, lambda choice: choice["message"]["content"], _delta)


def _delta(choice: dict[str, Any]) -> str:
    return choice["delta"].get("content") or ""


def _completion(told: list[Any], streams: bool) -> tuple[str, bool]:  # noqa: FBT001 - as above
    return _choices(told, streams, lambda choice: choice["text"], lambda choice: choice["text"])


def _choices(
    told: list[Any],
    streams: bool,  # noqa: FBT001 - as above
    whole: Callable[[Any], str],
    piece: Callable[[Any], str],
) -> tuple[str, bool]:
    if not streams:
        (choice,) = told[0]["choices"]
        return whole(choice), choice["finish_reason"] == "stop"
    *chunks, last = told
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    return "".join(map(piece, choices)), (reasons, last) == (["stop"], "[DONE]")


def _response(told: list[Any], streams: bool) -> tuple[str, bool]:  # noqa: FBT001 - as above
    if not streams:
        parts = [part for item in told[0]["output"] for part in item.get("content", [])]
        return _joined(parts), told[0]["status"] == "completed"
    deltas = [each["delta"] for each in told if each["type"] == "response.output_text.delta"]
    return "".join(deltas), told[-1]["type"] == "response.completed"


def _message(told: list[Any], streams: bool) -> tuple[str, bool]:  # noqa: FBT001 - as above
    if not streams:
        return _joined(told[0]["content"]), told[0]["stop_reason"] == "end_turn"
    deltas = [each["delta"] for each in told if each["type"] == "content_block_delta"]
    return _joined(deltas), told[-1]["type"] == "message_stop"


def _joined(parts: Iterable[Any]) -> str:
    return "".join(part.get("text", "") for part in parts)


SAID: Mapping[str, Callable[[list[Any], bool], tuple[str, bool]]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/responses": _response,
    "/v1/messages": _message,
}
"""What is said in an answer of each path, and whether it has ended as a whole one does."""
