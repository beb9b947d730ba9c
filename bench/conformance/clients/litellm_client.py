"""litellm as a client: as an OpenAI-compatible service, and as Anthropic's."""

import os
from typing import Any

import litellm
import pytest
from pydantic import BaseModel

URL = os.environ["ARENAD_URL"]
OBEDIENT = os.environ["OBEDIENT_MODEL"]
TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"\n\n```python\nprint(1)\n```'
ASK_ADD = "What is 3 plus 4? Use the tool add."
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


def ask(text: str, model: str = "demo-echo", **more: Any) -> Any:
    """What each call is given."""
    messages = [{"role": "user", "content": text}]
    where = {"api_base": f"{URL}/v1", "api_key": "none", "num_retries": 0}
    return {"model": f"openai/{model}", "messages": messages, **where, **more}


def test_completion() -> None:
    """Whole: text, reason, counts."""
    answer = litellm.completion(**ask(TEXT))
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens > 0


def test_streamed() -> None:
    """In chunks, and put together again by its own builder."""
    chunks = list(litellm.completion(**ask(TEXT), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    built = litellm.stream_chunk_builder(chunks)
    assert built.choices[0].message.content == TEXT


def test_streamed_usage() -> None:
    """With the counts at the end."""
    options = {"include_usage": True}
    *_, last = litellm.completion(**ask("hi"), stream=True, stream_options=options)
    assert last.usage.total_tokens > 0


@pytest.mark.asyncio
async def test_async() -> None:
    """The asynchronous call, whole and streamed."""
    answer = await litellm.acompletion(**ask("hi"))
    assert answer.choices[0].message.content == "hi"
    stream = await litellm.acompletion(**ask("hi"), stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "hi"


def test_reasoning() -> None:
    """Shown reasoning is a field of its own."""
    answer = litellm.completion(**ask("hi", "demo-reasoning"))
    assert "characters" in answer.choices[0].message.reasoning_content


def test_tool_call() -> None:
    """A call, whole and streamed."""
    given = ask(ASK_ADD, OBEDIENT, tools=[ADD])
    (call,) = litellm.completion(**given).choices[0].message.tool_calls
    built = litellm.stream_chunk_builder(list(litellm.completion(**given, stream=True)))
    (other,) = built.choices[0].message.tool_calls
    for each in (call, other):
        assert each.function.name == "add"
        assert each.function.arguments.replace(" ", "") == '{"a":3,"b":4}'


class Person(BaseModel):
    """What is to be found in a text."""

    name: str
    age: int


def test_json_schema() -> None:
    """The answer is an object of the wanted class."""
    given = ask("Anna is 41 years old.", OBEDIENT, response_format=Person)
    answer = litellm.completion(**given)
    assert Person.model_validate_json(answer.choices[0].message.content)


def test_text_completion() -> None:
    """The legacy call."""
    answer = litellm.text_completion(
        model="text-completion-openai/demo-echo", prompt="hi", api_base=f"{URL}/v1", api_key="none"
    )
    assert answer.choices[0].text == "hi"


def test_responses() -> None:
    """The newer call, whole and streamed."""
    where = {"model": "openai/demo-echo", "api_base": f"{URL}/v1", "api_key": "none"}
    answer = litellm.responses(input="hi", **where)
    assert answer.output[0].content[0].text == "hi"
    kinds = [str(event.type) for event in litellm.responses(input="hi", stream=True, **where)]
    assert kinds[-1].lower().endswith("completed")


def test_as_anthropic() -> None:
    """The words of `/v1/messages`, whole and streamed."""
    where = {"model": "anthropic/demo-echo", "api_base": URL, "max_tokens": 999}
    answer = litellm.completion(**(ask(TEXT) | where))
    assert answer.choices[0].message.content == TEXT
    chunks = list(litellm.completion(**(ask(TEXT) | where), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT


def test_anthropic_tool_call() -> None:
    """A call in those words."""
    where = {"model": f"anthropic/{OBEDIENT}", "api_base": URL, "max_tokens": 999}
    answer = litellm.completion(**(ask(ASK_ADD, tools=[ADD]) | where))
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "add"


def test_errors() -> None:
    """Each has litellm's own class."""
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**ask("hi", "gpt-none"))
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(**(ask("hi") | {"messages": []}))
    with pytest.raises(litellm.exceptions.MidStreamFallbackError, match="was cut"):
        list(litellm.completion(**ask("word " * 100 + "[[demo:cut=200]]"), stream=True))
