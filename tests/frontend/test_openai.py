"""openai: bodies in, chunks and objects out, held against the real client's own types."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Model as TheirModel
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from arenad import notation
from arenad.errors import KINDS, InvalidRequest, RequestError, UpstreamFailed
from arenad.frontend import openai
from arenad.frontend.instruct import Emulation, Format, Tool
from arenad.frontend.vocabulary import Side, Usage, Wish
from arenad.schema.chat import (
    Citation,
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
from arenad.schema.config import FilesConfig
from arenad.schema.process import Model

HELLO = [{"role": "user", "content": "hello"}]


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "echo", "messages": HELLO} | fields)


def test_a_plain_body() -> None:
    """What is used is taken, what is not is named."""
    wish = openai.parse(_body(temperature=0.5, user="me", stream=None))
    assert wish == Wish(
        model="echo",
        turns=(Turn(role="user", text="hello"),),
        stream=False,
        include_usage=False,
        ignored=("temperature", "user"),
        prompt_tokens=7,
    )


def test_roles_and_parts() -> None:
    """Six roles become three; parts become one text; no content is an empty one.

    Results that follow one another are one turn.
    """
    roles = ("developer", "system", "user", "assistant", "tool", "function")
    messages: list[dict[str, Any]] = [{"role": role, "content": role} for role in roles]
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages += [{"role": "assistant", "content": None}, {"role": "user", "content": parts}]
    turns = openai.parse(_body(messages=messages)).turns
    assert [turn.role for turn in turns] == [
        *("system", "system", "user", "assistant", "user"),
        *("assistant", "user"),
    ]
    assert [turn.text for turn in turns[-2:]] == ["", "a\n\nb"]


def test_a_last_message_may_be_a_file_alone() -> None:
    """If anything was said before; also one that is yet to be fetched. A refusal is text."""
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    for url in ("data:image/png;base64,YQ==", "https://a.example/b.png"):
        file = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
        limits = FilesConfig(fetch_urls=True)
        turns = openai.parse(_body(messages=[*HELLO, refused, file]), limits).turns
        assert [turn.text for turn in turns] == ["hello", "no", ""]


def test_calls_and_results_of_the_history_are_text() -> None:
    """With ids and names, also those of the old kind; a call's text stands before it."""
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "now", "arguments": ""}},
    ]
    messages: list[dict[str, Any]] = [
        *HELLO,
        {"role": "assistant", "content": "So:", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "noon"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{no"}},
        {"role": "function", "name": "f", "content": "3"},
        {"role": "assistant", "content": None, "refusal": "no"},
        *HELLO,
    ]
    _, said, results, old, last, refused, _ = openai.parse(_body(messages=messages)).turns
    add, now = notation.call("add", {"a": 1}, "c1"), notation.call("now", {}, "c2")
    assert (said.role, said.text) == ("assistant", f"So:\n\n{add}\n\n{now}")
    noon, two = notation.result("c2", "now", "noon"), notation.result("c1", "add", "2")
    assert (results.role, results.text) == ("user", f"{noon}\n\n{two}")
    assert old.text == notation.call("f", "{no")
    assert last.text == notation.result("", "f", "3")
    assert refused == Turn(role="assistant", text="no")


TOOL: dict[str, Any] = {"type": "function", "function": {"name": "add", "strict": True}}
NAMELESS = {"type": "function", "function": {"name": ""}}


@pytest.mark.parametrize(
    ("fields", "param", "remedy"),
    [
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "function"),
        ({"tools": [{"type": "function", "name": "a"}]}, "tools[0].function", "object with name"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "none, auto, required"),
        ({"tools": [TOOL], "tool_choice": NAMELESS}, "tool_choice.function.name", "name of 1"),
        ({"tools": [TOOL], "parallel_tool_calls": 1}, "parallel_tool_calls", "true or false"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", "name of"),
    ],
)  # fmt: skip
def test_a_bad_tool_is_named(fields: dict[str, Any], param: str, remedy: str) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidRequest, match=f"is .*; must be .*{remedy}") as told:
        openai.parse(_body(**fields))
    assert told.value.param == param


def test_of_the_tools_some_may_be_allowed() -> None:
    """As if there were no others; and nothing else may be."""
    named = {"type": "function", "function": {"name": "add"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    other = {"type": "function", "function": {"name": "now"}}
    wanted = openai.parse(_body(tools=[other, TOOL], tool_choice=choice)).emulation
    assert wanted == Emulation("tools", (Tool("add", is_strict=True),), "required")
    with pytest.raises(InvalidRequest, match="tool_choice: allows 'add'; must be of the tools"):
        openai.parse(_body(tools=[other], tool_choice=choice))


def test_tools_and_the_choice_are_what_is_emulated() -> None:
    """As the client says; tools that may not be called are none."""
    chosen = {"type": "function", "function": {"name": "add"}}
    wanted = openai.parse(
        _body(tools=[TOOL], tool_choice=chosen, parallel_tool_calls=False)
    ).emulation
    tool = Tool("add", is_strict=True)
    assert wanted == Emulation("tools", (tool,), "required", "add", is_parallel=False)
    assert openai.parse(_body(tools=[TOOL])).emulation == Emulation("tools", (tool,))
    assert openai.parse(_body(tools=[TOOL], tool_choice="none")).emulation is None


def test_a_format_is_what_is_emulated() -> None:
    """Any object, or one by a schema; text is what comes anyway."""
    schema = {"type": "object"}
    for asked, form in (
        ({"type": "json_object"}, Format()),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
            Format(schema, "a"),
        ),
    ):
        wanted = openai.parse(_body(response_format=asked)).emulation
        param = "response_format"
        assert wanted == Emulation(param, format=form, format_param=param)
    assert openai.parse(_body(response_format={"type": "text"})).emulation is None


@pytest.mark.parametrize(
    "harmless",
    [
        {"tools": []},
        {"tools": None},
        {"logprobs": False},
        {"response_format": {"type": "text"}},
        {"n": 1},
        {"stream_options": None},
        {"stream_options": {"include_obfuscation": False}},
    ],
)
def test_harmless_fields_pass(harmless: dict[str, Any]) -> None:
    """A field that asks for what is done anyway is no error."""
    assert openai.parse(_body(**harmless)).model == "echo"


def test_streaming_with_usage() -> None:
    """The two switches of a stream."""
    wish = openai.parse(_body(stream=True, stream_options={"include_usage": True}))
    assert (wish.stream, wish.include_usage) == (True, True)


LIST = f"must be a list of 1 to {openai.MAX_MESSAGES} messages"
ROLES = "must be one of system, developer, user, assistant, tool, function"


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"model": 7}, "model", "model: is 7; must be a model's name; GET /v1/models lists them"),
        ({"model": ""}, "model", "model: is ''; must be a model's name; GET /v1/models lists them"),
        ({"messages": []}, "messages", f"messages: is []; {LIST}"),
        ({"messages": "hi"}, "messages", f"messages: is 'hi'; {LIST}"),
        (
            {"messages": [5]},
            "messages[0]",
            "messages[0]: is 5; must be an object with role and content",
        ),
        (
            {"messages": [*HELLO, {"role": "boss", "content": ""}]},
            "messages[1].role",
            f"messages[1].role: is 'boss'; {ROLES}",
        ),
        ({"messages": [{}]}, "messages[0].role", f"messages[0].role: is missing; {ROLES}"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content",
            "messages[0].content: is 5; must be text or a list of parts",
        ),
        (
            {"messages": [{"role": "user", "content": ["a"]}]},
            "messages[0].content[0]",
            "messages[0].content[0]: is 'a'; must be an object with type and text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
            "messages[0].content[0].type: is 'input_audio'; must be text, refusal, image_url or file",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "messages[0].content[0].text: is missing; must be text",
        ),
        (
            {"messages": [{"role": "user", "content": " "}]},
            "messages",
            "messages: hold no text; say something",
        ),
        (
            {"messages": [*HELLO, {"role": "user"}]},
            "messages",
            "messages: the last one says nothing; say something, or leave it out",
        ),
        ({"stream": "yes"}, "stream", "stream: is 'yes'; must be true or false"),
        ({"stream_options": []}, "stream_options", "stream_options: is []; must be an object"),
        (
            {"stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "stream_options.include_usage: is 1; must be true or false",
        ),
        ({"n": 0}, "n", "n: is 0; must be a whole number from 1 to 128"),
        ({"n": 129}, "n", "n: is 129; must be a whole number from 1 to 128"),
        ({"n": True}, "n", "n: is True; must be a whole number from 1 to 128"),
        (
            {"logprobs": True},
            "logprobs",
            "logprobs: is True; a chat page tells no probabilities; leave it out",
        ),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "response_format.type: is 'xml'; must be text, json_object or json_schema",
        ),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "response_format.json_schema: is missing; must be an object with name and schema",
        ),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str, message: str) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidRequest) as told:
        openai.parse(_body(**fields))
    assert (told.value.message, told.value.param) == (message, param)


