"""Anthropic's own client for Python, with what its documentation shows."""

import os
from typing import Any

import anthropic
import pytest

URL = os.environ["ARENAD_URL"]
ECHO, OBEDIENT = "demo-echo", os.environ["OBEDIENT_MODEL"]
TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"\n\n```python\nprint(1)\n```\nand event: message_stop'
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ADD: Any = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
ASK_ADD = "What is 3 plus 4? Use the tool add."


@pytest.fixture
def client() -> anthropic.Anthropic:
    """A client that tries once."""
    return anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0, timeout=90)


def user(content: Any) -> Any:
    """A conversation of one message."""
    return [{"role": "user", "content": content}]


def text_of(message: anthropic.types.Message) -> str:
    """Its text blocks."""
    return "".join(block.text for block in message.content if block.type == "text")


def test_models(client: anthropic.Anthropic) -> None:
    """List them, and ask for one by its id."""
    listed = list(client.models.list())
    assert ECHO in [model.id for model in listed]
    assert all(model.type == "model" and model.display_name for model in listed)
    assert client.models.retrieve(ECHO).display_name


def test_message(client: anthropic.Anthropic) -> None:
    """An answer, its reason, its counts."""
    message = client.messages.create(model=ECHO, max_tokens=1000, messages=user(TEXT))
    assert text_of(message) == TEXT
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    assert message._request_id  # noqa: SLF001 - documented as public


def test_message_streamed(client: anthropic.Anthropic) -> None:
    """The helper's texts, and the message they make."""
    with client.messages.stream(model=ECHO, max_tokens=1000, messages=user(TEXT)) as stream:
        texts = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(texts) == text_of(message) == TEXT
    assert len(texts) > 1
    assert message.stop_reason == "end_turn"


def test_message_events(client: anthropic.Anthropic) -> None:
    """The raw events, in their order."""
    stream = client.messages.create(model=ECHO, max_tokens=99, messages=user("hi"), stream=True)
    kinds = [event.type for event in stream if event.type != "ping"]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.asyncio
async def test_message_async() -> None:
    """The asynchronous client."""
    async with anthropic.AsyncAnthropic(base_url=URL, api_key="none", max_retries=0) as each:
        message = await each.messages.create(model=ECHO, max_tokens=99, messages=user("hi"))
    assert text_of(message) == "hi"


def test_system_and_history(client: anthropic.Anthropic) -> None:
    """All that was said reaches the page."""
    said: Any = [
        {"role": "user", "content": "first question"},
        {"role": "assistant", "content": "first answer"},
        {"role": "user", "content": [{"type": "text", "text": "second question"}]},
    ]
    message = client.messages.create(model=ECHO, max_tokens=1000, system="be brief", messages=said)
    told = text_of(message)
    assert all(
        each in told for each in ("be brief", "first question", "first answer", "second question")
    )


def test_conversation(client: anthropic.Anthropic) -> None:
    """The blocks of an answer are sent back as they came, and the chat goes on."""
    said = user("one")
    first = client.messages.create(model=ECHO, max_tokens=99, messages=said)
    said += [{"role": "assistant", "content": first.content}, *user("two")]
    raw = client.messages.with_raw_response.create(model=ECHO, max_tokens=99, messages=said)
    assert raw.headers["x-arenad-conversation"] == "continued"


def test_image_in(client: anthropic.Anthropic) -> None:
    """A picture in base64 goes through the page's upload."""
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "see"}]
    message = client.messages.create(model="demo-files", max_tokens=999, messages=user(content))
    assert "image/png" in text_of(message)


def test_thinking(client: anthropic.Anthropic) -> None:
    """Shown reasoning comes as blocks, streamed and whole."""
    ask: Any = {
        "model": "demo-reasoning",
        "max_tokens": 2000,
        "messages": user("hi"),
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    message = client.messages.create(**ask)
    assert [block.type for block in message.content] == ["thinking", "text"]
    with client.messages.stream(**ask) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "text"]


def test_sampling_fields_are_taken(client: anthropic.Anthropic) -> None:
    """What a page has no switch for is no error."""
    message = client.messages.create(
        model=ECHO, max_tokens=99, messages=user("hi"), metadata={"user_id": "me"},
        extra_body={"temperature": 0.1, "top_k": 3, "top_p": 0.4},
    )  # fmt: skip
    assert text_of(message) == "hi"


def test_stop_sequences(client: anthropic.Anthropic) -> None:
    """The answer ends before one, and says which."""
    message = client.messages.create(
        model=ECHO, max_tokens=99, messages=user("one two three"), stop_sequences=["three"]
    )
    assert text_of(message) == "one two "
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "three")


def test_max_tokens(client: anthropic.Anthropic) -> None:
    """The answer ends after so many tokens, and says so."""
    message = client.messages.create(model=ECHO, max_tokens=10, messages=user("word " * 60))
    assert message.stop_reason == "max_tokens"
    assert 0 < len(text_of(message)) < 200


def test_tool_use(client: anthropic.Anthropic) -> None:
    """A call with its input; its result is taken, and answered."""
    said = user(ASK_ADD)
    ask: Any = {"model": OBEDIENT, "max_tokens": 999, "tools": [ADD]}
    message = client.messages.create(**ask, messages=said)
    assert message.stop_reason == "tool_use"
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("add", {"a": 3, "b": 4})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "7"}
    said += [{"role": "assistant", "content": message.content}, *user([result])]
    assert text_of(client.messages.create(**ask, messages=said))


def test_tool_use_streamed(client: anthropic.Anthropic) -> None:
    """The helper gathers the input's pieces."""
    with client.messages.stream(
        model=OBEDIENT, max_tokens=999, tools=[ADD], messages=user(ASK_ADD)
    ) as stream:
        message = stream.get_final_message()
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("add", {"a": 3, "b": 4})


def test_tool_runner(client: anthropic.Anthropic) -> None:
    """The client's own loop: asks, runs the function, asks again."""

    @anthropic.beta_tool
    def add(a: int, b: int) -> str:
        """Adds two numbers.

        Args:
            a: One.
            b: The other.
        """
        return str(a + b)

    runner = client.beta.messages.tool_runner(
        model=OBEDIENT, max_tokens=999, tools=[add], messages=user(ASK_ADD)
    )
    messages = list(runner)
    assert [message.stop_reason for message in messages] == ["tool_use", "end_turn"]
    first, second = [message.usage.input_tokens for message in messages]
    assert second > first, "the second request has lost what was said before"


def test_count_tokens(client: anthropic.Anthropic) -> None:
    """How many tokens a message is."""
    counted = client.messages.count_tokens(model=ECHO, messages=user("word " * 100))
    assert 50 < counted.input_tokens < 300


def test_errors(client: anthropic.Anthropic) -> None:
    """Each has the client's own class and type."""
    with pytest.raises(anthropic.NotFoundError) as told:
        client.messages.create(model="claude-none", max_tokens=9, messages=user("hi"))
    assert told.value.type == "not_found_error"
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model=ECHO, max_tokens=9, messages=[])


def test_error_in_mid_stream(client: anthropic.Anthropic) -> None:
    """A cut answer is never a whole one."""
    prompt = "word " * 100 + "[[demo:cut=200]]"
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=ECHO, max_tokens=9999, messages=user(prompt)) as stream,
    ):
        stream.get_final_message()
