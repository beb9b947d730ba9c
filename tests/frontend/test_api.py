"""api: the endpoint over real sockets, with the real client and with clients that misbehave."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from scripted import Ask, Stage, Wire, Worker, api_serving, play, stage, until

from arenad.errors import ContentRejected, Resting, UpstreamFailed
from arenad.frontend import openai as vocabulary
from arenad.frontend.api import Api
from arenad.schema.chat import (
    Began,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    failure_of,
)
from arenad.schema.config import ChatConfig, QueueConfig

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


def chat(wire: Wire, **fields: Any) -> None:
    body = json.dumps({"model": "echo", "messages": HELLO} | fields).encode()
    wire.send(CHAT, body, Host="127.0.0.1", Content_Type="application/json")


@asynccontextmanager
async def scene(
    folder: Path, chat_: ChatConfig | None = None, queue: QueueConfig | None = None
) -> AsyncIterator[Scene]:
    async with stage(folder, queue, chat_) as made:
        worker = await made.worker("w1")
        await made.enlist(worker)
        async with api_serving(made) as (api, address):
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


# -- the real client ------------------------------------------------------------------------------


def test_the_real_client_streams(tmp_path: Path) -> None:
    """Pieces arrive as they are said, then the reason, then the usage."""

    async def story() -> None:
        async with scene(tmp_path) as at, client(at.address) as theirs:
            opening = asyncio.ensure_future(
                theirs.chat.completions.create(
                    model="echo",
                    messages=HELLO,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            )
            ask = await at.worker.asked()
            await ask.say(TextDelta("thr"))
            answer = await opening
            assert answer.response.headers["x-request-id"] == ask.chat.request_id
            pieces = [(await anext(answer)).choices[0].delta.content for _ in range(2)]
            await ask.tell("ée")
            rest = [chunk async for chunk in answer]
            pieces += [chunk.choices[0].delta.content for chunk in rest if chunk.choices]
            assert pieces == ["", "thr", "ée", None]
            assert rest[-2].choices[0].finish_reason == "stop"
            assert rest[-1].usage is not None
            await until(lambda: at.count("answered") == 1)

    play(story())


def test_the_real_client_gets_a_whole(tmp_path: Path) -> None:
    """Text, reasoning and images in one object; beats of the worker are no content."""

    async def story() -> None:
        async with scene(tmp_path) as at, client(at.address) as theirs:
            asking = asyncio.ensure_future(
                theirs.chat.completions.create(model="echo", messages=HELLO, temperature=0.5)
            )
            ask = await at.worker.asked()
            await ask.say(Heartbeat(), ReasoningDelta("hm"), TextDelta("thrée "))
            await ask.say(Image("data:,"), Image("http://a/"))
            ask.finish("length")
            whole = await asking
            assert whole.choices[0].message.content == "thrée ![image](http://a/)"
            assert whole.choices[0].message.model_extra == {
                "reasoning_content": "hm",
                "images": [
                    {"type": "image_url", "image_url": {"url": "data:,"}},
                    {"type": "image_url", "image_url": {"url": "http://a/"}},
                ],
            }
            assert whole.choices[0].finish_reason == "length"
            assert at.count("answered") == 1

    play(story())


def test_the_real_client_lists_models(tmp_path: Path) -> None:
    """The list, one of them, and the error for one that is not there."""

    async def story() -> None:
        async with scene(tmp_path) as at, client(at.address) as theirs:
            assert [model.id async for model in theirs.models.list()] == ["echo"]
            assert (await theirs.models.retrieve("echo")).object == "model"
            with pytest.raises(openai.NotFoundError, match="no 'a/b'") as told:
                await theirs.models.retrieve("a/b")
            assert told.value.code == "model_not_found"

    play(story())


@pytest.mark.parametrize("stream", [False, True])
def test_an_early_failure_is_a_status(tmp_path: Path, stream: bool) -> None:
    """What fails before the first content fails as HTTP, for a stream too."""

    async def story() -> None:
        async with scene(tmp_path) as at, client(at.address) as theirs:
            asking = asyncio.ensure_future(
                theirs.chat.completions.create(model="echo", messages=HELLO, stream=stream)
            )
            ask = await at.worker.asked()
            await ask.say(Heartbeat())
            ask.fail(ContentRejected("not this"))
            with pytest.raises(openai.BadRequestError, match="not this") as told:
                await asking
            assert told.value.code == "content_policy_violation"
            assert told.value.request_id == ask.chat.request_id
            assert at.count("failed") == 1

    play(story())


def test_retry_after_is_passed_on(tmp_path: Path) -> None:
    """A site's wish for patience reaches the client in whole seconds."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await at.wire()
            (await at.worker.asked()).fail(Resting("a moment", retry_after_s=41.6))
            status, headers, _ = await wire.answer()
            assert (status, headers["retry-after"]) == (429, "42")

    play(story())


