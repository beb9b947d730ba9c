"""api: what the real clients of the other vocabularies make of the endpoint, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest
from api_scene import HELLO, Address, Scene, client, frames, served
from scripted import Wire, until

from arenad.errors import ContentRejected, RequestError, Resting, Unavailable, UpstreamFailed
from arenad.schema.chat import Heartbeat, Image, ReasoningDelta, TextDelta
from arenad.schema.config import QueueConfig


@asynccontextmanager
async def claude(address: Address) -> AsyncIterator[anthropic.AsyncAnthropic]:
    http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=f"http://{address[0]}:{address[1]}",
        api_key="none",
        max_retries=0,
        http_client=http,
    ) as made:
        yield made


THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@served()
async def test_a_message_is_streamed(at: Scene) -> None:
    """Thinking, then text, as they are said; the client's own sum of it all is whole."""
    async with claude(at.address) as theirs:
        stream = theirs.messages.stream(
            model="echo", max_tokens=99, messages=HELLO, system="be brief", thinking=THINKING
        )

        async def collect() -> tuple[list[str], anthropic.types.Message]:
            async with stream as answer:
                kinds = [event.type async for event in answer]
                return kinds, await answer.get_final_message()

        asking = asyncio.ensure_future(collect())
        ask = await at.worker.asked()
        assert [(turn.role, turn.text) for turn in ask.chat.turns] == [
            ("system", "be brief"),
            ("user", "hello"),
        ]
        assert ask.chat.battle_target == "A"
        await ask.say(Heartbeat(), ReasoningDelta("hm"), TextDelta("thr"), TextDelta("ée"))
        ask.finish("length")
        kinds, message = await asking
        assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.content[1].text == "thrée"
        assert message.stop_reason == "max_tokens"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (13, 3)
        await until(lambda: at.count("answered") == 1)


