"""LlamaIndex, by its class for OpenAI-compatible services."""

import os
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"\n\n```python\nprint(1)\n```'
ASK_ADD = "What is 3 plus 4? Use the tool add."
PIXEL = (
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    b"DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def model(name: str = "demo-echo", **more: Any) -> OpenAILike:
    """The class, set up as its documentation says."""
    return OpenAILike(
        model=name,
        api_base=os.environ["ARENAD_URL"] + "/v1",
        api_key="none",
        is_chat_model=True,
        max_retries=0,
        **more,
    )


def obedient() -> OpenAILike:
    """A model that can call functions."""
    return model(os.environ["OBEDIENT_MODEL"], is_function_calling_model=True)


def user(text: str) -> list[ChatMessage]:
    """A conversation of one message."""
    return [ChatMessage(role="user", content=text)]


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


class Person(BaseModel):
    """What is to be found in a text."""

    name: str
    age: int


def test_complete() -> None:
    """A prompt, whole and streamed."""
    assert model().complete(TEXT).text == TEXT
    *_, last = model().stream_complete(TEXT)
    assert last.text == TEXT


def test_chat() -> None:
    """A conversation, whole and streamed."""
    assert model().chat(user(TEXT)).message.content == TEXT
    pieces = list(model().stream_chat(user(TEXT)))
    assert pieces[-1].message.content == TEXT
    assert len(pieces) > 1


@pytest.mark.asyncio
async def test_async() -> None:
    """The same, asynchronously."""
    assert (await model().achat(user("hi"))).message.content == "hi"
    stream = await model().astream_chat(user("hi"))
    assert [piece async for piece in stream][-1].message.content == "hi"


def test_history() -> None:
    """All that was said reaches the page."""
    said = [
        ChatMessage(role="system", content="be brief"),
        *user("one"),
        ChatMessage(role="assistant", content="two"),
        *user("three"),
    ]
    told = model().chat(said).message.content or ""
    assert all(each in told for each in ("be brief", "one", "two", "three"))


def test_image_in() -> None:
    """A picture goes through the page's upload."""
    blocks = [TextBlock(text="see"), ImageBlock(image=PIXEL, image_mimetype="image/png")]
    answer = model("demo-files").chat([ChatMessage(role="user", blocks=blocks)])
    assert "image/png" in (answer.message.content or "")


def test_completion_endpoint() -> None:
    """With `is_chat_model=False` it speaks the legacy words."""
    old = OpenAILike(
        model="demo-echo", api_base=os.environ["ARENAD_URL"] + "/v1", api_key="none",
        is_chat_model=False, max_retries=0,
    )  # fmt: skip
    assert old.complete("hi").text == "hi"


def test_tool_call() -> None:
    """The function is called with what the model says."""
    answer = obedient().predict_and_call([FunctionTool.from_defaults(fn=add)], ASK_ADD)
    assert answer.response == "7"


def test_tool_call_streamed() -> None:
    """The call is gathered from the deltas."""
    llm = obedient()
    tools = [FunctionTool.from_defaults(fn=add)]
    *_, last = llm.stream_chat_with_tools(tools, user_msg=ASK_ADD)
    (call,) = llm.get_tool_calls_from_response(last)
    assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 3, "b": 4})


def test_structured() -> None:
    """A text as an object."""
    prompt = PromptTemplate("{text}")
    found = obedient().structured_predict(Person, prompt, text="Anna is 41 years old.")
    assert isinstance(found, Person)
