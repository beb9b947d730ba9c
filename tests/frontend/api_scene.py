"""One worker behind one endpoint, and clients of it: what the tests of the endpoint stand on."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
from scripted import Stage, Story, Wire, Worker, api_serving, as_test, stage

from arenad.frontend.api import Api
from arenad.schema.config import ApiConfig, ChatConfig, QueueConfig

Address = tuple[str, int]
HELLO: Any = [{"role": "user", "content": "hello"}]
CHAT = "POST /v1/chat/completions HTTP/1.1"


class Scene:
    """One worker, one endpoint."""

    def __init__(self, stage_: Stage, worker: Worker, api: Api, address: Address) -> None:
        self.stage = stage_
        self.worker = worker
        self.api = api
        self.address = address

    def count(self, outcome: str) -> int:
        return self.stage.dispatch.counts[outcome]

    async def wire(self, **fields: Any) -> Wire:
        """A connection on which a chat was sent."""
        wire = await Wire.to(self.address)
        chat(wire, **fields)
        return wire


def chat(wire: Wire, origin: str = "", **fields: Any) -> None:
    asks = {"Origin": origin} if origin else {}
    body = json.dumps({"model": "echo", "messages": HELLO} | fields).encode()
    wire.send(CHAT, body, Host="127.0.0.1", Content_Type="application/json", **asks)


@asynccontextmanager
async def scene(
    folder: Path,
    chat_: ChatConfig | None = None,
    queue: QueueConfig | None = None,
    limits: ApiConfig | None = None,
) -> AsyncIterator[Scene]:
    async with stage(folder, queue, chat_) as made:
        worker = await made.worker("w1")
        await made.enlist(worker)
        async with api_serving(made, limits=limits) as (api, address):
            yield Scene(made, worker, api, address)


@asynccontextmanager
async def client(address: Address) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=f"http://{address[0]}:{address[1]}/v1",
        api_key="none",
        max_retries=0,
        http_client=http,
    ) as made:
        yield made


def frames(body: bytes) -> list[Any]:
    """The data of each event; comments are left out."""
    lines = [line for line in body.decode().split("\n") if line.startswith("data: ")]
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


def served(
    chat: ChatConfig | None = None,
    queue: QueueConfig | None = None,
    limits: ApiConfig | None = None,
) -> Callable[[Story], Callable[..., None]]:
    """Make a test of a story with an endpoint of its own; see `scripted.as_test`."""

    @asynccontextmanager
    async def setting(folder: Path) -> AsyncIterator[tuple[Scene]]:
        async with scene(folder, chat, queue, limits) as at:
            yield (at,)

    return as_test(setting)
