"""How the other pages' answers are framed, and what they may ask."""

import json
from itertools import cycle
from typing import Any

import pytest

from arenad.demo.models import Piece
from arenad.demo.other import wire
from arenad.demo.protocol import PROMPT_LIMIT_BYTES, Refusal, Turn

TEXT = Piece('a"\n é')
THOUGHT = Piece("hm", kind="reasoning")


def _wish(**changes: Any) -> bytes:
    wish = {"model": "demo-echo", "messages": [{"role": "user", "content": "hi"}]} | changes
    return json.dumps(wish).encode()


def test_a_wish_brings_the_whole_talk() -> None:
    """The turns are what models take; what else a client sends is no matter."""
    wish = wire.read_wish(_wish(stream=True))
    assert (wish.model, wish.conversation()) == ("demo-echo", (Turn("user", "hi"),))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "truncated"),
        (_wish(model=1), "model"),
        (_wish(messages=[]), "messages"),
        (_wish(messages=[{"role": "robot", "content": "x"}]), "role"),
        (_wish(messages=[{"role": "assistant", "content": "x"}]), "messages"),
        (_wish(messages=[{"role": "user", "content": ""}]), "messages"),
    ],
)
def test_a_bad_wish_is_told(body: bytes, field: str) -> None:
    """The refusal names the field at fault."""
    with pytest.raises(Refusal, match=f"400.*{field}"):
        wire.read_wish(body)


def test_a_prompt_has_a_limit() -> None:
    """As on the arena itself."""
    messages = [{"role": "user", "content": "x" * (PROMPT_LIMIT_BYTES + 1)}]
    with pytest.raises(Refusal, match="413"):
        wire.read_wish(_wish(messages=messages))


def test_a_frame_asks_or_stops() -> None:
    """A stop needs no wish, an ask does."""
    ask = b'{"type":"ask","wish":' + _wish() + b"}"
    assert wire.read_frame(ask) == wire.read_wish(_wish())
    assert wire.read_frame(b'{"type":"stop"}') is None
    with pytest.raises(Refusal, match="wish: is missing"):
        wire.read_frame(b'{"type":"ask"}')


def test_events_are_named() -> None:
    """Each event has one line of JSON, whatever is in the text."""
    events = wire.Events()
    assert events.piece(TEXT) == 'event: message\ndata: "a\\"\\n é"\n\n'.encode()
    assert events.piece(THOUGHT) == b'event: reasoning\ndata: "hm"\n\n'
    assert events.end("stop") == b'event: end\ndata: "stop"\n\n'
    assert events.error("x") == b'event: failure\ndata: "x"\n\n'


def test_chunks_are_those_of_openai() -> None:
    """Deltas, a finish reason, and the mark of the end."""
    chunks = wire.Chunks("m", "1")
    first = json.loads(chunks.piece(TEXT).removeprefix(b"data: "))
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"content": TEXT.text}
    assert b'"delta":{"reasoning_content":"hm"}' in chunks.piece(THOUGHT)
    assert chunks.end("length").endswith(b'"finish_reason":"length"}]}\n\ndata: [DONE]\n\n')
    assert chunks.error("x") == b'data: {"error":{"message":"x"}}\n\n'


def test_lines_end_with_one_that_is_done() -> None:
    """One object to a line."""
    lines = wire.Lines("m")
    assert json.loads(lines.piece(TEXT))["message"]["content"] == TEXT.text
    assert json.loads(lines.piece(THOUGHT))["message"]["thinking"] == "hm"
    assert json.loads(lines.end("stop"))["done"] is True
    assert json.loads(lines.error("x")) == {"model": "m", "error": "x"}
    assert lines.piece(TEXT).count(b"\n") == 1


def test_frames_of_json_have_a_type() -> None:
    """Text, reasoning, end, error."""
    frames = wire.JsonFrames()
    told = [frames.piece(TEXT), frames.piece(THOUGHT), frames.end("stop"), frames.error("x")]
    assert [json.loads(each)["type"] for each in told] == ["text", "reasoning", "end", "error"]


def test_masked_frames_hide_the_text() -> None:
    """With the key they are a letter and UTF-8; without it nothing of the text is there."""
    key = b"\x91\xa2\xb3"
    frames = wire.MaskedFrames(key)
    told = [frames.piece(TEXT), frames.piece(THOUGHT), frames.end("stop"), frames.error("x")]
    plain = [bytes(a ^ b for a, b in zip(each, cycle(key), strict=False)).decode() for each in told]
    assert plain == ["t" + TEXT.text, "rhm", "estop", "fx"]
    assert b"hm" not in told[1]
