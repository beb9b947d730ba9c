"""responses: inputs in, events and objects out, held against the real client's own types."""

import base64
import json
from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from arenad.errors import InvalidRequest, UpstreamFailed
from arenad.frontend import openai, responses
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

PNG = "data:image/png;base64," + base64.b64encode(b"png").decode()


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "echo", "input": "hello"} | fields)


def test_a_plain_body() -> None:
    """What is used is taken, what is not is named; of two answers the first one is read."""
    wish = responses.parse(_body(store=True, instructions="be brief"))
    assert wish == Wish(
        model="echo",
        turns=(Turn(role="system", text="be brief"), Turn(role="user", text="hello")),
        stream=False,
        include_usage=True,
        ignored=("store",),
        battle_target="A",
        prompt_tokens=13,
        repeated={
            "instructions": "be brief",
            "metadata": {},
            "max_output_tokens": None,
            "text": {"format": {"type": "text"}},
            "tools": [],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
        },
    )


ITEMS: list[dict[str, Any]] = [
    {"role": "developer", "content": "brief"},
    {"role": "user", "content": [{"type": "input_text", "text": t} for t in "ab"]},
    {
        "type": "reasoning",
        "id": "r",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
    },
    {
        "type": "message",
        "id": "m",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": t, "annotations": []} for t in "xy"],
    },
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": "http://a/x.png", "detail": "auto"},
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
            {"type": "input_text", "text": "look"},
        ],
    },
]


def test_items_become_turns() -> None:
    """Reasoning is left out, and what came after it keeps its files and their names."""
    wish = responses.parse(_body(input=ITEMS), FilesConfig(fetch_urls=True))
    assert [(turn.role, turn.text) for turn in wish.turns] == [
        ("system", "brief"),
        ("user", "a\n\nb"),
        ("assistant", "xy"),
        ("user", "look"),
    ]
    (file,) = wish.turns[3].attachments
    assert (file.content, file.param) == (b"png", "input[4].content[1].image_url")
    (remote,) = wish.remote
    assert (remote.turn, remote.place, remote.param) == (3, 0, "input[4].content[0].image_url")


NAMELESS = {"type": "function", "name": ""}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": 5}, "input: is 5; must be text or a list of 1 to 10000 items"),
        ({"input": " "}, "input: hold no text; say something"),
        (
            {"metadata": {"a": 1}},
            "metadata[...]: is {'a': 1}; must be text of at most 512 characters",
        ),
        (
            {"metadata": dict.fromkeys(map(str, range(17)), "")},
            "metadata: is {'0': '', '1': '', '10': '', '11': '', ...}; must be an object of at most 16 texts",
        ),
        (
            {"input": [{"content": "x"}]},
            "input[0].role: is missing; must be user, assistant, system or developer",
        ),
        (
            {"input": [{"type": "function_call"}]},
            "input[0].call_id: is missing; must be text",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "c"}]},
            "input[0].name: is missing; must be a name of 1 to 128 letters, digits, _ . : or -",
        ),
        (
            {"input": [{"type": "function_call_output", "output": "7"}]},
            "input[0].call_id: is missing; must be text",
        ),
        (
            {"input": [{"type": "web_search_call"}]},
            "input[0].type: is 'web_search_call'; must be message, function_call, function_call_output or reasoning",
        ),
        (
            {"text": {"format": {"type": "xml"}}},
            "text.format.type: is 'xml'; must be text, json_object or json_schema",
        ),
        (
            {"text": {"format": {"type": "json_schema", "name": "a"}}},
            "text.format.schema: is missing; must be a JSON schema",
        ),
        (
            {"tools": [{"type": "web_search"}]},
            "tools[0].type: is 'web_search'; must be function; only functions are emulated, OpenAI's own tools are not run",
        ),
        (
            {"tools": [{"type": "function", "name": "a"}], "tool_choice": NAMELESS},
            "tool_choice.name: is ''; must be a name of 1 to 128 letters, digits, _ . : or -",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id: is 'f', and no files are stored here; send the file itself, as a data URL",
        ),
        (
            {"previous_response_id": "r"},
            "previous_response_id: is 'r'; nothing is stored; send all that was said as input",
        ),
        ({"conversation": "conv_1"}, "conversation: is 'conv_1'; must be affinity or fold"),
        (
            {"battle_target": "both"},
            "battle_target: is 'both'; there is one author here; choose A or B",
        ),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], message: str) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidRequest) as told:
        responses.parse(_body(**fields))
    assert (told.value.message, told.value.param) == (message, message.partition(":")[0])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
