"""messages: bodies in, events and objects out, held against the real client's own types."""

import base64
import json
from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent, StopReason
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from arenad.errors import KINDS, InvalidRequest, RequestError, UpstreamFailed
from arenad.frontend import messages
from arenad.frontend.vocabulary import Side, Usage, Wish
from arenad.schema.chat import (
    Citation,
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
    failure_of,
)
from arenad.schema.config import FilesConfig

HELLO = [{"role": "user", "content": "hello"}]
PNG = base64.b64encode(b"png").decode()


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "echo", "max_tokens": 9, "messages": HELLO} | fields)


def _said(*content: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [*HELLO, {"role": role, "content": content}]


def _source(kind: str, **source: str) -> dict[str, Any]:
    return {"type": kind, "source": source}


def test_a_plain_body() -> None:
    """What is used is taken, what is not is named; of two answers the first one is read."""
    wish = messages.parse(_body(top_k=5, metadata={"user_id": "me"}))
    assert wish == Wish(
        model="echo",
        turns=(Turn(role="user", text="hello"),),
        stream=False,
        include_usage=True,
        ignored=("metadata", "top_k"),
        max_tokens=9,
        include_reasoning=False,
        battle_target="A",
        prompt_tokens=7,
    )


@pytest.mark.parametrize(
    "system", ["a\n\nb", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]]
)
def test_the_system_field_is_the_first_turn(system: object) -> None:
    """As text or as blocks; an empty one is none."""
    wish = messages.parse(_body(system=system))
    assert wish.turns[0] == Turn(role="system", text="a\n\nb")
    assert len(messages.parse(_body(system=[])).turns) == 1
    assert len(messages.parse(_body(system=" ")).turns) == 1


