"""OpenAI's own client for Python, with what its documentation shows."""

import os
import time
from typing import Any

import openai
import pytest
from pydantic import BaseModel

URL = os.environ["ARENAD_URL"] + "/v1"
ECHO, OBEDIENT = "demo-echo", os.environ["OBEDIENT_MODEL"]
TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"\n\n```python\nprint(1)\n```\nand data: [DONE]'
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
ASK_ADD = "What is 3 plus 4? Use the tool add."


@pytest.fixture
def client() -> openai.OpenAI:
    """A client that tries once."""
    return openai.OpenAI(base_url=URL, api_key="none", max_retries=0, timeout=90)


def user(text: Any) -> Any:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def test_models(client: openai.OpenAI) -> None:
    """List them, and ask for one by its id."""
    listed = [model.id for model in client.models.list()]
    assert ECHO in listed
    assert client.models.retrieve(ECHO).object == "model"


def test_chat(client: openai.OpenAI) -> None:
    """An answer, its reason, its counts, its request id."""
    answer = client.chat.completions.create(model=ECHO, messages=user(TEXT))
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    usage = answer.usage
    assert usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert answer._request_id  # noqa: SLF001 - documented as public


def test_chat_streamed(client: openai.OpenAI) -> None:
    """In several chunks; the same text."""
    with client.chat.completions.create(model=ECHO, messages=user(TEXT), stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert len(chunks) > 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_chat_streamed_with_usage(client: openai.OpenAI) -> None:
    """One chunk more, without choices."""
    stream = client.chat.completions.create(
        model=ECHO, messages=user("hi"), stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert not last.choices
    assert last.usage
    assert all(chunk.usage is None for chunk in chunks)


def test_chat_stream_helper(client: openai.OpenAI) -> None:
    """`chat.completions.stream` gathers the events to an answer."""
    with client.chat.completions.stream(model=ECHO, messages=user(TEXT)) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert answer.choices[0].message.content == TEXT


@pytest.mark.asyncio
async def test_chat_async() -> None:
    """The asynchronous client, whole and streamed."""
    async with openai.AsyncOpenAI(base_url=URL, api_key="none", max_retries=0) as each:
        answer = await each.chat.completions.create(model=ECHO, messages=user("hi"))
        stream = await each.chat.completions.create(model=ECHO, messages=user("hi"), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert answer.choices[0].message.content == text == "hi"


def test_roles_and_history(client: openai.OpenAI) -> None:
    """All that was said reaches the page."""
    said: Any = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "first question"},
        {"role": "assistant", "content": "first answer"},
        {"role": "user", "content": "second question"},
    ]
    answer = client.chat.completions.create(model=ECHO, messages=said)
    text = answer.choices[0].message.content or ""
    assert all(each["content"] in text for each in said)


def test_conversation(client: openai.OpenAI) -> None:
    """An answer is sent back as it came, and the chat goes on."""
    said: Any = user("one")
    said.append(client.chat.completions.create(model=ECHO, messages=said).choices[0].message)
    said += user("two")
    raw = client.chat.completions.with_raw_response.create(model=ECHO, messages=said)
    assert raw.headers["x-arenad-conversation"] == "continued"
    assert raw.parse().choices[0].message.content == "two"


def test_image_in(client: openai.OpenAI) -> None:
    """A picture as a data URL goes through the page's upload."""
    url = f"data:image/png;base64,{PIXEL}"
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(model="demo-files", messages=user(content))
    assert "image/png" in (answer.choices[0].message.content or "")


def test_file_in(client: openai.OpenAI) -> None:
    """A file by its content and name."""
    data = "data:image/png;base64," + PIXEL
    content = [
        {"type": "text", "text": "see"},
        {"type": "file", "file": {"filename": "dot.png", "file_data": data}},
    ]
    answer = client.chat.completions.create(model="demo-files", messages=user(content))
    assert "dot.png" in (answer.choices[0].message.content or "")


def test_sampling_fields_are_taken(client: openai.OpenAI) -> None:
    """What a page has no switch for is no error."""
    answer = client.chat.completions.create(
        model=ECHO, messages=user("hi"), temperature=0.1, top_p=0.5, seed=7, presence_penalty=1,
        frequency_penalty=1, user="me", reasoning_effort="low", store=False, metadata={"a": "b"},
    )  # fmt: skip
    assert answer.choices[0].message.content == "hi"


def test_stop(client: openai.OpenAI) -> None:
    """The answer ends before a stop sequence, also in mid-stream."""
    ask: Any = {"model": ECHO, "messages": user("one two three four"), "stop": ["three"]}
    answer = client.chat.completions.create(**ask)
    assert answer.choices[0].message.content == "one two "
    chunks = list(client.chat.completions.create(**ask, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two "
    assert chunks[-1].choices[0].finish_reason == answer.choices[0].finish_reason == "stop"


def test_max_tokens(client: openai.OpenAI) -> None:
    """The answer ends after so many tokens, and says so."""
    ask: Any = {"model": ECHO, "messages": user("word " * 60)}
    for name in ("max_tokens", "max_completion_tokens"):
        answer = client.chat.completions.create(**ask, **{name: 10})
        assert answer.choices[0].finish_reason == "length"
        assert 0 < len(answer.choices[0].message.content or "") < 200


def test_several_choices(client: openai.OpenAI) -> None:
    """`n` answers, one choice each."""
    answer = client.chat.completions.create(model=ECHO, messages=user("hi"), n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert [choice.message.content for choice in answer.choices] == ["hi", "hi"]


def test_tool_call(client: openai.OpenAI) -> None:
    """A call with its arguments; its result is taken, and answered."""
    said: Any = user(ASK_ADD)
    answer = client.chat.completions.create(model=OBEDIENT, messages=said, tools=[ADD])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments.replace(" ", "")) == (
        "add",
        '{"a":3,"b":4}',
    )
    said += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "7"}]
    create = client.chat.completions.with_raw_response.create
    raw = create(model=OBEDIENT, messages=said, tools=[ADD])
    assert raw.headers["x-arenad-conversation"] == "continued"
    answer = raw.parse()
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


def test_tool_call_streamed(client: openai.OpenAI) -> None:
    """The helper gathers the deltas to the same call."""
    with client.chat.completions.stream(
        model=OBEDIENT, messages=user(ASK_ADD), tools=[ADD]
    ) as stream:
        for _ in stream:
            pass
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.function.name == "add"
    assert call.function.arguments.replace(" ", "") == '{"a":3,"b":4}'


class Person(BaseModel):
    """What is to be found in a text."""

    name: str
    age: int


ASK_PERSON = "Anna is 41 years old."


def test_json_schema(client: openai.OpenAI) -> None:
    """`parse` gives an object of the wanted class."""
    answer = client.chat.completions.parse(
        model=OBEDIENT, messages=user(ASK_PERSON), response_format=Person
    )
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_json_object(client: openai.OpenAI) -> None:
    """Any JSON object."""
    answer = client.chat.completions.create(
        model=OBEDIENT,
        messages=user("Answer in JSON. " + ASK_PERSON),
        response_format={"type": "json_object"},
    )
    assert (answer.choices[0].message.content or "").lstrip().startswith("{")


def test_logprobs(client: openai.OpenAI) -> None:
    """How likely each token was."""
    answer = client.chat.completions.create(model=ECHO, messages=user("hi"), logprobs=True)
    assert answer.choices[0].logprobs


def test_reasoning(client: openai.OpenAI) -> None:
    """Shown reasoning is a field of its own, as other services have it."""
    answer = client.chat.completions.create(model="demo-reasoning", messages=user("hi"))
    assert answer.choices[0].message.content == "hi"
    assert "characters" in answer.choices[0].message.model_dump()["reasoning_content"]


def test_completion(client: openai.OpenAI) -> None:
    """The legacy call, whole and streamed."""
    assert client.completions.create(model=ECHO, prompt=TEXT).choices[0].text == TEXT
    stream = client.completions.create(model=ECHO, prompt=TEXT, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == TEXT


def test_images(client: openai.OpenAI) -> None:
    """By address, as bytes, and streamed."""
    for more in ({}, {"response_format": "b64_json"}):
        answer = client.images.generate(model="demo-image", prompt="a boat", n=1, **more)
        (drawn,) = answer.data or ()
        told = drawn.b64_json if more else drawn.url
        assert told
    stream = client.images.generate(model="demo-image", prompt="a boat", stream=True)
    (event,) = list(stream)
    assert event.type == "image_generation.completed"
    assert event.b64_json == told


def test_sources(client: openai.OpenAI) -> None:
    """As annotations that point at their links, whole and streamed."""
    ask: Any = {"model": "demo-search", "messages": user("two words")}
    whole = client.chat.completions.create(**ask).choices[0].message
    with client.chat.completions.stream(**ask) as stream:
        streamed = stream.get_final_completion().choices[0].message
    for message in (whole, streamed):
        cited = [each["url_citation"] for each in message.to_dict()["annotations"]]
        text = message.content or ""
        assert len(cited) > 1
        for each in cited:
            link = text[each["start_index"] : each["end_index"]]
            assert link == f"[{each['title']}]({each['url']})"


def test_response(client: openai.OpenAI) -> None:
    """The newer call: text, instructions, counts."""
    answer = client.responses.create(model=ECHO, input=TEXT)
    assert (answer.output_text, answer.status) == (TEXT, "completed")
    answer = client.responses.create(model=ECHO, instructions="be brief", input="hi")
    assert "be brief" in answer.output_text
    assert answer.usage
    assert answer.usage.total_tokens > 0


def test_response_streamed(client: openai.OpenAI) -> None:
    """Its events, gathered by the helper."""
    with client.responses.stream(model=ECHO, input=TEXT) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == TEXT
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.delta") > 1


def test_response_with_image(client: openai.OpenAI) -> None:
    """A picture as an input."""
    url = f"data:image/png;base64,{PIXEL}"
    content: Any = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
    ]
    given: Any = [{"role": "user", "content": content}]
    assert "image/png" in client.responses.create(model="demo-files", input=given).output_text


def test_response_with_tool(client: openai.OpenAI) -> None:
    """A call as an item; its output is taken, and answered."""
    tool: Any = {"type": "function", "strict": False, **ADD["function"]}
    said: Any = user(ASK_ADD)
    answer = client.responses.create(model=OBEDIENT, input=said, tools=[tool])
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert (call.name, call.arguments.replace(" ", "")) == ("add", '{"a":3,"b":4}')
    said += answer.output
    said.append({"type": "function_call_output", "call_id": call.call_id, "output": "7"})
    assert client.responses.create(model=OBEDIENT, input=said, tools=[tool]).output_text


def test_response_parsed(client: openai.OpenAI) -> None:
    """`parse` gives an object of the wanted class."""
    answer = client.responses.parse(model=OBEDIENT, input=ASK_PERSON, text_format=Person)
    assert isinstance(answer.output_parsed, Person)


def test_previous_response(client: openai.OpenAI) -> None:
    """A conversation that the server remembers by an id."""
    first = client.responses.create(model=ECHO, input="one")
    assert client.responses.create(model=ECHO, input="two", previous_response_id=first.id)


def test_errors(client: openai.OpenAI) -> None:
    """Each has the client's own class, its code and its field."""
    with pytest.raises(openai.NotFoundError) as told:
        client.chat.completions.create(model="gpt-none", messages=user("hi"))
    assert (told.value.code, told.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as told:
        client.chat.completions.create(model=ECHO, messages=[])
    assert told.value.param == "messages"
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model=ECHO, messages=user("x" * 500 + "[[demo:cut=100]]"))


def test_error_in_mid_stream(client: openai.OpenAI) -> None:
    """A cut answer is never a whole one."""
    prompt = "word " * 100 + "[[demo:cut=200]]"
    stream = client.chat.completions.create(model=ECHO, messages=user(prompt), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_leaving(client: openai.OpenAI) -> None:
    """A closed stream frees the page for the next one."""
    ask: Any = {"model": ECHO, "stream": True}
    for _ in range(3):
        with client.chat.completions.create(**ask, messages=user("word " * 2000)) as stream:
            next(iter(stream))
    began_s = time.monotonic()
    assert list(client.chat.completions.create(**ask, messages=user("hi")))
    assert time.monotonic() - began_s < 30


def test_time_out() -> None:
    """The client's own deadline."""
    hasty = openai.OpenAI(base_url=URL, api_key="none", max_retries=0, timeout=1.0)
    with pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="demo-slow-start", messages=user("hi"))


def test_embeddings(client: openai.OpenAI) -> None:
    """A text as numbers."""
    assert client.embeddings.create(model=ECHO, input="hi").data


def test_transcription(client: openai.OpenAI) -> None:
    """Speech as text."""
    assert client.audio.transcriptions.create(model=ECHO, file=("a.wav", b"RIFF")).text
