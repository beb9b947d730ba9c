"""The site over real HTTP: chats, streams, stops, leavers, refusals, strangers."""

import asyncio
import json
import re
from io import BytesIO
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from serving import arena

from arenad.demo import catalog, models, protocol, site, voices

IDS = {entry.public_name: entry.id for entry in catalog.CATALOG}
STREAM = site.STREAM_PATH
DEADLINE_S = 20.0


def _body(model: str, prompt: str, session: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": session or str(uuid4()),
        "mode": "direct",
        "modelAId": IDS.get(model, model),
        "userMessageId": str(uuid4()),
        "modelAMessageId": str(uuid4()),
        "userMessage": {"content": prompt, "experimental_attachments": [], "metadata": {}},
        "modality": "chat",
    } | more


def _create(client: aiohttp.ClientSession, body: dict[str, Any]) -> Any:
    return client.post(f"{STREAM}/create-evaluation", data=BytesIO(json.dumps(body).encode()))


async def _lines(response: aiohttp.ClientResponse) -> list[tuple[str, Any]]:
    assert response.status == 200, await response.text()
    assert response.content_type == "text/event-stream"
    text = (await response.read()).decode()
    assert text.endswith("\n")
    return [(line[:2], json.loads(line[3:])) for line in text.splitlines()]


def _said(lines: list[tuple[str, Any]]) -> str:
    return "".join(value for code, value in lines if code == "a0")


