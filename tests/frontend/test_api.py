"""api: the endpoint byte by byte, with clients that misbehave or leave, over real sockets."""

import asyncio
import json

import pytest
from api_scene import CHAT, HELLO, Scene, chat, frames, served
from scripted import Wire, until

from arenad.errors import UpstreamFailed
from arenad.frontend import openai, reply, vocabulary
from arenad.schema.chat import (
    Began,
    Event,
    Image,
    TextDelta,
)
from arenad.schema.config import ChatConfig

# -- what is on the wire --------------------------------------------------------------------------


@served()
async def test_the_bytes_of_a_stream(at: Scene) -> None:
    """Headers against buffering; a role, the content, the reason, the end."""
    wire = await at.wire(stream=True, user="me")
    await (await at.worker.asked()).tell("a")
    status, headers, body = await wire.answer()
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-arenad-ignored"] == "user"
    assert headers["x-arenad-usage"] == "estimated"
    assert (headers["x-arenad-instance"], headers["x-arenad-attempts"]) == ("w1", "1")
    role, piece, last, done = frames(body)
    deltas = [frame["choices"][0]["delta"] for frame in (role, piece, last)]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]
    assert done == "[DONE]"
    chat(wire)  # the connection is good for more
    await (await at.worker.asked()).tell("b")
    assert (await wire.answer())[0] == 200


@served()
async def test_a_late_failure_is_one_frame(at: Scene) -> None:
    """No finish, no [DONE]; and the connection is good for another request."""
    wire = await at.wire(stream=True)
    ask = await at.worker.asked()
    await ask.say(TextDelta("a"))
    ask.fail(UpstreamFailed("cut"))
    _, _, body = await wire.answer()
    *chunks, error = frames(body)
    assert error["error"]["message"] == "cut"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None]
    wire.send("GET /healthz HTTP/1.1", Host="localhost")
    assert (await wire.answer())[0] == 200
    assert (at.count("failed"), at.count("answered")) == (1, 0)