def test_missing_fields_are_named() -> None:
    """The two that are required."""
    for body, param in ((b"{}", "model"), (b'{"model":"echo"}', "messages")):
        with pytest.raises(InvalidRequest, match=f"^{param}: is missing; must be") as told:
            openai.parse(body)
        assert told.value.param == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"model":"echo","messages":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"tools":' + b"[" * 900 + b"1" + b"]" * 900 + b"}",
    ],
)
def test_what_is_no_body_is_refused(body: bytes) -> None:
    """Malformed, cut, too deep: an error in words, and a short one."""
    with pytest.raises(InvalidRequest) as told:
        openai.parse(body)
    assert len(told.value.message) < 500


def test_a_huge_value_is_shown_short() -> None:
    """A message repeats no megabytes."""
    with pytest.raises(InvalidRequest) as told:
        openai.parse(_body(model=["x" * 10_000_000] * 9))
    assert len(told.value.message) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
PLACES = st.sampled_from(
    [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "stream",
        "stream_options",
        "n",
        "tools",
    ]
)
BODIES = st.recursive(
    JSON | st.just("text") | st.just("user"),
    lambda inner: st.dictionaries(PLACES, inner, max_size=6) | st.lists(inner, max_size=3),
)


@given(st.binary() | BODIES.map(lambda body: json.dumps(body).encode()))
def test_no_body_raises_anything_else(body: bytes) -> None:
    """Whatever is sent, it is a wish or an `InvalidRequest`."""
    with suppress(InvalidRequest):
        openai.parse(body)