PLACES = st.sampled_from(["role", "content", "type", "text", "image_url", "file_data", "format"])
WORDS = st.sampled_from(["message", "reasoning", "input_text", "input_image", "user", "text"])
PARTS = st.recursive(
    JSON | WORDS,
    lambda inner: st.dictionaries(PLACES, inner, max_size=6) | st.lists(inner, max_size=3),
)


@given(PARTS, st.sampled_from(["input", "instructions", "text", "stream"]))
def test_no_field_raises_anything_else(value: object, name: str) -> None:
    """Any value in any field: it is a wish or an `InvalidRequest`."""
    with suppress(InvalidRequest):
        responses.parse(json.dumps({"model": "m", "input": "hello", name: value}).encode())


# -- out ------------------------------------------------------------------------------------------

USAGE = Usage(3, 5)
FRAME = TypeAdapter[Any](ResponseStreamEvent)
WISH = responses.parse(json.dumps({"model": "écho", "input": "x", "stream": True}).encode())


def _frames(written: bytes) -> list[Any]:
    """Every frame, valid for the real client; comments are left out."""
    frames: list[Any] = []
    for text in written.decode().removesuffix("\n\n").split("\n\n"):
        if not text.startswith(":"):
            name, told = text.split("\n")
            frames.append(frame := json.loads(told.removeprefix("data: ")))
            assert name == f"event: {frame['type']}"
            FRAME.validate_python(frame, strict=True)
    return frames


def _told(*events: Event) -> list[Any]:
    writer = responses.Writer("1", WISH, 1_700_000_000)
    written = writer.first() + b"".join(map(writer.event, events))
    return _frames(written + writer.end(USAGE))


def test_the_frame_of_a_stream() -> None:
    """Every event that the reference has for a text, in its order, numbered."""
    told = _told(TextDelta("thr"), Heartbeat(), TextDelta("ée"), Finish("stop"))
    assert [frame["type"].removeprefix("response.") for frame in told] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done", "completed"),
    ]
    assert [frame["sequence_number"] for frame in told] == list(range(10))
    response = Response.model_validate(told[-1]["response"], strict=True)
    assert (response.id, response.status, response.output_text) == ("resp_1", "completed", "thrée")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.total_tokens) == (3, 8)


EVENTS = st.one_of(
    st.builds(TextDelta, st.text()),
    st.builds(ReasoningDelta, st.text()),
    st.builds(Image, st.text()),
    st.builds(Citation, st.text(), st.text()),
    st.just(Heartbeat()),
    st.builds(TextDelta, st.text(), st.just(1)),
)


@given(st.lists(EVENTS))
def test_items_are_opened_and_closed_in_turn(events: list[Event]) -> None:
    """Deltas make what is done, what is done makes the response, and that says what the whole does."""
    *told, end = _told(*events, Finish("stop"))
    texts, items = {"message": "", "reasoning": ""}, list[Any]()
    kind, deltas = "", ""
    for frame in told[2:]:
        assert frame["output_index"] == len(items)
        match frame["type"].rpartition(".")[2]:
            case "added" if "item" in frame:
                assert not kind
                kind, deltas = frame["item"]["type"], ""
            case "delta":
                deltas += frame["delta"]
            case "done" if "item" in frame:
                assert frame["item"]["content"][0]["text"] == deltas
                items.append(frame["item"])
                texts[kind] += deltas
                kind = ""
            case _:
                assert kind
                assert frame.get("text", deltas) == deltas
    assert not kind
    assert end["response"]["output"] == items
    side = Side(0)
    for event in events:
        if getattr(event, "side", 0) == 0:
            side.take(event)
    body = json.loads(responses.Writer("1", WISH, 0).whole([side], USAGE))
    Response.model_validate(body, strict=True)
    whole = {each["type"]: each["content"][0]["text"] for each in body["output"]}
    assert {"message": "", "reasoning": ""} | whole == texts


