"""entrance: what is refused before there is a request, over real sockets."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace
from scripted import Wire, api_serving, play, serving, stage

from arenad.frontend import guard
from arenad.schema.config import ApiConfig

HELLO = [{"role": "user", "content": "hello"}]
CHAT = "POST /v1/chat/completions HTTP/1.1"


def error_of(body: bytes) -> dict[str, str]:
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def told(limits: ApiConfig, sent: bytes, folder) -> tuple[int, dict[str, str], bytes]:
    """What the endpoint answers to these bytes, after which it has to hang up."""
    answers = []

    async def story() -> None:
        async with stage(folder) as scene, api_serving(scene, limits=limits) as (_, address):
            wire = await Wire.to(address)
            wire.writer.write(sent)
            answers.append(await wire.answer())
            assert await wire.reader.read() == b""

    play(story())
    return answers[0]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 1100 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nx-long: " + b"x" * 1100 + b"\r\n\r\n",
    ],
)
def test_a_long_line_of_the_head(sent: bytes, tmp_path):
    """Of the address or a header: the limit is named, and the setting."""
    status, headers, body = told(ApiConfig(max_header_bytes=1024), sent, tmp_path)
    error = error_of(body)
    assert (status, error["code"]) == (431, "request_header_fields_too_large")
    assert "over 1024 bytes (api.max_header_bytes)" in error["message"]
    assert (headers["server"], len(headers["x-request-id"])) == ("arenad", 32)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_no_http(sent: bytes, tmp_path):
    """TLS, nonsense, broken heads, too many headers: an object, as for all errors."""
    status, _, body = told(ApiConfig(), sent, tmp_path)
    assert (status, error_of(body)["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/messages", "/healthz", "/nowhere"])
def test_what_nobody_can_expect(path: str, tmp_path):
    """Refused before a handler is asked, in the words of the path all the same."""
    lines = ("Host: localhost", "Expect: miracles", "Connection: close", "", "")
    sent = "\r\n".join((f"GET {path} HTTP/1.1", *lines)).encode()
    status, headers, body = told(ApiConfig(), sent, tmp_path)
    assert (status, headers["content-type"]) == (417, "application/json")
    message = json.loads(body)["error"]["message"]
    assert message == "Expect: is 'miracles'; must be 100-continue, or absent"


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_head_that_does_not_come(sent: bytes, tmp_path):
    """Its deadline runs from its first byte."""
    status, _, body = told(ApiConfig(head_timeout_s=0.05), sent, tmp_path)
    error = error_of(body)
    assert (status, error["code"]) == (408, "request_timeout")
    assert "within 0.05 s (api.head_timeout_s)" in error["message"]


def test_a_head_that_drips(tmp_path):
    """A byte now and then prolongs nothing, and does not disturb another's request."""

    async def story() -> None:
        limits = ApiConfig(head_timeout_s=0.1)
        async with stage(tmp_path) as scene, api_serving(scene, limits=limits) as (_, address):
            slow = await Wire.to(address)
            answer = asyncio.create_task(slow.answer())
            for byte in b"GET /healthz HTTP/1.1\r\nx: " + b"x" * 500:
                if answer.done():
                    break
                slow.writer.write(bytes([byte]))
                await asyncio.sleep(0.01)
            assert (await answer)[0] == 408
            other = await Wire.to(address)
            for _ in range(2):  # a connection that waits for its next request has not begun one
                other.send("GET /healthz HTTP/1.1", Host="localhost")
                assert (await other.answer())[0] == 200
                await asyncio.sleep(0.2)

    play(story())


def test_a_body_that_does_not_come(tmp_path):
    """It has a deadline of its own."""
    sent = f"{CHAT}\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{{".encode()
    status, _, body = told(ApiConfig(body_timeout_s=0.05), sent, tmp_path)
    assert (status, error_of(body)["code"]) == (408, "request_timeout")
    assert "within 0.05 s" in error_of(body)["message"]


def answering(size: int) -> web.Application:
    """So many bytes, of which the kernel takes few at a time."""

    async def large(request: web.Request) -> web.Response:
        assert request.transport is not None
        end = request.transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return web.Response(body=b"x" * size)

    app = guard.application(lambda *_: None)
    app.router.add_get("/", large)
    return app


def test_a_client_that_is_slow_has_its_time():
    """As long as it takes some of it: the time is not for the whole of an answer."""

    async def story() -> None:
        async with serving(answering(1_000_000), ApiConfig(body_timeout_s=0.5)) as address:
            slow = await Wire.slow(address)
            slow.send("GET / HTTP/1.1", Host="localhost")
            slow.writer.transport.resume_reading()
            await slow.head()
            for _ in range(20):
                await asyncio.sleep(0.05)
                await slow.reader.readexactly(50_000)

    play(story())


@pytest.mark.parametrize(("size", "ending"), [(4_000_000, "keep-alive"), (60_000, "close")])
def test_an_answer_that_nobody_takes(size: int, ending: str):
    """Its connection is free again in time: one that waits to send, and one that waits to close."""

    async def story() -> None:
        limits = ApiConfig(max_connections=1, body_timeout_s=0.2)
        async with serving(answering(size), limits) as address:
            slow = await Wire.slow(address)
            slow.send("GET / HTTP/1.1", Host="localhost", Connection=ending)
            statuses = [503]
            while statuses[-1] == 503:
                await asyncio.sleep(0.05)
                wire = await Wire.to(address)
                wire.send("GET /nowhere HTTP/1.1", Host="localhost")
                statuses.append((await wire.answer())[0])
            assert statuses[-1] == 404
            assert statuses.count(503) > 1

    play(story())