def test_the_real_client_raises_in_mid_stream(tmp_path: Path) -> None:
    """A late failure is an error for the client's loop, not an end of it."""

    async def story() -> None:
        async with scene(tmp_path) as at, client(at.address) as theirs:
            opening = asyncio.ensure_future(
                theirs.chat.completions.create(model="echo", messages=HELLO, stream=True)
            )
            ask = await at.worker.asked()
            await ask.say(TextDelta("a"))
            ask.fail(UpstreamFailed("the site cut it"))
            with pytest.raises(openai.APIError, match="the site cut it"):
                async for _ in await opening:
                    pass

    play(story())


async def _fight(ask: Ask) -> None:
    """Both sides answer; the second one fails in the end."""
    await ask.say(TextDelta("a"), TextDelta("x", 1), ReasoningDelta("y", 1), TextDelta("b"))
    await ask.say(SideFailed(failure_of(UpstreamFailed("the model failed")), 1))
    ask.finish()


def test_the_real_client_has_two_choices(tmp_path: Path) -> None:
    """Of a battle, streamed and whole: a side that failed says so, and the other one is whole."""

    async def story() -> None:
        async with scene(tmp_path) as at, client(at.address) as theirs:
            at.worker.models = ("echo", "battle")
            await at.stage.enlist(at.worker)
            create = theirs.chat.completions.create
            opening = asyncio.ensure_future(create(model="battle", messages=HELLO, stream=True))
            await _fight(await at.worker.asked())
            texts, reasons = {0: "", 1: ""}, dict[int, Any]()
            async for chunk in await opening:
                (choice,) = chunk.choices
                texts[choice.index] += choice.delta.content or ""
                reasons[choice.index] = choice.finish_reason
            assert (texts, reasons) == ({0: "ab", 1: "x"}, {0: "stop", 1: "error"})
            asking = asyncio.ensure_future(create(model="battle", messages=HELLO))
            await _fight(await at.worker.asked())
            one, other = (await asking).choices
            assert (one.index, one.message.content, one.finish_reason) == (0, "ab", "stop")
            assert (other.index, other.message.content, other.finish_reason) == (1, "x", "error")
            assert (other.model_extra or {})["error"]["message"] == "the model failed"
            listed = [(each.id, each.model_extra) async for each in theirs.models.list()]
            assert listed[0] == ("battle", {"capabilities": ["text"], "modes": ["battle"]})

    play(story())


