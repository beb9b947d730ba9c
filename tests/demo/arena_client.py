"""Bodies of the arena's protocol, and answers taken apart, for stories over real HTTP."""

import asyncio
import json
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from arenad.demo import catalog
from arenad.log import wall_time_s

IDS = {entry.public_name: entry.id for entry in (*catalog.CATALOG, catalog.STEALTH)}
STREAM = "/nextjs-api/stream"
DEADLINE_S = 20.0

Lines = list[tuple[str, Any]]


def uuid7(offset_ms: int = 0) -> str:
    """A UUID of version 7 whose time is off by so much."""
    ms = int(wall_time_s() * 1000) + offset_ms
    chance = uuid4().int & ((1 << 80) - 1)
    number = (ms << 80) | (chance & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62)
    return str(UUID(int=number))


def body(model: str, prompt: str, session: str | None = None, **more: Any) -> dict[str, Any]:
    """A body of form 2; `more` goes over it, and what is `...` there is left out."""
    whole = {
        "id": session or uuid7(),
        "mode": "direct",
        "modelAId": IDS.get(model, model),
        "userMessageId": uuid7(),
        "modelAMessageId": uuid7(),
        "userMessage": {"content": prompt, "experimental_attachments": [], "metadata": {}},
        "modality": "chat",
    } | more
    return {name: value for name, value in whole.items() if value is not ...}


def two_sided(mode: str, prompt: str, a: str = "", b: str = "", **more: Any) -> dict[str, Any]:
    """A body of form 2 for a battle (no models) or side by side."""
    models = {"modelAId": IDS[a], "modelBId": IDS[b]} if a else {"modelAId": ...}
    return body("", prompt, mode=mode, modelBMessageId=uuid7(), **(models | more))


def chain(session: str, *turns: tuple[str, str]) -> list[dict[str, Any]]:
    """The messages of a body of form 1."""
    return [
        {
            "id": uuid7(),
            "role": role,
            "content": content,
            "experimental_attachments": [],
            "parentMessageIds": [],
            "participantPosition": "a",
            "modelId": None,
            "evaluationSessionId": session,
            "status": "pending",
            "failureReason": None,
        }
        for role, content in turns
    ]


def _bytes(wish: dict[str, Any]) -> BytesIO:
    return BytesIO(json.dumps(wish).encode())


def create(client: aiohttp.ClientSession, wish: dict[str, Any], **more: Any) -> Any:
    """The request of a first message, to be awaited or used with `async with`."""
    stream = more.pop("stream", STREAM)
    return client.post(f"{stream}/create-evaluation", data=_bytes(wish), **more)


def follow(client: aiohttp.ClientSession, wish: dict[str, Any], **more: Any) -> Any:
    """The request of a later message."""
    stream = more.pop("stream", STREAM)
    path = f"{stream}/post-to-evaluation/{wish['id']}"
    return client.post(path, data=_bytes(wish), **more)


async def lines(asking: Any) -> Lines:
    """Side, code and value of each line of an answer that has a whole end."""
    async with asking as response:
        text = (await response.read()).decode()
        assert response.status == 200, text
        assert text.endswith("\n")
    return [(line[:2], json.loads(line[3:])) for line in text.splitlines()]


async def raw(asking: Any) -> bytes:
    """The bytes of an answer, as far as they came."""
    async with asking as response:
        assert response.status == 200
        got = b""
        try:
            async for piece in response.content.iter_any():
                got += piece
        except aiohttp.ClientError:
            pass
        return got


async def told(asking: Any) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of what is no stream."""
    async with asking as response:
        return response.status, await response.text(), dict(response.headers)


def said(got: Lines, side: str = "a") -> str:
    """The text of one side."""
    return "".join(value for code, value in got if code == side + "0")


async def switch(client: aiohttp.ClientSession, text: str, times: int | None = None) -> None:
    """Switch faults on for all, in the words of a marker."""
    wish = {"faults": text, "times": times}
    async with client.put("/demo/faults", json=wish) as response:
        assert response.status == 200, await response.text()


async def tally(client: aiohttp.ClientSession) -> dict[str, int]:
    """What the site counted besides answers."""
    async with client.get("/demo/tally") as response:
        return await response.json()


async def stats_become(client: aiohttp.ClientSession, **wanted: int) -> None:
    """Until the site counts so."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with client.get("/demo/stats") as response:
                counted = await response.json()
            if wanted.items() <= counted.items():
                return