def test_too_many_connections(tmp_path):
    """One more is told so and let go; when another leaves there is room again."""

    async def story() -> None:
        limits = ApiConfig(max_connections=2)
        async with stage(tmp_path) as scene, api_serving(scene, limits=limits) as (_, address):
            first, second = await Wire.to(address), await Wire.to(address)
            for wire in (first, second):
                wire.send("GET /healthz HTTP/1.1", Host="localhost")
                assert (await wire.answer())[0] == 200
            third = await Wire.to(address)
            third.send("GET /healthz HTTP/1.1", Host="localhost")
            status, headers, body = await third.answer()
            error = error_of(body)
            assert (status, headers["retry-after"]) == (503, "1")
            assert error["code"] == "too_many_connections"
            assert error["message"].startswith("connections: 2 are open (api.max_connections)")
            assert await third.reader.read() == b""
            first.leave()
            while True:
                again = await Wire.to(address)
                again.send("GET /healthz HTTP/1.1", Host="localhost")
                if (await again.answer())[0] == 200:
                    return

    play(story())


@pytest.mark.parametrize(
    ("limits", "body", "status", "code", "said"),
    [
        (
            ApiConfig(max_body_bytes=100),
            b" " * 101,
            413,
            "request_too_large",
            "the body is larger than 100 bytes; send less",
        ),
        (
            ApiConfig(max_messages=2),
            json.dumps({"model": "echo", "messages": HELLO * 3}).encode(),
            400,
            "invalid_request",
            "messages: are 3; 2 are taken (api.max_messages); send fewer",
        ),
        (
            ApiConfig(),
            b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}",
            400,
            "invalid_request",
            "the body is nested deeper than 64 lists and objects; flatten it",
        ),
        (
            ApiConfig(),
            b'{"a": ' + b"[" * 500_000,
            400,
            "invalid_request",
            "the body is nested deeper than 64 lists and objects; flatten it",
        ),
    ],
)
def test_a_body_over_a_limit(
    limits: ApiConfig, body: bytes, status: int, code: str, said: str, tmp_path
):
    """Each limit has its own words, and no instance is asked."""

    async def story() -> None:
        async with stage(tmp_path) as scene, api_serving(scene, limits=limits) as (_, address):
            wire = await Wire.to(address)
            wire.send(CHAT, body, Host="localhost")
            got, _, answer = await wire.answer()
            assert (got, error_of(answer)["code"]) == (status, code)
            assert error_of(answer)["message"] == said

    play(story())


def test_a_limit_that_was_raised_counts_at_once(tmp_path: Path) -> None:
    """Also for a body that does not say how long it is."""
    chunked = {"Host": "localhost", "Content-Type": guard.JSON, "Transfer-Encoding": "chunked"}

    async def status_of(address: tuple[str, int]) -> int:
        wire = await Wire.to(address)
        wire.send(CHAT, **chunked)
        wire.writer.write(b"c8\r\n%s\r\n0\r\n\r\n" % (b" " * 200))
        return (await wire.answer())[0]

    async def story() -> None:
        async with (
            stage(tmp_path) as scene,
            api_serving(scene, limits=ApiConfig(max_body_bytes=100)) as (api, address),
        ):
            assert await status_of(address) == 413
            raised = replace(api.settings, api=ApiConfig(max_body_bytes=1000))
            api.adjust(raised)
            assert await status_of(address) == 400  # no JSON, but read

    play(story())


def test_a_bug_outside_of_a_handler(monkeypatch: pytest.MonkeyPatch, caplog):
    """It is in the log, and told without its text."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    app = guard.application(lambda *_: None)
    app.on_response_prepare.append(broken)

    async def story() -> None:
        async with serving(app) as address:
            wire = await Wire.to(address)
            wire.send("GET / HTTP/1.1", Host="localhost")
            head = await wire.reader.read()
            assert b"secret" not in head

    play(story())
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": "99999999"}, 413),
        ({"Content_Length": "9", "Content_Type": "text/plain"}, 415),
        ({"Content_Length": "9", "Host": "rebound.example"}, 403),
        ({"Content_Length": "9", "Expect": "a miracle"}, 417),
    ],
)
def test_a_body_that_is_not_wanted_is_not_asked_for(
    headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    """A client that asks first (RFC 9110, 10.1.1) is told why not, before it sends 30 MB."""

    async def story() -> None:
        async with stage(tmp_path) as scene, api_serving(scene) as (_, address):
            wire = await Wire.to(address)
            wire.send(CHAT, **{"Host": "localhost", "Expect": "100-continue", **headers})
            assert (await wire.answer())[0] == status

    play(story())


def test_a_body_that_is_wanted_is_asked_for(tmp_path: Path) -> None:
    """Then it is sent, and answered; the connection goes on."""

    async def story() -> None:
        async with stage(tmp_path) as scene, api_serving(scene) as (_, address):
            (worker,) = await scene.staff("w1")
            wire = await Wire.to(address)
            body = json.dumps({"model": "echo", "messages": HELLO}).encode()
            for _ in range(2):
                length = str(len(body))
                wire.send(CHAT, Host="localhost", Expect="100-Continue", Content_Length=length)
                assert await wire.head() == (100, {})
                wire.writer.write(body)
                await (await worker.asked()).tell("hi")
                assert (await wire.answer())[0] == 200

    play(story())