def test_an_answer_that_only_its_second_side_ends(tmp_path: Path) -> None:
    """The reason of the whole one is the last chunk before the end."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            at.worker.models = ("battle",)
            await at.stage.enlist(at.worker)
            wire = await at.wire(model="battle", stream=True)
            ask = await at.worker.asked()
            await ask.say(TextDelta("b", 1), SideFailed(failure_of(UpstreamFailed("no"))))
            ask.end.set_result(Finish("stop", 1))
            *chunks, done = frames((await wire.answer())[2])
            ends = [
                (one["index"], one["finish_reason"]) for each in chunks for one in each["choices"]
            ]
            assert ends == [(0, None), (1, None), (1, None), (0, "error"), (1, "stop")]
            assert done == "[DONE]"

    play(story())


# -- what is on the wire --------------------------------------------------------------------------


def test_the_bytes_of_a_stream(tmp_path: Path) -> None:
    """Headers against buffering; a role, the content, the reason, the end."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await at.wire(stream=True, user="me")
            await (await at.worker.asked()).tell("a")
            status, headers, body = await wire.answer()
            assert status == 200
            assert headers["content-type"] == "text/event-stream; charset=utf-8"
            assert headers["cache-control"] == "no-cache"
            assert headers["x-accel-buffering"] == "no"
            assert headers["x-arenad-ignored"] == "user"
            assert headers["x-arenad-usage"] == "estimated"
            role, piece, last, done = frames(body)
            deltas = [frame["choices"][0]["delta"] for frame in (role, piece, last)]
            assert deltas == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]
            assert done == "[DONE]"
            chat(wire)  # the connection is good for more
            await (await at.worker.asked()).tell("b")
            assert (await wire.answer())[0] == 200

    play(story())


def test_a_late_failure_is_one_frame(tmp_path: Path) -> None:
    """No finish, no [DONE], and the connection ends."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await at.wire(stream=True)
            ask = await at.worker.asked()
            await ask.say(TextDelta("a"))
            ask.fail(UpstreamFailed("cut"))
            _, _, body = await wire.answer()
            *chunks, error = frames(body)
            assert error["error"]["message"] == "cut"
            assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None]
            assert await wire.reader.read() == b""
            assert (at.count("failed"), at.count("answered")) == (1, 0)

    play(story())


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_bug_is_an_error_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    """Before the first byte it is a 500, after it an error frame; its text stays in the log."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await at.wire(stream=True)
            ask = await at.worker.asked()
            if has_begun:
                await ask.say(TextDelta("a"))
                await wire.head()

            def broken(_writer: vocabulary.Writer, _event: Event) -> bytes:
                raise ZeroDivisionError("a secret")

            monkeypatch.setattr(vocabulary.Writer, "event", broken)
            await ask.say(TextDelta("b"))
            if has_begun:
                body = await wire.reader.read()
                assert b"internal_error" in body
                assert b"[DONE]" not in body
            else:
                status, _, body = await wire.answer()
                assert status == 500
            assert b"secret" not in body
            await ask.cancelled.wait()
            assert at.count("failed") == 1

    play(story())


def test_silence_is_filled_with_comments(tmp_path: Path) -> None:
    """After `chat.keepalive_s` the status is sent and comments follow, also while queued."""

    async def story() -> None:
        async with scene(tmp_path, ChatConfig(keepalive_s=0.01)) as at:
            _running = await at.wire()
            ask = await at.worker.asked()
            wire = await at.wire(stream=True)
            await wire.reader.readuntil(vocabulary.KEEP_ALIVE)
            await ask.tell("a")
            await (await at.worker.asked()).tell("b")
            body = await wire.reader.readuntil(b"[DONE]")
            assert b'{"content":"b"}' in body

    play(story())


# -- clients that leave ---------------------------------------------------------------------------


def test_leaving_the_queue(tmp_path: Path) -> None:
    """The ticket goes with its client; nobody is asked for it."""

    async def story() -> None:
        async with scene(tmp_path) as at:
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

    play(story())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", [[], [TextDelta("a")]])
def test_leaving_a_chat_stops_it(tmp_path: Path, stream: bool, said: list[Event]) -> None:
    """Before the first event and after it, streamed or not: one CANCEL, and the slot is free."""

    async def story() -> None:
        async with scene(tmp_path) as at:
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

    play(story())


PIECE = TextDelta("x" * 16_384)
PIECES = 4000
"""64 MB: far more than all buffers on the way hold together."""


