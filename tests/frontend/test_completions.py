"""completions: prompts in, chunks and objects out, held against the real client's own types."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from arenad.errors import InvalidRequest, UpstreamFailed
from arenad.frontend import completions, openai
from arenad.frontend.vocabulary import Side, Usage, Wish
from arenad.schema.chat import (
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
    failure_of,
)

USAGE = Usage(1, 2)
USAGE_FIELDS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "echo", "prompt": "hello"} | fields)


@pytest.mark.parametrize("prompt", ["hello", ["hello"]])
def test_a_prompt_is_a_users_message(prompt: object) -> None:
    """Alone, or the only one of a list; what changes nothing is named."""
    wish = completions.parse(_body(prompt=prompt, max_tokens=16, echo=False, n=1, stop="x"))
    assert wish == Wish(
        model="echo",
        turns=(Turn(role="user", text="hello"),),
        stream=False,
        include_usage=False,
        ignored=("echo",),
        stops=("x",),
        max_tokens=16,
        prompt_tokens=7,
    )


def test_streaming_with_usage() -> None:
    """The two switches of a stream."""
    wish = completions.parse(_body(stream=True, stream_options={"include_usage": True}))
    assert (wish.stream, wish.include_usage) == (True, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": ""}, "prompt: hold no text; say something"),
        (
            {"prompt": ["a", "b"]},
            "prompt: is ['a', 'b']; must be a text, or a list of one text; send a request for each",
        ),
        ({"prompt": [5]}, "prompt[0]: is 5; must be a text; tokens are not read here"),
        ({"n": 0}, "n: is 0; must be a whole number from 1 to 128"),
        ({"best_of": 2}, "best_of: is 2; must be as many as n"),
        ({"best_of": 2, "n": 3}, "best_of: is 2; must be as many as n"),
        ({"echo": True}, "echo: is True; the prompt is not repeated; leave it out"),
        ({"suffix": "x"}, "suffix: is 'x'; a chat page fills no gaps; leave it out"),
        ({"logprobs": 1}, "logprobs: is 1; a chat page tells no probabilities; leave it out"),
        ({"logprobs": 0}, "logprobs: is 0; a chat page tells no probabilities; leave it out"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], message: str) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidRequest) as told:
        completions.parse(_body(**fields))
    assert (told.value.message, told.value.param) == (message, message.partition(":")[0])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON, st.sampled_from(["model", "prompt", "stream", "n", "best_of", "stream_options"]))
def test_no_field_raises_anything_else(value: object, name: str) -> None:
    """Any value in any field of an otherwise good body."""
    with suppress(InvalidRequest):
        completions.parse(json.dumps({"model": "echo", "prompt": "hello", name: value}).encode())


# -- out ------------------------------------------------------------------------------------------


def _writer(*, usage: bool = False) -> completions.Writer:
    wish = Wish(model="écho", turns=(), stream=True, include_usage=usage, ignored=())
    return completions.Writer("1", wish, 1_700_000_000)


def _frames(written: bytes) -> list[Any]:
    texts = written.decode().removesuffix("\n\n").split("\n\n")
    return [
        text if text == "data: [DONE]" else json.loads(text.removeprefix("data: "))
        for text in texts
    ]


@pytest.mark.parametrize("usage", [False, True])
def test_the_frame_of_a_stream(usage: bool) -> None:
    """Pieces of text with explicit nulls; the reason; the numbers in a chunk of their own; the end."""
    writer = _writer(usage=usage)
    written = writer.first() + writer.event(TextDelta("é\n")) + writer.event(Finish("length"))
    one, last, *more, done = _frames(written + writer.end(USAGE))
    assert one["choices"] == [{"text": "é\n", "index": 0, "logprobs": None, "finish_reason": None}]
    assert last["choices"][0]["finish_reason"] == "length"
    assert done == "data: [DONE]"
    assert ("usage" in last, last.get("usage")) == (usage, None)
    assert [(chunk["choices"], chunk["usage"]) for chunk in more] == [([], USAGE_FIELDS)] * usage
    for frame in (last, *more):
        chunk = Completion.model_validate(frame, strict=True)
        assert (chunk.id, chunk.model, chunk.created) == ("cmpl-1", "écho", 1_700_000_000)


@pytest.mark.parametrize("event", [Heartbeat(), ReasoningDelta("hm")])
def test_what_has_no_place_is_a_comment(event: Event) -> None:
    """It keeps the connection alive."""
    assert _writer().event(event) == b": the site is at work\n\n"


def test_two_answers_are_two_choices() -> None:
    """Streamed and whole; a side that failed says so."""
    failed = SideFailed(failure_of(UpstreamFailed("no")), 1)
    sides = [Side(0), Side(1)]
    events: list[Event] = [
        TextDelta("a"),
        Image("http://a/"),
        TextDelta("b", 1),
        failed,
        Finish("stop"),
    ]
    choices: list[Any] = []
    for event in events:
        sides[getattr(event, "side", 0)].take(event)
        choices += _frames(_writer().event(event))[0]["choices"]
    assert [(one["index"], one["text"], one["finish_reason"]) for one in choices] == [
        (0, "a", None),
        (0, "![image](http://a/)", None),
        (1, "b", None),
        (1, "", "error"),
        (0, "", "stop"),
    ]
    body = json.loads(_writer().whole(sides, USAGE))
    one, other = body["choices"]
    assert (one["text"], one["finish_reason"]) == ("a![image](http://a/)", "stop")
    assert (other["text"], other["finish_reason"]) == ("b", "error")
    assert other["error"] == choices[3]["error"]
    assert body["usage"] == USAGE_FIELDS
    Completion.model_validate({**body, "choices": [one]}, strict=True)


def test_an_error_is_one_of_the_chats() -> None:
    """Before the stream and in it."""
    error = UpstreamFailed("no")
    assert _writer().failed(error) == b"data: " + openai.refusal(error).body + b"\n\n"
    assert completions.COMPLETIONS.refusal(error) == openai.refusal(error)
