"""What the endpoint answers to any head of a request: never a 500, never silence; real sockets."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scripted import Wire, api_serving, stage

from arenad.schema.config import ApiConfig

DEADLINE_S = 20.0
SOON_S = 0.05
"""The endpoint waits no longer for the rest of a head or a body."""

CONTINUE = 100
NOT_READY = 503

LIMITS = ApiConfig(head_timeout_s=SOON_S, body_timeout_s=SOON_S, max_header_bytes=2048)

Ask = Callable[[bytes], tuple[int, dict[str, str], bytes] | None]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Send bytes on a connection of their own: the first answer, or none where it is hung up."""
    folder = tmp_path_factory.mktemp("heads")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        over = asyncio.Event()
        ready = runner.get_loop().create_future()
        serving = runner.get_loop().create_task(_serve(folder, ready, over))
        address = runner.run(_within(ready))
        yield lambda sent: runner.run(_within(_answer(address, sent)))
        over.set()
        runner.run(_within(serving))


async def _within(doing: Any) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await doing


async def _serve(folder: Path, ready: asyncio.Future[Any], over: asyncio.Event) -> None:
    async with stage(folder) as scene, api_serving(scene, limits=LIMITS) as (_, address):
        ready.set_result(address)
        await over.wait()


async def _answer(address: Any, sent: bytes) -> tuple[int, dict[str, str], bytes] | None:
    wire = await Wire.to(address)
    try:
        wire.writer.write(sent)
        while (told := await wire.head())[0] == CONTINUE:
            pass
        status, headers = told
        is_known = "content-length" in headers and not sent.startswith(b"HEAD")
        size = int(headers["content-length"]) if is_known and status not in (204, 304) else 0
        return status, headers, await wire.reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    finally:
        await Wire.close_all()


PLAIN_METHODS = st.sampled_from([b"GET", b"POST", b"HEAD"])
METHODS = st.sampled_from([b"OPTIONS", b"PUT", b"get", b"PRI", b"\xff", b""])
TARGETS = st.sampled_from(
    [
        *(b"/v1/models", b"/v1/models/a%2fb", b"/v1/models/%ff%00", b"/v1/models/\xc3\xa4"),
        *(b"/v1/files/../x/content", b"/v1/files/file-%s/content" % (b"0" * 32)),
        *(b"/docs/static/..%2f..%2fetc/passwd", b"/openapi.json", b"/docs", b"/readyz"),
        *(b"/v1/chat/completions", b"/v1/messages", b"/v1/messages/count_tokens"),
        *(b"*", b"", b"/", b"//", b"//x/y", b"http://[/", b"http://127.0.0.1/healthz", b"/?a=%"),
        *(b"/#x", b"/\x00", b"/ /", b"x:80", b"/v1/models?" + b"a" * 1900, b"http://[::1]:x/"),
    ]
)
VERSIONS = st.sampled_from([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"HTTP/1.1 x", b"", b"\xff"])
LINES = st.sampled_from(
    [
        *(b"Content-Type: application/json", b"Content-Type: ;", b"Content-Type: \xff/;=\xff"),
        *(b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: x"),
        *(b"Expect: 100-continue", b"Expect: x", b"Connection: upgrade", b"Upgrade: websocket"),
        *(b"Connection: close", b"Connection: \xff", b"Origin: null", b"Origin: http://[::"),
        *(b"Authorization: Basic \xff", b"Authorization: Basic /w==", b"Authorization: Bearer"),
        *(b"If-None-Match: W/", b'If-None-Match: "', b'If-None-Match: "a", *', b"If-None-Match: *"),
        *(
            b"Idempotency-Key: \xff",
            b"X-Request-Id: \xff",
            b"X-Request-Id: a\xc3\xa4",
            b"Cookie: =;\xff",
        ),
        *(
            b"Access-Control-Request-Method: POST",
            b"Range: bytes=9-1",
            b"Accept-Encoding: gzip, br",
        ),
        *(b"If-Modified-Since: x", b"Date: x", b"anthropic-version: \xff", b"Via: x"),
    ]
)
WRONG_LINES = st.sampled_from(
    [
        *(b"Host: x", b"Host:", b"Host: [::1", b"Host: \xff", b"Host : x", b"Host: 127.0.0.1"),
        *(
            b"Content-Length: 2",
            b"Content-Length: -1",
            b"Content-Length: +2",
            b"Content-Length: 2, 2",
        ),
        *(b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked"),
        *(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, chunked", b"a: \x00"),
        *(b": x", b" folded", b"\tfolded", b"a", b"x: " + b"y" * 2100, b"\xff\xfe: x"),
    ]
) | st.binary(max_size=30)
BODIES = st.sampled_from(
    [
        *(b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"x\r\n", b"\x1f\x8b\x00", b"\xff" * 9),
        *(b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n", b"fffffffffffffffff\r\n"),
    ]
)


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """So that what comes later is looked at as well."""
    return st.integers(0, 9).flatmap(lambda number: good if number else bad)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """The head of a request and what follows it, with a few things wrong."""
    method = draw(mostly(PLAIN_METHODS, METHODS))
    target = draw(mostly(TARGETS, st.binary(max_size=20)))
    version = draw(mostly(st.just(b"HTTP/1.1"), VERSIONS))
    lines = draw(st.lists(mostly(LINES, WRONG_LINES), max_size=4))
    host = draw(mostly(st.just(b"Host: 127.0.0.1"), st.just(b"a: b")))
    body = draw(BODIES)
    length = [b"Content-Length: %d" % len(body)] if draw(st.booleans()) else []
    whole = b"\r\n".join([b" ".join((method, target, version)), host, *lines, *length, b"", b""])
    return whole[: draw(mostly(st.just(len(whole)), st.integers(1, len(whole))))] + body


@given(sent=heads() | st.binary(min_size=1, max_size=60))
@example(sent=b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: x\r\n\r\n")
@example(
    sent=b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: x\r\nContent-Length: 2\r\n\r\n{}"
)
@example(sent=b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: x\r\n\r\n")
@example(sent=b"\r\n\r\n\r\n")
@example(
    sent=b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_head(sent: bytes, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    """What is told is an error of the client's, as an object, if it is no answer; no bug is logged."""
    caplog.clear()
    told = ask(sent)
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []
    if told is not None:
        status, headers, body = told
        assert status < 500 or (status == NOT_READY and b"/readyz" in sent)
        assert headers["server"] == "arenad"
        assert "x-request-id" in headers
        if 400 <= status < 500 and body:
            assert set(json.loads(body)["error"]) >= {"message", "type"}
    fine = ask(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert fine is not None
    assert fine[0] == 200