async def _slow_wire(address: Address) -> Wire:
    """A connection whose own buffers are as small as they get."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    end.setblocking(False)
    await asyncio.get_running_loop().sock_connect(end, address)
    wire = Wire(*await asyncio.open_connection(sock=end, limit=4096))
    wire.writer.transport.pause_reading()
    return wire


def test_a_client_that_reads_nothing_is_hung_up_on(tmp_path: Path) -> None:
    """The worker is held back, what is held in between is bounded, and the slot comes back."""

    async def story() -> None:
        async with scene(tmp_path, ChatConfig(idle_timeout_s=0.3)) as at:
            wire = await _slow_wire(at.address)
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

    play(story())


def test_a_slow_reader_gets_everything(tmp_path: Path) -> None:
    """Being slow costs time, never text."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await _slow_wire(at.address)
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
            assert "".join(each["choices"][0]["delta"]["content"] for each in chunks) == "".join(
                texts
            )

    play(story())


# -- bad requests, health, the end ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{", None), (b'{"a":' + b"[" * 100_000, None), (b'{"model":"echo"}', "messages")],
)
def test_a_bad_body_is_no_chat(tmp_path: Path, body: bytes, param: str | None) -> None:
    """400, the field at fault, and nothing is counted."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await Wire.to(at.address)
            wire.send(CHAT, body, Host="localhost")
            status, headers, answer = await wire.answer()
            assert (status, json.loads(answer)["error"]["param"]) == (400, param)
            assert headers["openai-processing-ms"].isdigit()
            assert at.count("accepted") == 0

    play(story())


def test_a_foreign_page_cannot_chat(tmp_path: Path) -> None:
    """A page may send a form here without asking; it is not performed."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await Wire.to(at.address)
            body = json.dumps({"model": "echo", "messages": HELLO}).encode()
            wire.send(CHAT, body, Host="localhost", Origin="http://evil.example")
            assert (await wire.answer())[0] == 403
            assert at.count("accepted") == 0

    play(story())


def test_a_client_that_leaves_in_its_body(tmp_path: Path) -> None:
    """A body that was declared longer than it is begins nothing."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await Wire.to(at.address)
            wire.send(CHAT, b"{", Host="localhost", Content_Length="100")
            await wire.writer.drain()
            wire.leave()
            probe = await Wire.to(at.address)
            probe.send("GET /healthz HTTP/1.1", Host="localhost")
            assert (await probe.answer())[0] == 200
            assert at.count("accepted") == 0

    play(story())


def test_health_and_readiness(tmp_path: Path) -> None:
    """The process is healthy while it serves; it is ready while an instance can be asked."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            wire = await Wire.to(at.address)

            async def status(path: str) -> int:
                wire.send(f"GET {path} HTTP/1.1", Host="localhost")
                return (await wire.answer())[0]

            ready = [await status(path) for path in ("/health", "/healthz", "/readyz")]
            assert ready == [200, 200, 200]
            at.worker.die()
            await until(lambda: not at.stage.dispatch.is_ready())
            assert [await status(path) for path in ("/healthz", "/readyz")] == [200, 503]

    play(story())


def test_closing_is_told(tmp_path: Path) -> None:
    """In a drain every answer ends its connection, and idle means idle."""

    async def story() -> None:
        async with scene(tmp_path) as at:
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

    play(story())


@pytest.mark.parametrize("stream", [True, False])
def test_how_a_conversation_went_is_told_in_headers(tmp_path: Path, stream: bool) -> None:
    """As far as it is known when they are sent; a name that no header can carry is left out."""

    async def story() -> None:
        async with scene(tmp_path) as made:
            wire = await made.wire(stream=stream, conversation="affinity")
            ask = await made.worker.asked()
            assert ask.chat.strategy == "affinity"
            await ask.say(Began("new"), Began("new", "s1"), TextDelta("hi"))
            await ask.say(Began("new", "s1", "m\r\n1"))
            ask.finish()
            _, headers, _ = await wire.answer()
            assert headers["x-arenad-conversation"] == "new"
            assert headers["x-arenad-session"] == "s1"
            assert "x-arenad-message" not in headers

    play(story())