def test_an_answer_that_comes_back_is_the_text_that_was_sent() -> None:
    """Else its conversation would not be found again: blocks are pieces, thinking was never text."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "one, "},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}},
    ]
    again = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    }
    wish = messages.parse(_body(messages=[*_said(*blocks, role="assistant"), again]))
    assert wish.turns[1:] == (
        Turn(role="assistant", text="one, two"),
        Turn(role="user", text="a\n\nb"),
    )


def test_files_come_in_blocks() -> None:
    """Images and documents, in base64 or as text; each remembers where it stood."""
    blocks = [
        _source("image", type="base64", media_type="image/png", data=PNG),
        {"type": "text", "text": "look"},
        _source("document", type="text", media_type="text/plain", data="thrée")
        | {"title": "paper"},
        _source("document", type="base64", media_type="application/pdf", data=PNG),
    ]
    wish = messages.parse(_body(system="s", messages=_said(*blocks)))
    turn = wish.turns[2]
    assert turn.text == "look"
    assert [
        (each.name, each.content_type, each.content, each.param) for each in turn.attachments
    ] == [
        ("image-1.png", "image/png", b"png", "messages[1].content[0].source.data"),
        ("paper.txt", "text/plain", "thrée".encode(), "messages[1].content[2].source.data"),
        ("file-3.pdf", "application/pdf", b"png", "messages[1].content[3].source.data"),
    ]


def test_a_file_at_an_address_has_its_place() -> None:
    """Counted with the system's turn, which the client's list does not have."""
    blocks = [
        {"type": "text", "text": "look"},
        _source("image", type="url", url="http://a/x.png"),
    ]
    files = FilesConfig(fetch_urls=True)
    (remote,) = messages.parse(_body(system="s", messages=_said(*blocks)), files).remote
    assert (remote.turn, remote.place) == (2, 0)
    assert remote.param == "messages[1].content[1].source.url"
    with pytest.raises(InvalidRequest, match=r"source\.url: .* not fetched here"):
        messages.parse(_body(messages=_said(*blocks)))


@pytest.mark.parametrize(
    ("thinking", "shows"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "enabled", "budget_tokens": 2000}, True),
        ({"type": "adaptive"}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
    ],
)
def test_reasoning_is_for_those_who_ask(thinking: object, shows: bool) -> None:
    """As the real endpoint has it."""
    assert messages.parse(_body(thinking=thinking)).include_reasoning is shows


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"model": 7}, "model", "is 7; must be a model's name; GET /v1/models lists them"),
        ({"messages": []}, "messages", "is []; must be a list of 1 to 10000 messages"),
        (
            {"messages": [{"role": "user", "content": " "}]},
            "messages",
            "hold no text; say something",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].role",
            "is 'tool'; must be user, assistant or system",
        ),
        (
            {"messages": _said({"type": "server_tool_use", "id": "1", "name": "f", "input": {}})},
            "messages[1].content[0].type",
            "is 'server_tool_use'; must be text, image, document, thinking, tool_use or tool_result",
        ),
        (
            {"messages": _said(_source("image", type="file", file_id="f"))},
            "messages[1].content[0].source.type",
            "is 'file'; must be base64, url or text",
        ),
        (
            {"messages": _said(_source("image", type="base64", media_type="image/png"))},
            "messages[1].content[0].source.data",
            "is missing; must be base64, or text in a source of type text",
        ),
        (
            {"messages": _said(_source("image", type="base64", media_type="image/tiff", data=PNG))},
            "messages[1].content[0].source.data",
            "is of type 'image/tiff'; taken are image/png, image/jpeg, image/gif, image/webp, application/pdf, text/* (files.types)",
        ),
        ({"system": [{"type": "image"}]}, "system[0].type", None),
        (
            {"compaction": {"type": "a"}},
            "compaction",
            "is {'type': 'a'}; a chat page sums nothing up; leave it out",
        ),
        ({"thinking": {"type": 5}}, "thinking.type", "is 5; must be text"),
        (
            {"tools": [{"name": "f"}]},
            "tools[0].input_schema",
            "is missing; must be a JSON schema",
        ),
        (
            {"tools": [{"name": "web_search", "type": "web_search_20250305"}]},
            "tools[0].type",
            "is 'web_search_20250305'; must be custom; Anthropic's own tools are not run here",
        ),
        (
            {"tool_choice": {"type": "tool"}},
            "tool_choice.name",
            "is missing; must be the tool's name",
        ),
        (
            {"output_config": {"format": {"type": "json_schema"}}},
            "output_config.format.schema",
            "is missing; must be a JSON schema",
        ),
        (
            {"battle_target": "both"},
            "battle_target",
            "is 'both'; there is one author here; choose A or B",
        ),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str, message: str | None) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidRequest) as told:
        messages.parse(_body(**fields))
    assert told.value.param == param
    assert message is None or told.value.message == f"{param}: {message}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
PLACES = st.sampled_from(
    ["role", "content", "type", "text", "source", "media_type", "data", "url", "title"]
)
WORDS = st.sampled_from(["text", "image", "document", "base64", "url", "user", "assistant", "AAAA"])
BLOCKS = st.recursive(
    JSON | WORDS,
    lambda inner: st.dictionaries(PLACES, inner, max_size=6) | st.lists(inner, max_size=3),
)


@given(BLOCKS, st.sampled_from(["messages", "system", "thinking", "output_config", "stream"]))
def test_no_field_raises_anything_else(value: object, name: str) -> None:
    """Any value in any field: it is a wish or an `InvalidRequest`."""
    with suppress(InvalidRequest):
        messages.parse(json.dumps({"model": "m", "messages": HELLO, name: value}).encode())


# -- out ------------------------------------------------------------------------------------------

USAGE = Usage(3, 5)
FRAME = TypeAdapter[Any](RawMessageStreamEvent)
WISH = Wish(
    model="écho",
    turns=(Turn(role="user", text="x" * 40),),
    stream=True,
    include_usage=True,
    ignored=(),
    prompt_tokens=11,
)
QUIET = msgspec.structs.replace(WISH, include_reasoning=False)


def _frames(written: bytes) -> list[Any]:
    """Every frame of a piece of a stream, valid for the real client; the event names the type."""
    frames: list[Any] = []
    for text in written.decode().removesuffix("\n\n").split("\n\n"):
        name, told = text.split("\n")
        frames.append(frame := json.loads(told.removeprefix("data: ")))
        assert name == f"event: {frame['type']}"
        if frame["type"] not in {"ping", "error"}:
            FRAME.validate_python(frame, strict=True)
    return frames


def _told(*events: Event, wish: Wish = WISH) -> list[Any]:
    writer = messages.Writer("1", wish, 0)
    written = writer.first() + b"".join(map(writer.event, events))
    return _frames(written + writer.end(USAGE))


def test_the_frame_of_a_stream() -> None:
    """The empty message, a block, the reason with the numbers, the end."""
    first, start, *deltas, stop, delta, end = _told(
        TextDelta("thr"), TextDelta("ée"), Finish("stop")
    )
    message = first["message"]
    assert (message["id"], message["model"], message["content"]) == ("msg_1", "écho", [])
    assert message["usage"].items() >= {"input_tokens": 11, "output_tokens": 0}.items()
    assert message["stop_reason"] is None
    assert start["content_block"] == {"type": "text", "text": "", "citations": None}
    assert [each["delta"] for each in deltas] == [
        {"type": "text_delta", "text": "thr"},
        {"type": "text_delta", "text": "ée"},
    ]
    assert stop == {"type": "content_block_stop", "index": 0}
    assert delta["delta"]["stop_reason"] == "end_turn"
    assert delta["usage"].items() >= {"input_tokens": 3, "output_tokens": 5}.items()
    assert end == {"type": "message_stop"}


EVENTS = st.one_of(
    st.builds(TextDelta, st.text()),
    st.builds(ReasoningDelta, st.text()),
    st.builds(Image, st.text()),
    st.builds(Citation, st.text(), st.text()),
    st.just(Heartbeat()),
    st.builds(TextDelta, st.text(), st.just(1)),
)


@given(st.lists(EVENTS), st.booleans())
def test_blocks_are_opened_and_closed_in_turn(events: list[Event], shows: bool) -> None:
    """One at a time, numbered, each of one kind; and together they say what the whole one says."""
    wish = WISH if shows else QUIET
    told = _told(*events, Finish("stop"), wish=wish)[1:-2]
    texts = {"text": "", "thinking": ""}
    index, kind = -1, ""
    for frame in told:
        match frame["type"]:
            case "content_block_start":
                assert not kind
                index, kind = index + 1, frame["content_block"]["type"]
            case "content_block_delta":
                assert frame["delta"]["type"] == f"{kind}_delta"
                texts[kind] += frame["delta"][kind]
            case "content_block_stop":
                assert kind
                kind = ""
            case other:
                assert other == "ping"
                continue
        assert frame["index"] == index
    assert not kind
    side = Side(0)
    for event in events:
        if getattr(event, "side", 0) == 0:
            side.take(event)
    body = json.loads(messages.Writer("1", wish, 0).whole([side], USAGE))
    Message.model_validate(body, strict=True)
    assert {each["type"]: each[each["type"]] for each in body["content"]} == {
        kind: text
        for kind, text in texts.items()
        if text or (kind == "thinking" and side.reasoning and shows)
    }
    assert shows or not texts["thinking"]


def test_signs_of_life_are_pings() -> None:
    """Also while a model reasons for who did not ask for it."""
    writer = messages.Writer("1", QUIET, 0)
    assert _frames(writer.event(Heartbeat())) == [{"type": "ping"}]
    assert _frames(writer.event(ReasoningDelta("hm"))) == [{"type": "ping"}]


@pytest.mark.parametrize("reason", get_args(FinishReason))
def test_every_reason_is_one_of_theirs(reason: FinishReason) -> None:
    """Streamed and whole."""
    told = _told(Finish(reason))[-2]["delta"]["stop_reason"]
    assert told in get_args(StopReason)
    side = Side(0, reason=reason)
    body = json.loads(messages.Writer("1", WISH, 0).whole([side], USAGE))
    assert body["stop_reason"] == told


def test_a_side_that_failed_is_an_error() -> None:
    """There is no other one beside it; the other one's trouble is no word of a message."""
    failed = SideFailed(failure_of(UpstreamFailed("no")))
    writer = messages.Writer("1", WISH, 0)
    with pytest.raises(UpstreamFailed, match="no"):
        writer.event(failed)
    with pytest.raises(UpstreamFailed, match="no"):
        writer.whole([Side(0, failure=failed.failure)], USAGE)
    assert writer.event(SideFailed(failed.failure, 1)) == messages.PING


TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
    504: "timeout_error",
    500: "api_error",
    502: "api_error",
    401: "authentication_error",
    403: "permission_error",
    409: "invalid_request_error",
    499: "invalid_request_error",
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_errors_have_their_type_and_status(kind: str) -> None:
    """The same object as an answer and as an event; a code for who knows ours."""
    error: RequestError = KINDS[kind]("what", param="model")
    status, body = messages.refusal(error)
    (frame,) = _frames(messages.Writer("1", WISH, 0).failed(error))
    assert status == {503: 529}.get(error.http_status, error.http_status)
    assert (
        frame
        == json.loads(body)
        == {
            "type": "error",
            "error": {
                "type": TYPES[status],
                "message": "what",
                "details": {"error_code": error.code},
            },
            "request_id": None,
        }
    )


def test_tokens_are_counted_roughly() -> None:
    """Of the instructions as well."""
    wish = messages.parse(_body(system="x" * 400))
    assert json.loads(messages.counted(wish)) == {"input_tokens": 61}