async def _stats_become(client: aiohttp.ClientSession, **wanted: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with client.get("/demo/stats") as response:
                told = await response.json()
            if wanted.items() <= told.items():
                return


def test_create_streams_the_whole_grammar() -> None:
    """First the message's id, then the text, then the end with usage."""

    async def story() -> None:
        async with arena() as client:
            body = _body("demo-echo", "one two\nthrée 👩‍💻")
            async with _create(client, body) as response:
                lines = await _lines(response)
            assert lines[0] == ("af", {"messageId": body["modelAMessageId"]})
            assert [value for code, value in lines if code == "a0"] == [
                "one ",
                "two\n",
                "thrée ",
                "👩‍💻",
            ]
            assert lines[-1] == (
                "ad",
                {"finishReason": "stop", "usage": {"promptTokens": 7, "completionTokens": 7}},
            )
            await _stats_become(client, running=0, started=1, finished=1, stopped=0, left=0)

    asyncio.run(story())


def test_follow_up_and_history() -> None:
    """The site keeps the talk: the next answer knows it, and the page can read it."""

    async def story() -> None:
        async with arena() as client:
            first = _body("demo-eliza", "My name is Ada.")
            async with _create(client, first) as response:
                await _lines(response)
            second = _body("demo-eliza", "What is my name?", first["id"])
            del second["mode"]
            path = f"{STREAM}/post-to-evaluation/{first['id']}"
            async with client.post(path, data=json.dumps(second)) as response:
                assert "Ada" in _said(await _lines(response))
            async with client.get(f"/api/evaluation/{first['id']}") as response:
                told = await response.json()
            assert [message["role"] for message in told["messages"]] == ["user", "assistant"] * 2
            assert {message["status"] for message in told["messages"]} == {"success"}

    asyncio.run(story())


def test_old_form_injects_the_chain() -> None:
    """With the whole chain in the body, the model hears turns the site never saw."""

    async def story() -> None:
        async with arena() as client:
            body = _body("demo-eliza", "")
            turns = [("user", "My name is Grace."), ("assistant", "Hello."), ("user", "Who am I?")]
            body["messages"] = [
                {"id": str(uuid4()), "role": role, "content": content, "status": "success"}
                for role, content in [*turns, ("assistant", "")]
            ]
            del body["userMessage"]
            async with _create(client, body) as response:
                assert "Grace" in _said(await _lines(response))

    asyncio.run(story())


def test_retry_answers_anew() -> None:
    """A PUT regenerates the answer in its place, with another model if one is named."""

    async def story() -> None:
        async with arena() as client:
            body = _body("demo-echo", "again")
            async with _create(client, body) as response:
                await _lines(response)
            path = (
                f"{STREAM}/retry-evaluation-session-message/{body['id']}"
                f"/messages/{body['modelAMessageId']}"
            )
            async with client.put(path, data="{}") as response:
                lines = await _lines(response)
            assert lines[0] == ("af", {"messageId": body["modelAMessageId"]})
            assert _said(lines) == "again"
            wish = json.dumps({"modelId": IDS["demo-long"]})
            async with client.put(path, data=wish) as response:
                assert _said(await _lines(response)) == models.long_text(20_000, 0)

    asyncio.run(story())


def test_long_answer_arrives_exactly() -> None:
    """A megabyte of hard text comes over the wire as it was computed."""

    async def story() -> None:
        async with arena() as client, _create(client, _body("demo-long", "1000000 3")) as response:
            assert _said(await _lines(response)) == models.long_text(1_000_000, 3)

    asyncio.run(story())


@pytest.mark.parametrize("named_by", ["userMessageId", "modelAMessageId"])
def test_stop_ends_the_stream_in_order(named_by: str) -> None:
    """A stop ends even an answer that has not begun to speak, with a proper last line."""

    async def story() -> None:
        async with arena() as client:
            body = _body("demo-slow-start", "never said")
            async with _create(client, body) as response:
                first = await response.content.readline()
                path = f"{STREAM}/stop/{body['id']}/messages/{body[named_by]}"
                async with client.post(path, data="{}") as stop:
                    assert await stop.json() == {"stopped": True}
                rest = await response.read()
            assert first.startswith(b"af:")
            assert rest.startswith(b'ad:{"finishReason":"stop"')
            await _stats_become(client, running=0, stopped=1, finished=0)
            async with client.post(path, data="{}") as stop:
                assert await stop.json() == {"stopped": False}

    asyncio.run(story())


def test_a_client_that_leaves_stops_the_answer() -> None:
    """Closing the connection in the middle is noticed while the model rests."""

    async def story() -> None:
        async with arena(chunks_per_s=0.01) as client:
            response = await _create(client, _body("demo-echo", "one two"))
            await response.content.readline()
            await _stats_become(client, running=1, left=0)
            response.close()
            await _stats_become(client, running=0, left=1, finished=0)

    asyncio.run(story())


def test_refusals_are_json() -> None:
    """Every refusal has its status and says what is wrong."""

    async def told(reply: Any) -> tuple[int, str]:
        async with reply as response:
            value = await response.json()
            return response.status, f"{value['error']}: {value.get('message', '')}"

    async def story() -> None:
        async with arena() as client:
            body = _body("demo-echo", "x")
            async with _create(client, body) as response:
                await _lines(response)
            gone = str(uuid4())
            again = json.dumps(_body("demo-echo", "x", gone))
            too_long = _body("demo-echo", "x" * (protocol.PROMPT_LIMIT_BYTES + 1))
            answers = [
                await told(_create(client, body)),
                await told(_create(client, _body(gone, "x"))),
                await told(_create(client, too_long)),
                await told(client.post(f"{STREAM}/create-evaluation", data=b"{")),
                await told(client.post(f"{STREAM}/post-to-evaluation/{gone}", data=again)),
                await told(client.post(f"{STREAM}/stop/{body['id']}/messages/{gone}", data="{}")),
                await told(client.get(f"/api/evaluation/{gone}")),
                await told(client.get(f"{STREAM}/create-evaluation")),
                await told(client.get("/nowhere")),
                await told(client.get("/demo/nothing.js")),
            ]
        assert [status for status, _ in answers] == [
            409,
            400,
            413,
            400,
            404,
            404,
            404,
            405,
            404,
            404,
        ]
        assert "modelAId" in answers[1][1]
        assert "userMessage.content" in answers[2][1]

    asyncio.run(story())


def test_a_body_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the body limit nothing is read on."""
    monkeypatch.setattr(protocol, "BODY_LIMIT_BYTES", 1000)

    async def story() -> None:
        async with arena() as client, _create(client, _body("demo-echo", "x" * 1000)) as response:
            assert response.status == 413
            assert "error" in await response.json()

    asyncio.run(story())


def test_answers_at_one_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit of running answers the site says wait."""
    monkeypatch.setattr(voices, "RUNNING_LIMIT", 1)

    async def story() -> None:
        async with arena() as client, _create(client, _body("demo-slow-start", "x")) as running:
            await running.content.readline()
            async with _create(client, _body("demo-echo", "x")) as refused:
                assert refused.status == 429

    asyncio.run(story())


@pytest.mark.parametrize("host", ["arena.example", "127.0.0.1.example:80", "10.0.0.1", "[::2]", ""])
def test_strangers_are_refused(host: str) -> None:
    """A Host that is no loopback name gets 400, whatever it asks for."""

    async def story() -> None:
        async with arena() as client:
            for path in ("/", "/demo/arena.js", "/demo/stats"):
                async with client.get(path, headers={"Host": host}) as response:
                    assert response.status == 400

    asyncio.run(story())


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "a.localhost:1", "127.0.0.1:5", "127.9.9.9", "[::1]:80"]
)
def test_loopback_names_are_known(host: str) -> None:
    """Every usual way to write loopback is answered."""
    assert site.is_loopback(host)


def test_other_sites_may_not_post() -> None:
    """A request that a browser sends for another site is refused."""

    async def story() -> None:
        async with arena() as client:
            for origin in ("https://evil.example", "null"):
                reply = client.post("/x", data="{}", headers={"Origin": origin})
                async with reply as response:
                    assert response.status == 403

    asyncio.run(story())


def test_every_page_is_strict() -> None:
    """The page is the same under each of its addresses, with a strict content policy."""

    async def story() -> None:
        async with arena() as client:
            bodies: set[bytes] = set()
            for path in ("/", "/text/direct", f"/c/{uuid4()}"):
                async with client.get(path) as response:
                    assert response.status == 200
                    assert response.headers["Content-Security-Policy"].startswith(
                        "default-src 'self'; script-src 'self'"
                    )
                    bodies.add(await response.read())
            assert len(bodies) == 1
            for name in re.findall(rb'"(/demo/[\w.]+)"', bodies.pop()):
                async with client.get(name.decode()) as response:
                    assert response.status == 200

    asyncio.run(story())


def test_counts_have_the_agreed_names() -> None:
    """Tests of the daemon read these."""
    assert msgspec.to_builtins(voices.Counts()) == dict.fromkeys(
        ("running", "started", "finished", "stopped", "left"), 0
    )