@given(JSON, st.sampled_from(["model", "messages", "stream", "n", "stream_options", "tools"]))
def test_no_field_raises_anything_else(value: object, name: str) -> None:
    """Any value in any field of an otherwise good body."""
    with suppress(InvalidRequest):
        openai.parse(json.dumps({"model": "echo", "messages": HELLO, name: value}).encode())


# -- out ------------------------------------------------------------------------------------------

USAGE = Usage(1, 2)
USAGE_FIELDS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def _writer(*, usage: bool = False) -> openai.Writer:
    wish = Wish(model="écho", turns=(), stream=True, include_usage=usage, ignored=())
    return openai.Writer('"1"', wish, 1_700_000_000)


def _frames(written: bytes) -> list[Any]:
    """Every frame of a piece of a stream: its JSON, `[DONE]` as it stands."""
    assert written.endswith(b"\n\n")
    texts = written.decode().removesuffix("\n\n").split("\n\n")
    return [
        text if text == "data: [DONE]" else json.loads(text.removeprefix("data: "))
        for text in texts
    ]


EVENTS = st.one_of(
    st.builds(TextDelta, st.text()),
    st.builds(ReasoningDelta, st.text()),
    st.builds(Image, st.text()),
    st.builds(Citation, st.text(), st.text()),
)