def _links(part: dict[str, Any]) -> list[str]:
    """What the annotations of a part point at."""
    return [
        part["text"][each["start_index"] : each["end_index"]]
        for each in part["annotations"]
        if each["type"] == "url_citation"
    ]


@given(st.lists(EVENTS))
def test_sources_are_annotations(events: list[Event]) -> None:
    """Each points at its link in the text of its part, and is told by an event of its own."""
    told = _told(*events, Finish("stop"))
    cited = [each for each in events if isinstance(each, Citation)]
    links = [f"[{each.title or each.url}]({each.url})" for each in cited]
    parts = [frame["part"] for frame in told if frame["type"] == "response.content_part.done"]
    written = [part for part in parts if part["type"] == "output_text"]
    assert [link for part in written for link in _links(part)] == links
    added = [frame for frame in told if frame["type"].endswith("annotation.added")]
    assert [each["annotation"] for each in added] == [
        each for part in written for each in part["annotations"]
    ]
    assert [each["annotation_index"] for each in added] == [
        place for part in written for place in range(len(part["annotations"]))
    ]
    output = told[-1]["response"]["output"]
    assert [each["content"][0] for each in output] == parts
    side = Side(0)
    for event in cited:
        side.take(event)
    body = json.loads(responses.Writer("1", WISH, 0).whole([side], USAGE))
    Response.model_validate(body, strict=True)
    assert [link for each in body["output"] for link in _links(each["content"][0])] == links


@pytest.mark.parametrize("reason", get_args(FinishReason))
def test_a_cut_answer_is_incomplete(reason: FinishReason) -> None:
    """Streamed and whole, with its reason."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)
    end = _told(TextDelta("a"), Finish(reason))[-1]
    whole = responses.Writer("1", WISH, 0).whole([Side(0, ["a"], reason=reason)], USAGE)
    assert end["type"] == ("response.incomplete" if cut else "response.completed")
    for response in (end["response"], json.loads(whole)):
        assert response["status"] == ("incomplete" if cut else "completed")
        assert response["incomplete_details"] == ({"reason": cut} if cut else None)
        assert response["output"][-1]["status"] == ("incomplete" if cut else "completed")


def test_a_side_that_failed_is_an_error() -> None:
    """There is no other one beside it; the other one's trouble is no word of a response."""
    failed = SideFailed(failure_of(UpstreamFailed("no")))
    writer = responses.Writer("1", WISH, 0)
    with pytest.raises(UpstreamFailed, match="no"):
        writer.event(failed)
    with pytest.raises(UpstreamFailed, match="no"):
        writer.whole([Side(0, failure=failed.failure)], USAGE)
    assert writer.event(SideFailed(failed.failure, 1)).startswith(b":")


def test_an_answer_beyond_all_bounds_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is kept for the end, so it is bounded."""
    monkeypatch.setattr(responses, "MAX_WHOLE_CHARS", 3)
    writer = responses.Writer("1", WISH, 0)
    writer.event(TextDelta("abc"))
    with pytest.raises(UpstreamFailed, match="longer than 3 characters"):
        writer.event(TextDelta("d"))


def test_an_error_in_mid_stream_has_both_shapes() -> None:
    """The reference's own fields, and the one that the Python client raises for."""
    error = InvalidRequest("no", param="model")
    (frame,) = _frames(responses.Writer("1", WISH, 0).failed(error))
    assert (frame["message"], frame["code"], frame["param"]) == ("no", "invalid_request", "model")
    assert frame["error"] == openai.error_fields(error)
