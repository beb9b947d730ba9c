"""Chats as a client program has them: the real `openai` package, several at a time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import openai
from openai.types.chat import ChatCompletionUserMessageParam


def client(base_url: str, **options: Any) -> openai.AsyncOpenAI:
    """A client that does not retry by itself: what fails must be seen."""
    return openai.AsyncOpenAI(
        base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=90, **options
    )


def said(text: str) -> list[ChatCompletionUserMessageParam]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


async def streamed(base_url: str, model: str, text: str) -> str:
    """The whole text of a streamed answer; an answer without a finish reason is an error."""
    async with client(base_url) as each:
        stream = await each.chat.completions.create(model=model, messages=said(text), stream=True)
        pieces: list[str] = []
        reason = None
        async for chunk in stream:
            pieces.append(chunk.choices[0].delta.content or "")
            reason = chunk.choices[0].finish_reason or reason
        assert reason == "stop"
        return "".join(pieces)


async def whole(base_url: str, model: str, text: str) -> str:
    """The text of an answer that came in one piece."""
    async with client(base_url) as each:
        answer = await each.chat.completions.create(model=model, messages=said(text))
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content or ""


async def all_streamed(base_url: str, model: str, texts: Sequence[str]) -> list[str]:
    """Several answers at the same time."""
    return list(await asyncio.gather(*(streamed(base_url, model, text) for text in texts)))
