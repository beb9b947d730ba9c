"""The other transports over real HTTP and real WebSockets."""

import asyncio
import json
from itertools import cycle
from typing import Any

import aiohttp
import pytest
from serving import arena

from arenad.demo import models
from arenad.demo.other import talks

DEADLINE_S = 20.0
LONG = models.long_text(50_000, 3)


def _wish(model: str = "demo-long", prompt: str = "50000 3") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}]}


def _posted(wish: dict[str, Any]) -> bytes:
    return json.dumps(wish).encode()


async def _stats_become(client: aiohttp.ClientSession, **wanted: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with client.get("/demo/stats") as response:
                told = await response.json()
            if wanted.items() <= told.items():
                return


async def _asked(client: aiohttp.ClientSession, wish: dict[str, Any]) -> str:
    async with client.post("/other/eventsource/questions", data=_posted(wish)) as response:
        assert response.status == 201
        return (await response.json())["id"]


def test_events_bring_the_answer_once() -> None:
    """Named events with JSON strings; the same address answers no second time."""

    async def story() -> None:
        async with arena() as client:
            address = f"/other/eventsource/answers/{await _asked(client, _wish())}"
            async with client.get(address) as response:
                assert response.content_type == "text/event-stream"
                blocks = (await response.text()).removesuffix("\n\n").split("\n\n")
            events = [block.split("\ndata: ") for block in blocks]
            said = "".join(json.loads(value) for name, value in events if name == "event: message")
            assert said == LONG
            assert events[-1] == ["event: end", '"stop"']
            async with client.get(address) as response:
                assert response.status == 404
            await _stats_become(client, running=0, finished=1)

    asyncio.run(story())


def test_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that nobody came back for is forgotten."""
    monkeypatch.setattr(talks, "PENDING_LIMIT", 1)

    async def story() -> None:
        async with arena() as client:
            first, second = [await _asked(client, _wish("demo-echo", "x")) for _ in range(2)]
            async with client.get(f"/other/eventsource/answers/{first}") as response:
                assert response.status == 404
            async with client.get(f"/other/eventsource/answers/{second}") as response:
                assert response.status == 200

    asyncio.run(story())


def test_chunks_bring_the_answer() -> None:
    """As an OpenAI client reads them."""

    async def story() -> None:
        async with (
            arena() as client,
            client.post("/other/sse/chat/completions", data=_posted(_wish())) as response,
        ):
            values = (await response.text()).removesuffix("\n\n").split("\n\n")
        *chunks, last = [value.removeprefix("data: ") for value in values]
        choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
        assert "".join(choice["delta"].get("content", "") for choice in choices) == LONG
        assert (choices[-1]["finish_reason"], last) == ("stop", "[DONE]")

    asyncio.run(story())


def test_lines_bring_the_answer() -> None:
    """One JSON object to a line, the last one done."""

    async def story() -> None:
        async with (
            arena() as client,
            client.post("/other/jsonl/chat", data=_posted(_wish())) as response,
        ):
            assert response.content_type == "application/x-ndjson"
            lines = [json.loads(line) for line in (await response.text()).splitlines()]
        assert "".join(line["message"]["content"] for line in lines) == LONG
        assert [line["done"] for line in lines[-2:]] == [False, True]

    asyncio.run(story())


@pytest.mark.parametrize("path", ["sse/chat/completions", "jsonl/chat", "eventsource/questions"])
def test_refusals_are_json(path: str) -> None:
    """An unknown model and a broken body are told before anything is streamed."""

    async def story() -> None:
        async with arena() as client:
            for body in (_posted(_wish("demo-nobody")), b"{"):
                async with client.post(f"/other/{path}", data=body) as response:
                    assert response.status == 400
                    assert "error" in await response.json()

    asyncio.run(story())


def test_a_reader_that_leaves_ends_the_answer() -> None:
    """A closed connection is noticed while the model rests."""

    async def story() -> None:
        async with arena(chunks_per_s=0.01) as client:
            body = _posted(_wish("demo-echo", "one two"))
            response = await client.post("/other/jsonl/chat", data=body)
            await response.content.readline()
            await _stats_become(client, running=1)
            response.close()
            await _stats_become(client, running=0, left=1)

    asyncio.run(story())


async def _read_to_the_end(socket: aiohttp.ClientWebSocketResponse, key: bytes) -> tuple[str, str]:
    """The text and the end of one answer; with a key, of masked frames."""
    said = ""
    async with asyncio.timeout(DEADLINE_S):
        async for message in socket:
            if key:
                pairs = zip(message.data, cycle(key), strict=False)
                plain = bytes(a ^ b for a, b in pairs).decode()
                kind, text = {"t": "text", "e": "end", "f": "error"}[plain[0]], plain[1:]
            else:
                frame = json.loads(message.data)
                kind, text = frame["type"], frame.get("text", "")
            if kind != "text":
                return said, kind
            said += text
    raise AssertionError("the socket closed")


@pytest.mark.parametrize("page", ["websocket", "dom"])
def test_a_socket_carries_a_talk(page: str) -> None:
    """Answers, a stop, a refusal and an answer again, all on one connection."""

    async def story() -> None:
        async with (
            arena(chunks_per_s=1000.0) as client,
            client.ws_connect(f"/other/{page}/talk") as socket,
        ):
            key = await socket.receive_bytes() if page == "dom" else b""
            await socket.send_json({"type": "ask", "wish": _wish()})
            assert await _read_to_the_end(socket, key) == (LONG, "end")
            await socket.send_json({"type": "ask", "wish": _wish("demo-slow-start", "never")})
            await _stats_become(client, running=1)
            await socket.send_json({"type": "ask", "wish": _wish()})
            assert await _read_to_the_end(socket, key) == ("", "error")
            await socket.send_json({"type": "stop"})
            assert await _read_to_the_end(socket, key) == ("", "end")
            await _stats_become(client, running=0, stopped=1, finished=1)
            await socket.send_json({"type": "ask", "wish": _wish("demo-echo", "again")})
            assert await _read_to_the_end(socket, key) == ("again", "end")

    asyncio.run(story())


def test_a_socket_that_closes_ends_the_answer() -> None:
    """The page left: so does the answer."""

    async def story() -> None:
        async with arena() as client:
            async with client.ws_connect("/other/websocket/talk") as socket:
                await socket.send_json({"type": "ask", "wish": _wish("demo-slow-start", "never")})
                await _stats_become(client, running=1)
            await _stats_become(client, running=0, left=1)

    asyncio.run(story())


def test_unknown_pages_and_parts_are_404() -> None:
    """And what is there has its own content policy."""

    async def story() -> None:
        async with arena() as client:
            for path in ("/other/fax", "/other/parts/nothing.js"):
                async with client.get(path) as response:
                    assert response.status == 404
            async with client.get("/other/dom") as response:
                assert "require-trusted-types-for" in response.headers["Content-Security-Policy"]
            async with client.get("/other/parts/talk.js") as response:
                assert response.content_type == "text/javascript"

    asyncio.run(story())


async def _raw(client: aiohttp.ClientSession, page: str, prompt: str) -> tuple[bytes, bool]:
    """What came of an answer, and whether its body had an end."""
    wish = _wish("demo-echo", prompt)
    if page == "eventsource":
        asking = client.get(f"/other/eventsource/answers/{await _asked(client, wish)}")
    else:
        path = {"sse": "sse/chat/completions", "jsonl": "jsonl/chat"}[page]
        asking = client.post(f"/other/{path}", data=_posted(wish))
    got = b""
    async with asking as response:
        try:
            async for piece in response.content.iter_any():
                got += piece
        except aiohttp.ClientPayloadError:
            return got, False
    return got, True


@pytest.mark.parametrize("page", ["eventsource", "sse", "jsonl"])
def test_a_marker_asks_for_faults_here_too(page: str) -> None:
    """Cut at its byte, split without a change, failing after the first piece."""

    async def story() -> None:
        async with arena() as client:
            cut, ended = await _raw(client, page, "one two [[demo:cut=20]]")
            assert (len(cut), ended) == (20, False)
            whole, _ = await _raw(client, page, "one two")
            split, _ = await _raw(client, page, "one two [[demo:split=1, slow-start=0]]")
            assert (b"one " in whole, len(split)) == (True, len(whole))
            failed, ended = await _raw(client, page, "one two [[demo:model-error]]")
            assert (b"overloaded" in failed, b"two" in failed, ended) == (True, False, True)

    asyncio.run(story())


def test_a_fault_that_is_none_here_is_told() -> None:
    """Over HTTP with 400, over a socket with an error frame; then the socket goes on."""

    async def story() -> None:
        async with arena() as client:
            wish = _wish("demo-echo", "x [[demo:direct-battle]]")
            async with client.post("/other/jsonl/chat", data=_posted(wish)) as response:
                assert response.status == 400
                assert "this page has cut" in await response.text()
            async with client.ws_connect("/other/websocket/talk") as socket:
                await socket.send_json({"type": "ask", "wish": wish})
                assert await _read_to_the_end(socket, b"") == ("", "error")
                failing = _wish("demo-echo", "one two [[demo:model-error]]")
                await socket.send_json({"type": "ask", "wish": failing})
                assert await _read_to_the_end(socket, b"") == ("one ", "error")

    asyncio.run(story())