@pytest.mark.parametrize("has_begun", [False, True])
@served()
async def test_a_bug_is_an_error_too(
    at: Scene, *, monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    """Before the first byte it is a 500, after it an error frame; its text stays in the log."""
    wire = await at.wire(stream=True)
    ask = await at.worker.asked()
    if has_begun:
        await ask.say(TextDelta("a"))
        await wire.head()

    def broken(_writer: openai.Writer, _event: Event) -> bytes:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(openai.Writer, "event", broken)
    await ask.say(TextDelta("b"))
    if has_begun:
        body = await wire.reader.readuntil(b"\r\n0\r\n\r\n")
        assert b"internal_error" in body
        assert b"[DONE]" not in body
    else:
        status, _, body = await wire.answer()
        assert status == 500
    assert b"secret" not in body
    await ask.cancelled.wait()
    assert at.count("failed") == 1


@served(ChatConfig(keepalive_s=0.01))
async def test_silence_is_filled_with_comments(at: Scene) -> None:
    """After `chat.keepalive_s` the status is sent and comments follow: who waits is told its place."""
    _running = await at.wire()
    ask = await at.worker.asked()
    wire = await at.wire(stream=True)
    await wire.reader.readuntil(b": waiting for an instance, 0 ahead\n\n")
    later = await at.wire(stream=True)
    await later.reader.readuntil(b": waiting for an instance, 1 ahead\n\n")
    await ask.tell("a")
    ask = await at.worker.asked()
    await wire.reader.readuntil(vocabulary.KEEP_ALIVE)
    await ask.tell("b")
    body = await wire.reader.readuntil(b"[DONE]")
    assert b'{"content":"b"}' in body


# -- clients that leave ---------------------------------------------------------------------------


@served()
async def test_leaving_the_queue(at: Scene) -> None:
    """The ticket goes with its client; nobody is asked for it."""
    running = await at.wire()
    ask = await at.worker.asked()
    waiting = await at.wire()
    await until(lambda: at.stage.dispatch.seats.queued == 1)
    waiting.leave()
    await until(lambda: at.stage.dispatch.seats.queued == 0)
    await ask.tell("a")
    assert (await running.answer())[0] == 200
    assert not at.worker.is_asked
    assert (at.count("cancelled"), at.stage.dispatch.running) == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", [[], [TextDelta("a")]])
@served()
async def test_leaving_a_chat_stops_it(at: Scene, *, stream: bool, said: list[Event]) -> None:
    """Before the first event and after it, streamed or not: one CANCEL, and the slot is free."""
    wire = await at.wire(stream=stream)
    ask = await at.worker.asked()
    await ask.say(*said)
    if said and stream:
        await wire.reader.readuntil(b'"a"')
    wire.leave()
    await ask.cancelled.wait()
    await until(lambda: not at.stage.dispatch.beat().busy)
    assert at.count("cancelled") == 1
    following = await at.wire()
    await (await at.worker.asked()).tell("b")
    assert (await following.answer())[0] == 200


PIECE = TextDelta("x" * 16_384)
PIECES = 4000
"""64 MB: far more than all buffers on the way hold together."""


@served(ChatConfig(idle_timeout_s=0.3))
async def test_a_client_that_reads_nothing_is_hung_up_on(at: Scene) -> None:
    """The worker is held back, what is held in between is bounded, and the slot comes back."""
    wire = await Wire.slow(at.address)
    chat(wire, stream=True)
    ask = await at.worker.asked()
    said = 0

    async def speak() -> None:
        nonlocal said
        for _ in range(PIECES):
            await ask.say(PIECE)
            said += 1

    speaking = asyncio.ensure_future(speak())
    await ask.cancelled.wait()
    assert said < PIECES // 2
    speaking.cancel()
    assert at.count("cancelled") == 1


@served()
async def test_a_slow_reader_gets_everything(at: Scene) -> None:
    """Being slow costs time, never text."""
    wire = await Wire.slow(at.address)
    chat(wire, stream=True)
    ask = await at.worker.asked()
    texts = [f"{number:06} thrée\n" * 100 for number in range(1000)]

    async def speak() -> None:
        await ask.say(*map(TextDelta, texts))
        ask.finish()

    speaking = asyncio.ensure_future(speak())
    wire.writer.transport.resume_reading()
    _, _, body = await wire.answer()
    await speaking
    chunks = frames(body)[1:-2]
    assert "".join(each["choices"][0]["delta"]["content"] for each in chunks) == "".join(texts)


# -- bad requests, health, the end ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{", None), (b'{"a":' + b"[" * 100_000, None), (b'{"model":"echo"}', "messages")],
)
@served()
async def test_a_bad_body_is_no_chat(at: Scene, *, body: bytes, param: str | None) -> None:
    """400, the field at fault, and nothing is counted."""
    wire = await Wire.to(at.address)
    wire.send(CHAT, body, Host="localhost")
    status, headers, answer = await wire.answer()
    assert (status, json.loads(answer)["error"]["param"]) == (400, param)
    assert headers["openai-processing-ms"].isdigit()
    assert at.count("accepted") == 0


@served()
async def test_a_name_without_end_is_no_model(at: Scene) -> None:
    """And is told to nobody: neither the client nor the log nor the history has it in full."""
    wire = await at.wire(model="m" * 100_000)
    status, _, body = await wire.answer()
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert len(error["message"]) < 200


@served()
async def test_a_foreign_page_cannot_chat(at: Scene) -> None:
    """A page may send a form here without asking; it is not performed."""
    wire = await Wire.to(at.address)
    body = json.dumps({"model": "echo", "messages": HELLO}).encode()
    wire.send(CHAT, body, Host="localhost", Origin="http://evil.example")
    assert (await wire.answer())[0] == 403
    assert at.count("accepted") == 0


@served()
async def test_a_client_that_leaves_in_its_body(at: Scene) -> None:
    """A body that was declared longer than it is begins nothing."""
    wire = await Wire.to(at.address)
    wire.send(CHAT, b"{", Host="localhost", Content_Length="100")
    await wire.writer.drain()
    wire.leave()
    probe = await Wire.to(at.address)
    probe.send("GET /healthz HTTP/1.1", Host="localhost")
    assert (await probe.answer())[0] == 200
    assert at.count("accepted") == 0


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "; did you mean /v1/chat/completions?"),
        ("/v1/v1/models", "; did you mean /v1/models?"),
        ("/v1/chat/completions/", "; did you mean /v1/chat/completions?"),
        ("/v1//messages", "; did you mean /v1/messages?"),
        ("/v1/none", ""),
        ("/", ""),
    ],
)
@served()
async def test_a_base_address_that_is_wrong_is_told(at: Scene, *, path: str, meant: str) -> None:
    """Clients put their own paths behind what they were given; with or without /v1."""
    wire = await Wire.to(at.address)
    wire.send(f"POST {path} HTTP/1.1", b"{}", Host="localhost")
    status, _, body = await wire.answer()
    told = json.loads(body)["error"]["message"]
    assert (status, told) == (404, f"POST {path}: there is nothing here{meant}")


