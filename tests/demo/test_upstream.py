"""demo-upstream: an OpenAI-compatible stream, read at any cut, passed on, and its failures told."""

import asyncio
import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from serving import arena, listening

from arenad.demo import upstream
from arenad.demo.catalog import UPSTREAM_ID
from arenad.demo.models import Piece
from arenad.demo.upstream import Reader, UpstreamFault

KEY = "sk-very-secret"


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    value = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"


ANSWER = b"".join(
    [
        b": a comment\n\n",
        _event({"role": "assistant", "content": ""}),
        _event({"reasoning_content": "hm"}),
        _event({"content": "thr"}),
        _event({"content": "ée"}),
        _event({}, "stop"),
        b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n',
        b"data: [DONE]\n\n",
    ]
)


def test_reader_takes_any_cut() -> None:
    """Split at every byte, the same pieces come out."""
    wanted = [Piece("hm", kind="reasoning"), Piece("thr"), Piece("ée")]
    for cut in range(len(ANSWER)):
        reader = Reader()
        assert reader.feed(ANSWER[:cut]) + reader.feed(ANSWER[cut:]) == wanted
        assert reader.finished


@pytest.mark.parametrize(
    ("received", "told"),
    [
        (b"data: {oops\n", "no chunk"),
        (b'data: {"error": {"message": "no credit"}}\n', "no credit"),
        (b"x" * (upstream.LINE_LIMIT_BYTES + 1), "above"),
    ],
)
def test_reader_tells_what_is_wrong(received: bytes, told: str) -> None:
    """What is no chunk, what is an error, and what has no end are faults."""
    with pytest.raises(UpstreamFault, match=told):
        Reader().feed(received)


def _answered(*sent: bytes, status: int = 200) -> tuple[str, list[dict[str, Any]]]:
    """The lines that the arena passes on from an upstream that sends this, and what it was asked."""
    asked: list[dict[str, Any]] = []

    async def complete(request: web.Request) -> web.StreamResponse:
        asked.append({"key": request.headers.get("Authorization"), **await request.json()})
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for part in sent:
            await response.write(part)
        return response

    async def story() -> str:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", complete)])
        body = {
            "id": str(uuid4()),
            "mode": "direct",
            "modelAId": UPSTREAM_ID,
            "userMessageId": str(uuid4()),
            "modelAMessageId": str(uuid4()),
            "userMessage": {"content": "hi"},
        }
        async with (
            listening(web.AppRunner(app)) as address,
            arena(KEY, upstream_url=f"{address}/v1/", upstream_model="m1") as client,
            client.post("/nextjs-api/stream/create-evaluation", data=json.dumps(body)) as response,
        ):
            assert response.status == 200
            return (await response.read()).decode()

    return asyncio.run(story()), asked


def test_deltas_are_passed_on() -> None:
    """Reasoning and text come through; the upstream got model, talk and key."""
    lines, asked = _answered(ANSWER[:150], ANSWER[150:])
    assert 'ag:"hm"\na0:"thr"\na0:"ée"\nad:{"finishReason":"stop"' in lines
    assert asked == [
        {
            "key": f"Bearer {KEY}",
            "model": "m1",
            "stream": True,
            "messages": [{"role": "user", "content": "hi"}],
        }
    ]


def test_a_refusal_is_told_without_the_key() -> None:
    """An upstream that repeats the key in its error does not show it to anybody."""
    lines, _ = _answered(f'{{"error": "bad key {KEY}"}}'.encode(), status=401)
    assert "a3:" in lines
    assert "401" in lines
    assert "bad key" in lines
    assert KEY not in lines


def test_a_broken_off_answer_is_told() -> None:
    """A stream without an end is no answer."""
    lines, _ = _answered(ANSWER[:200])
    assert "broke off" in lines


def test_a_look_up_loads_nothing() -> None:
    """The process may lose the right to read its files: what a request needs is loaded before."""
    code = """if True:
        import asyncio, sys
        from arenad.demo import upstream
        async def look_up():
            loaded = set(sys.modules)
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            print(sorted(set(sys.modules) - loaded))
        asyncio.run(look_up())"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_nobody_there_is_told() -> None:
    """An address where nobody listens becomes an error line, and the stream still ends."""

    async def story() -> str:
        unused = web.AppRunner(web.Application())
        async with listening(unused) as address:
            gone = address
        async with arena(upstream_url=gone) as client:
            body = {
                "id": str(uuid4()),
                "mode": "direct",
                "modelAId": UPSTREAM_ID,
                "userMessageId": str(uuid4()),
                "modelAMessageId": str(uuid4()),
                "userMessage": {"content": "hi"},
            }
            path = "/nextjs-api/stream/create-evaluation"
            async with client.post(path, data=json.dumps(body)) as response:
                return (await response.read()).decode()

    lines = asyncio.run(story())
    assert 'a3:"the upstream failed' in lines
    assert lines.splitlines()[-1].startswith("ad:")