@given(EVENTS, st.booleans())
def test_every_event_is_one_true_chunk(event: Event, usage: bool) -> None:
    """Valid JSON on one line, complete by the client's strict reading, with explicit nulls."""
    writer = _writer(usage=usage)
    writer.first()
    written = writer.event(event)
    assert written.startswith(b"data: ")
    assert written.count(b"\n") == 2
    (frame,) = _frames(written)
    chunk = ChatCompletionChunk.model_validate(frame, strict=True)
    assert frame["choices"][0]["finish_reason"] is None
    assert ("usage" in frame) is usage
    assert frame.get("usage") is None
    delta = chunk.choices[0].delta
    if isinstance(event, ReasoningDelta):
        assert delta.model_extra == {"reasoning_content": event.text}
    elif isinstance(event, TextDelta):
        assert delta.content == event.text


@pytest.mark.parametrize("usage", [False, True])
def test_the_frame_of_a_stream(usage: bool) -> None:
    """A role first; a reason last; the numbers in a chunk of their own; then the end."""
    writer = _writer(usage=usage)
    (first,) = _frames(writer.first())
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    ]
    last, *more, done = _frames(writer.event(Finish("length")) + writer.end(USAGE))
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    assert done == "data: [DONE]"
    assert ("usage" in last, last.get("usage")) == (usage, None)
    assert [(chunk["choices"], chunk["usage"]) for chunk in more] == [([], USAGE_FIELDS)] * usage
    for frame in (first, last, *more):
        chunk = ChatCompletionChunk.model_validate(frame, strict=True)
        assert (chunk.id, chunk.model, chunk.created) == ('chatcmpl-"1"', "écho", 1_700_000_000)


def test_a_heartbeat_is_a_comment() -> None:
    """A line that every reader of event streams skips."""
    assert _writer().event(Heartbeat()) == b": the site is at work\n\n"


def test_a_whole_answer() -> None:
    """All that the specification requires, null where it is null."""
    side = Side(0)
    for event in (ReasoningDelta("hm"), TextDelta("thr"), TextDelta("ée"), Finish("stop")):
        side.take(event)
    body = json.loads(_writer().whole([side], USAGE))
    completion = ChatCompletion.model_validate(body, strict=True)
    assert completion.choices[0].message.content == "thrée"
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": "thrée",
        "refusal": None,
        "reasoning_content": "hm",
    }
    assert body["usage"] == USAGE_FIELDS
    (silent,) = json.loads(_writer().whole([Side(0)], USAGE))["choices"]
    assert "reasoning_content" not in silent["message"]


ANSWERS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(), st.integers(0, 1)),
        st.builds(Image, st.sampled_from(["http://a/", "data:,"]), st.integers(0, 1)),
        st.builds(Citation, st.sampled_from(["http://a/", "b"]), st.text(), st.integers(0, 1)),
    )
)


@given(ANSWERS)
def test_sources_are_annotations(events: list[TextDelta | Image | Citation]) -> None:
    """Each points at its link in the text of its own side; a stream tells what a whole does."""
    writer = _writer()
    sides = [Side(0, reason="stop"), Side(1, reason="stop")]
    texts, told = ["", ""], [list[Any](), list[Any]()]
    for event in events:
        sides[event.side].take(event)
        for frame in _frames(writer.event(event)):
            delta = frame["choices"][0]["delta"]
            texts[event.side] += delta["content"]
            for each in delta.get("annotations", []):
                assert each.pop("index") == len(told[event.side])
                told[event.side].append(each)
    body = json.loads(_writer().whole(sides, USAGE))
    whole = ChatCompletion.model_validate(body, strict=True)
    for side, choice in enumerate(whole.choices):
        assert choice.message.content == texts[side]
        assert body["choices"][side]["message"].get("annotations", []) == told[side]
        cited = [each for each in events if isinstance(each, Citation) and each.side == side]
        found = [each.url_citation for each in choice.message.annotations or []]
        assert [each.url for each in found] == [each.url for each in cited]
        links = [texts[side][each.start_index : each.end_index] for each in found]
        assert links == [f"[{each.title}]({each.url})" for each in found]