@served()
async def test_health_and_readiness(at: Scene) -> None:
    """The process is healthy while it serves; it is ready while an instance can be asked."""
    wire = await Wire.to(at.address)

    async def status(path: str) -> int:
        wire.send(f"GET {path} HTTP/1.1", Host="localhost")
        return (await wire.answer())[0]

    ready = [await status(path) for path in ("/health", "/healthz", "/readyz")]
    assert ready == [200, 200, 200]
    at.worker.die()
    await until(lambda: not at.stage.dispatch.is_ready())
    assert [await status(path) for path in ("/healthz", "/readyz")] == [200, 503]


@served()
async def test_closing_is_told(at: Scene) -> None:
    """In a drain every answer ends its connection, and idle means idle."""
    wire = await at.wire()
    ask = await at.worker.asked()
    at.api.is_closing = True
    assert at.api.activity.count == 1
    await ask.tell("a")
    _, headers, _ = await wire.answer()
    assert headers["connection"] == "close"
    assert await wire.reader.read() == b""
    await at.api.activity.quiet(0.01)
    assert at.api.activity.count == 0


@pytest.mark.parametrize("stream", [True, False])
@served()
async def test_how_a_conversation_went_is_told_in_headers(at: Scene, *, stream: bool) -> None:
    """As far as it is known when they are sent; a name that no header can carry is left out."""
    wire = await at.wire(stream=stream, conversation="affinity")
    ask = await at.worker.asked()
    assert ask.chat.strategy == "affinity"
    await ask.say(Began("new"), Began("new", "s1"), TextDelta("hi"))
    await ask.say(Began("new", "s1", "m\r\n1"))
    ask.finish()
    _, headers, _ = await wire.answer()
    assert headers["x-arenad-conversation"] == "new"
    assert headers["x-arenad-session"] == "s1"
    assert "x-arenad-message" not in headers


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([TextDelta("12345")], 200),
        ([TextDelta("123"), TextDelta("456")], 502),
        ([TextDelta("12"), Image("data:,1234")], 502),
    ],
)
@served()
async def test_a_whole_answer_has_a_bound(
    at: Scene, *, said: list[Event], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it holds counts, images in full; the chat is stopped."""
    monkeypatch.setattr(reply, "MAX_WHOLE_CHARS", 5)
    wire = await at.wire()
    ask = await at.worker.asked()
    await ask.say(*said)
    if status == 200:
        ask.finish()
    got, _, body = await wire.answer()
    assert got == status
    if status != 200:
        assert "the answer is longer than 5 characters" in json.loads(body)["error"]["message"]
        await ask.cancelled.wait()


@served()
async def test_the_end_of_a_stream_is_the_end_of_an_old_connection(at: Scene) -> None:
    """HTTP/1.0 knows no chunks, whatever it says of the connection."""
    wire = await Wire.to(at.address)
    body = json.dumps({"model": "echo", "messages": HELLO, "stream": True}).encode()
    kept = {"Host": "localhost", "Connection": "keep-alive", "Content-Type": "application/json"}
    wire.send(CHAT.replace("1.1", "1.0"), body, **kept)
    await (await at.worker.asked()).tell("a")
    assert (await wire.reader.read()).endswith(b"data: [DONE]\n\n")


@served()
async def test_an_answer_has_an_id_of_its_own(at: Scene) -> None:
    """Also where a client calls all its requests the same; else it is the request's."""
    told = list[tuple[str, str]]()
    for asks in ({"X_Request_Id": "same"}, {"X_Request_Id": "same"}, {}):
        wire = await Wire.to(at.address)
        body = json.dumps({"model": "echo", "messages": HELLO}).encode()
        wire.send(CHAT, body, Host="localhost", Content_Type="application/json", **asks)
        await (await at.worker.asked()).tell("a")
        _, headers, answer = await wire.answer()
        told.append((headers["x-request-id"], json.loads(answer)["id"]))
    assert [name for name, _ in told[:2]] == ["same", "same"]
    assert len({name for _, name in told}) == 3
    assert told[2][1] == f"chatcmpl-{told[2][0]}"