@served()
async def test_a_message_comes_whole(at: Scene) -> None:
    """With its request's id, where that client looks for it."""
    async with claude(at.address) as theirs:
        asking = asyncio.ensure_future(
            theirs.messages.create(model="echo", max_tokens=9, messages=HELLO)
        )
        ask = await at.worker.asked()
        await ask.say(ReasoningDelta("hm"), TextDelta("a"), Image("http://a/"))
        ask.finish()
        message = await asking
        (block,) = message.content
        assert block.text == "a![image](http://a/)"
        assert (message.stop_reason, message._request_id) == ("end_turn", ask.chat.request_id)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "theirs", "kind"),
    [
        (ContentRejected("not this"), anthropic.BadRequestError, "invalid_request_error"),
        (Resting("not this", retry_after_s=7), anthropic.RateLimitError, "rate_limit_error"),
        (Unavailable("not this"), anthropic.InternalServerError, "overloaded_error"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
@served()
async def test_an_early_failure_is_a_status(
    at: Scene, *, stream: bool, error: RequestError, theirs: Any, kind: str
) -> None:
    """In the words of that client, for a stream too."""
    async with claude(at.address) as each:
        asking = asyncio.ensure_future(
            each.messages.create(model="echo", max_tokens=9, messages=HELLO, stream=stream)
        )
        ask = await at.worker.asked()
        await ask.say(Heartbeat())
        ask.fail(error)
        with pytest.raises(theirs, match="not this") as told:
            await asking
        assert told.value.type == kind
        assert told.value.error_code == error.code
        assert told.value.request_id == ask.chat.request_id
        assert told.value.response.headers.get("retry-after") == (
            "7" if error.retry_after_s else None
        )


@served()
async def test_a_late_failure_is_one_event_and_no_end(at: Scene) -> None:
    """The client raises; on the wire no block is closed and no message stopped after it."""
    wire = await Wire.to(at.address)
    body = {"model": "echo", "max_tokens": 9, "messages": HELLO, "stream": True}
    wire.send("POST /v1/messages HTTP/1.1", json.dumps(body).encode(), Host="127.0.0.1")
    ask = await at.worker.asked()
    await ask.say(TextDelta("a"))
    ask.fail(UpstreamFailed("the site cut it"))
    _, _, written = await wire.answer()
    assert [frame["type"] for frame in frames(written)] == [
        *("message_start", "content_block_start", "content_block_delta", "error")
    ]
    async with claude(at.address) as theirs:
        opening = asyncio.ensure_future(
            theirs.messages.create(model="echo", max_tokens=9, messages=HELLO, stream=True)
        )
        ask = await at.worker.asked()
        await ask.say(TextDelta("a"))
        ask.fail(UpstreamFailed("the site cut it"))
        with pytest.raises(anthropic.APIStatusError, match="the site cut it"):
            async for _ in await opening:
                pass


@served()
async def test_what_is_said_in_a_thread_is_said_again_in_full(at: Scene) -> None:
    """By the client itself, which is told that nothing is stored here."""
    thread = {"thread": {"type": "continue", "previous_message_id": "msg_1"}}
    async with claude(at.address) as theirs:
        with pytest.raises(anthropic.BadRequestError, match="send all that was said") as told:
            await theirs.messages.create(
                model="echo", max_tokens=9, messages=HELLO, extra_body=thread
            )
        assert told.value.body["error"]["details"]["error_code"] == "thread_unsupported_request"
        assert not at.worker.is_asked


@served()
async def test_the_tokens_of_an_input_are_counted(at: Scene) -> None:
    """By OpenAI's client, as Anthropic's counts those of a message."""
    async with client(at.address) as theirs:
        counted = await theirs.responses.input_tokens.count(
            model="echo", input="hello", instructions="x" * 400
        )
        assert counted.input_tokens == 61
        with pytest.raises(openai.BadRequestError, match="input: is"):
            await theirs.responses.input_tokens.count(model="echo", input=[])


@served()
async def test_a_bad_message_is_refused_in_its_own_words(at: Scene) -> None:
    """By a field, by a path below, by a method; and other paths keep theirs."""
    async with claude(at.address) as theirs:
        with pytest.raises(anthropic.BadRequestError, match="tools: is") as told:
            await theirs.messages.create(
                model="echo",
                max_tokens=9,
                messages=HELLO,
                tools=[{"name": "f", "input_schema": {"type": "object"}}],
            )
        assert told.value.type == "invalid_request_error"
        with pytest.raises(anthropic.NotFoundError) as missing:
            await theirs.messages.batches.list()
        assert missing.value.type == "not_found_error"
        with pytest.raises(anthropic.NotFoundError, match="no 'nope'") as unknown:
            await theirs.models.retrieve("nope")
        assert unknown.value.type == "not_found_error"
    wire = await Wire.to(at.address)
    wire.send("GET /v1/messagesx HTTP/1.1", Host="127.0.0.1")
    assert json.loads((await wire.answer())[2])["error"]["code"] == "not_found"


@served()
async def test_tokens_are_counted_without_an_instance(at: Scene) -> None:
    """And marked as the estimate that they are."""
    async with claude(at.address) as theirs:
        counted = await theirs.messages.with_raw_response.count_tokens(
            model="echo", messages=HELLO, system="x" * 400
        )
        assert counted.headers["x-arenad-usage"] == "estimated"
        assert (await counted.parse()).input_tokens == 61
        assert not at.worker.is_asked
        with pytest.raises(anthropic.BadRequestError, match="messages: is"):
            await theirs.messages.count_tokens(model="echo", messages=[])


@served(queue=QueueConfig(limit=1))
async def test_a_full_queue_is_a_rate_limit(at: Scene) -> None:
    """The first has the seat, the second waits, the third is told."""
    async with claude(at.address) as theirs:
        create = theirs.messages.create
        first = asyncio.ensure_future(create(model="echo", max_tokens=9, messages=HELLO))
        ask = await at.worker.asked()
        second = asyncio.ensure_future(create(model="echo", max_tokens=9, messages=HELLO))
        await until(lambda: at.stage.dispatch.seats.queued == 1)
        with pytest.raises(anthropic.RateLimitError) as told:
            await create(model="echo", max_tokens=9, messages=HELLO)
        assert told.value.type == "rate_limit_error"
        await ask.tell("a")
        await first
        await (await at.worker.asked()).tell("b")
        await second


@pytest.mark.parametrize("stream", [False, True])
@served()
async def test_a_client_that_leaves_stops_its_message(at: Scene, *, stream: bool) -> None:
    """The instance hears of it."""
    async with claude(at.address) as theirs:
        asking = asyncio.ensure_future(
            theirs.messages.create(model="echo", max_tokens=9, messages=HELLO, stream=stream)
        )
        ask = await at.worker.asked()
        asking.cancel()
        await ask.cancelled.wait()
        await until(lambda: at.count("cancelled") == 1)


# -- legacy completions ---------------------------------------------------------------------------


@served()
async def test_a_completion_is_streamed(at: Scene) -> None:
    """Pieces, the reason, the usage."""
    async with client(at.address) as theirs:
        opening = asyncio.ensure_future(
            theirs.completions.create(
                model="echo", prompt="hi", stream=True, stream_options={"include_usage": True}
            )
        )
        ask = await at.worker.asked()
        assert [(turn.role, turn.text) for turn in ask.chat.turns] == [("user", "hi")]
        await ask.say(Heartbeat(), ReasoningDelta("hm"), TextDelta("thr"))
        await ask.tell("ée")
        chunks = [chunk async for chunk in await opening]
        texts = [choice.text for chunk in chunks for choice in chunk.choices]
        assert texts == ["thr", "ée", ""]
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage is not None


@served()
async def test_a_completion_comes_whole(at: Scene) -> None:
    """As text; a field that is refused is an error of OpenAI's."""
    async with client(at.address) as theirs:
        asking = asyncio.ensure_future(theirs.completions.create(model="echo", prompt="hi"))
        await (await at.worker.asked()).tell("thrée")
        whole = await asking
        assert (whole.object, whole.choices[0].text) == ("text_completion", "thrée")
        with pytest.raises(openai.BadRequestError, match="suffix: is") as told:
            await theirs.completions.create(model="echo", prompt="hi", suffix="x")
        assert told.value.param == "suffix"


@served()
async def test_a_completion_fails_in_mid_stream(at: Scene) -> None:
    """One error event, and no end."""
    async with client(at.address) as theirs:
        opening = asyncio.ensure_future(
            theirs.completions.create(model="echo", prompt="hi", stream=True)
        )
        ask = await at.worker.asked()
        await ask.say(TextDelta("a"))
        ask.fail(UpstreamFailed("the site cut it"))
        with pytest.raises(openai.APIError, match="the site cut it"):
            async for _ in await opening:
                pass


# -- responses ------------------------------------------------------------------------------------


@served()
async def test_a_response_is_streamed(at: Scene) -> None:
    """The client's own sum of the events is the answer."""
    async with client(at.address) as theirs:

        async def collect() -> Any:
            async with theirs.responses.stream(model="echo", input="hi") as stream:
                kinds = [event.type async for event in stream]
                assert kinds[-1] == "response.completed"
                return await stream.get_final_response()

        asking = asyncio.ensure_future(collect())
        ask = await at.worker.asked()
        assert [(turn.role, turn.text) for turn in ask.chat.turns] == [("user", "hi")]
        await ask.say(Heartbeat(), ReasoningDelta("hm"), TextDelta("thr"))
        await ask.tell("ée")
        response = await asking
        assert [item.type for item in response.output] == ["reasoning", "message"]
        assert response.output_text == "thrée"


@served()
async def test_a_response_comes_whole_or_is_refused(at: Scene) -> None:
    """As items; a field that is refused, or a path of what is stored, is an error."""
    async with client(at.address) as theirs:
        asking = asyncio.ensure_future(theirs.responses.create(model="echo", input="hi"))
        await (await at.worker.asked()).tell("thrée")
        assert (await asking).output_text == "thrée"
        with pytest.raises(openai.BadRequestError, match="nothing is stored") as told:
            await theirs.responses.create(model="echo", input="hi", previous_response_id="r")
        assert told.value.param == "previous_response_id"
        with pytest.raises(openai.NotFoundError):
            await theirs.responses.retrieve("resp_1")


@served()
async def test_a_response_fails_in_mid_stream(at: Scene) -> None:
    """The client raises, and no end was told."""
    async with client(at.address) as theirs:
        opening = asyncio.ensure_future(
            theirs.responses.create(model="echo", input="hi", stream=True)
        )
        ask = await at.worker.asked()
        await ask.say(TextDelta("a"))
        ask.fail(UpstreamFailed("the site cut it"))
        events: list[Any] = []
        with pytest.raises(openai.APIError, match="the site cut it"):
            await _gather(await opening, events)
        assert events[-1].type == "response.output_text.delta"


async def _gather(stream: Any, into: list[Any]) -> None:
    """Keep what comes, also if an error ends it."""
    async for each in stream:
        into.append(each)  # noqa: PERF401 - a comprehension would lose it all