def test_two_answers_are_two_choices() -> None:
    """Each has its role before all else, its own pieces and its own reason; then one end."""
    writer = _writer()
    events = (TextDelta("a"), TextDelta("b", 1), ReasoningDelta("c", 1), Finish("length", 1))
    written = writer.first() + b"".join(map(writer.event, (*events, Finish("stop"))))
    *chunks, done = _frames(written + writer.end(USAGE))
    choices = [ChatCompletionChunk.model_validate(each, strict=True).choices for each in chunks]
    assert [[(one.index, one.finish_reason) for one in each] for each in choices] == [
        [(index, reason)]
        for index, reason in (
            *((0, None), (0, None), (1, None), (1, None), (1, None)),
            *((1, "length"), (0, "stop")),
        )
    ]
    assert [choices[place][0].delta.role for place in (0, 2)] == ["assistant"] * 2
    assert done == "data: [DONE]"


FAILED = SideFailed(failure_of(UpstreamFailed("the model failed")), 1)
FAILED_FIELDS = {
    "message": "the model failed",
    "type": "server_error",
    "param": None,
    "code": "upstream_error",
}


def test_a_failed_side_is_told_as_one() -> None:
    """With an error of its own, and a reason that nobody takes for a whole answer."""
    writer = _writer()
    writer.first()
    role, failed = _frames(writer.event(FAILED))
    assert role["choices"][0]["delta"]["role"] == "assistant"
    (choice,) = failed["choices"]
    assert choice == {"index": 1, "delta": {}, "finish_reason": "error", "error": FAILED_FIELDS}
    one, other = Side(0), Side(1)
    one.take(Finish("stop"))
    other.take(TextDelta("ha", 1))
    other.take(FAILED)
    body = json.loads(_writer().whole([one, other], USAGE))
    assert [(each["index"], each["finish_reason"]) for each in body["choices"]] == [
        (0, "stop"),
        (1, "error"),
    ]
    assert body["choices"][1]["error"] == FAILED_FIELDS
    assert body["choices"][1]["message"]["content"] == "ha"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_errors_have_four_fields(kind: str) -> None:
    """All four are required, null where there is nothing to say."""
    error: RequestError = KINDS[kind]("what", param="model")
    (frame,) = _frames(_writer().failed(error))
    status, body = openai.refusal(error)
    assert (status, json.loads(body)) == (error.http_status, frame)
    assert frame["error"] == {
        "message": "what",
        "type": error.error_type,
        "param": "model",
        "code": error.code,
    }


def test_a_model_is_listed_as_theirs() -> None:
    """The four fields of the client's own type."""
    listed = openai.model_object(Model(id="echo"), 5)
    assert TheirModel.model_validate(listed, strict=True).owned_by == "arenad"
    assert (listed["capabilities"], listed["modes"]) == (("text",), ("direct",))
    assert openai.model_object(Model(id="echo", owner="me"), 5)["owned_by"] == "me"


def test_a_client_may_choose_how_a_conversation_goes_on() -> None:
    """By a field of ours; anything else in it is told."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert openai.parse(msgspec.json.encode(body)).strategy == ""
    assert openai.parse(msgspec.json.encode(body | {"conversation": "fold"})).strategy == "fold"
    with pytest.raises(InvalidRequest, match="conversation: is 'c1'; must be affinity or fold"):
        openai.parse(msgspec.json.encode(body | {"conversation": "c1"}))


def test_several_answers_are_of_new_chats() -> None:
    """One conversation cannot go on with two answers."""
    wish = openai.parse(_body(n=3))
    assert (wish.n, wish.strategy) == (3, "fold")
    wish = openai.parse(_body(n=1, conversation="affinity"))
    assert (wish.n, wish.strategy) == (1, "affinity")
    with pytest.raises(InvalidRequest) as told:
        openai.parse(_body(n=2, conversation="affinity"))
    assert told.value.message == (
        "n: is 2, and a conversation goes on with one answer; ask for 1, or fold it"
    )


def test_a_target_is_taken_or_named() -> None:
    """A field of our own, which is not among those that change nothing."""
    wish = openai.parse(_body(model="battle", battle_target="B"))
    assert (wish.battle_target, wish.ignored) == ("B", ())
    with pytest.raises(InvalidRequest) as told:
        openai.parse(_body(battle_target="a"))
    assert told.value.message == "battle_target: is 'a'; must be A, B or both"
    assert told.value.param == "battle_target"
