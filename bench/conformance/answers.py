"""Many answers, streamed in each of the vocabularies and held to what was sent."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import official

from bench.answers import Answered, fault
from bench.upstream import Upstream

MODEL = "demo-upstream"
TIMEOUT_S = 180.0
PROGRESS = 100


class Words(NamedTuple):
    """How a vocabulary asks for a prompt, and what of an event is text of the answer."""

    path: str
    body: Callable[[str], Mapping[str, Any]]
    text: Callable[[dict[str, Any]], str]


def _said(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _of_chunk(event: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def _of_completion(event: dict[str, Any]) -> str:
    return "".join(choice["text"] for choice in event["choices"])


def _of_response(event: dict[str, Any]) -> str:
    return event["delta"] if event["type"] == "response.output_text.delta" else ""


def _of_message(event: dict[str, Any]) -> str:
    return event["delta"].get("text", "") if event["type"] == "content_block_delta" else ""


USAGE = {"stream_options": {"include_usage": True}}
VOCABULARIES = (
    Words("/v1/chat/completions", lambda prompt: {"messages": _said(prompt)}, _of_chunk),
    Words("/v1/chat/completions", lambda prompt: {"messages": _said(prompt), **USAGE}, _of_chunk),
    Words("/v1/responses", lambda prompt: {"input": prompt}, _of_response),
    Words(
        "/v1/messages",
        lambda prompt: {"messages": _said(prompt), "max_tokens": 100_000},
        _of_message,
    ),
    Words("/v1/completions", lambda prompt: {"prompt": prompt, **USAGE}, _of_completion),
)
"""Asked in turn."""


async def stream(url: str, upstream: Upstream, count: int, clients: int) -> list[str]:
    """So many answers, several at a time; what differs from what was sent, or did not come."""
    found: list[str] = []
    numbers = iter(range(count))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        await asyncio.gather(
            *(_client(session, url, upstream, numbers, found) for _ in range(clients))
        )
    return found


async def _client(
    session: aiohttp.ClientSession,
    url: str,
    upstream: Upstream,
    numbers: Iterator[int],
    found: list[str],
) -> None:
    for number in numbers:
        if number and number % PROGRESS == 0:
            print(f"  {number} answers", flush=True)
        words = VOCABULARIES[number % len(VOCABULARIES)]
        told = await _ask(session, url, words, f"answer {number}")
        if wrong := fault(told, upstream.text(number)):
            found.append(f"answer {number} of {words.path}: {wrong}")


async def _ask(
    session: aiohttp.ClientSession, url: str, words: Words, prompt: str
) -> Answered | str:
    body = {"model": MODEL, "stream": True, **words.body(prompt)}
    try:
        async with session.post(url + words.path, json=body) as answer:
            raw = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return repr(error)
    if answer.status != 200:
        return raw.decode(errors="replace")[:300]
    events = [json.loads(data) for _, data in official.events_of(raw) if data != official.DONE]
    return Answered("".join(map(words.text, events)), len(events), 0.0, 0.0)
