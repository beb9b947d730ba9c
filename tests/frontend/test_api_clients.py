"""api: what the real client makes of the endpoint, over real sockets."""

import asyncio
from typing import Any

import openai
import pytest
from api_scene import HELLO, Scene, client, frames, served
from openai.types.chat.chat_completion_message import Annotation
from scripted import Ask, until

from arenad.errors import ContentRejected, Resting, UpstreamFailed
from arenad.schema.chat import (
    Citation,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    failure_of,
)


@served()
async def test_the_real_client_streams(at: Scene) -> None:
    """Pieces arrive as they are said, then the reason, then the usage."""
    async with client(at.address) as theirs:
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


@served()
async def test_the_real_client_gets_a_whole(at: Scene) -> None:
    """Text, reasoning and images in one object; beats of the worker are no content."""
    async with client(at.address) as theirs:
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


SAID = (
    TextDelta("é "),
    Image("data:,"),
    Citation("http://a/", "A"),
    Citation("http://b/", ""),
    Image("http://c/"),
)


@pytest.mark.parametrize("stream", [False, True])
@served()
async def test_the_real_client_has_sources(at: Scene, *, stream: bool) -> None:
    """As annotations that point into the text; its own helper joins those of a stream."""
    async with client(at.address) as theirs:

        async def chat() -> Any:
            if not stream:
                return await theirs.chat.completions.create(model="echo", messages=HELLO)
            async with theirs.chat.completions.stream(model="echo", messages=HELLO) as told:
                return await told.get_final_completion()

        asking = asyncio.ensure_future(chat())
        ask = await at.worker.asked()
        await ask.say(*SAID)
        ask.finish()
        message = (await asking).choices[0].message
        assert message.content == "é \n[A](http://a/)\n[http://b/](http://b/)![image](http://c/)"
        assert len(message.model_extra["images"]) == 2
        cited = [each.url_citation for each in map(_typed, message.annotations)]
        assert [(each.url, each.title) for each in cited] == [
            ("http://a/", "A"),
            ("http://b/", "http://b/"),
        ]
        assert [message.content[each.start_index : each.end_index] for each in cited] == [
            "[A](http://a/)",
            "[http://b/](http://b/)",
        ]


def _typed(told: Any) -> Annotation:
    """The helper for streams leaves what it joins as it came."""
    return told if isinstance(told, Annotation) else Annotation.model_validate(told)


@pytest.mark.parametrize("stream", [False, True])
@served()
async def test_responses_have_sources(at: Scene, *, stream: bool) -> None:
    """In the part of the text that they stand in."""
    async with client(at.address) as theirs:

        async def respond() -> Any:
            if not stream:
                return await theirs.responses.create(model="echo", input="hello")
            async with theirs.responses.stream(model="echo", input="hello") as told:
                return await told.get_final_response()

        asking = asyncio.ensure_future(respond())
        ask = await at.worker.asked()
        await ask.say(*SAID)
        ask.finish()
        part = (await asking).output[0].content[0]
        links = [part.text[each.start_index : each.end_index] for each in part.annotations]
        assert links == ["[A](http://a/)", "[http://b/](http://b/)"]
        assert [each.title for each in part.annotations] == ["A", "http://b/"]


@served()
async def test_the_real_client_lists_models(at: Scene) -> None:
    """The list, one of them, and the error for one that is not there."""
    async with client(at.address) as theirs:
        assert [model.id async for model in theirs.models.list()] == ["echo"]
        assert (await theirs.models.retrieve("echo")).object == "model"
        with pytest.raises(openai.NotFoundError, match="no 'a/b'") as told:
            await theirs.models.retrieve("a/b")
        assert told.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
@served()
async def test_an_early_failure_is_a_status(at: Scene, *, stream: bool) -> None:
    """What fails before the first content fails as HTTP, for a stream too."""
    async with client(at.address) as theirs:
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


@served()
async def test_retry_after_is_passed_on(at: Scene) -> None:
    """A site's wish for patience reaches the client in whole seconds."""
    wire = await at.wire()
    (await at.worker.asked()).fail(Resting("a moment", retry_after_s=41.6))
    status, headers, _ = await wire.answer()
    assert (status, headers["retry-after"]) == (429, "42")


@served()
async def test_the_real_client_raises_in_mid_stream(at: Scene) -> None:
    """A late failure is an error for the client's loop, not an end of it."""
    async with client(at.address) as theirs:
        opening = asyncio.ensure_future(
            theirs.chat.completions.create(model="echo", messages=HELLO, stream=True)
        )
        ask = await at.worker.asked()
        await ask.say(TextDelta("a"))
        ask.fail(UpstreamFailed("the site cut it"))
        with pytest.raises(openai.APIError, match="the site cut it"):
            async for _ in await opening:
                pass


@served()
async def test_what_no_chat_page_can_do_is_told(at: Scene) -> None:
    """By the path's own reason, with a status that no client takes for a moment's trouble."""
    async with client(at.address) as theirs:
        for asking, why in (
            (theirs.embeddings.create(model="echo", input="a"), "gives no embeddings"),
            (theirs.audio.speech.create(model="echo", input="a", voice="ash"), "takes no sound"),
            (theirs.audio.transcriptions.create(model="echo", file=b"a"), "takes no sound"),
            (theirs.moderations.create(input="a"), "judges no texts"),
            (theirs.images.edit(model="echo", image=b"a", prompt="a"), "/v1/chat/completions"),
            (theirs.responses.retrieve("resp_1"), "nothing is stored"),
            (theirs.batches.retrieve("batch_1"), "send a request for each"),
            (theirs.chat.completions.retrieve("chatcmpl-1"), "nothing is stored"),
            (theirs.containers.retrieve("c"), "no code is run"),
            (theirs.evals.retrieve("e"), "not evaluated"),
        ):
            with pytest.raises(openai.NotFoundError, match=why) as told:
                await asking
            assert told.value.code == "unsupported_endpoint"


async def _fight(ask: Ask) -> None:
    """Both sides answer; the second one fails in the end."""
    await ask.say(TextDelta("a"), TextDelta("x", 1), ReasoningDelta("y", 1), TextDelta("b"))
    await ask.say(SideFailed(failure_of(UpstreamFailed("the model failed")), 1))
    ask.finish()


@served()
async def test_the_real_client_has_two_choices(at: Scene) -> None:
    """Of a battle, streamed and whole: a side that failed says so, and the other one is whole."""
    async with client(at.address) as theirs:
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


@served()
async def test_an_answer_that_only_its_second_side_ends(at: Scene) -> None:
    """The reason of the whole one is the last chunk before the end."""
    at.worker.models = ("battle",)
    await at.stage.enlist(at.worker)
    wire = await at.wire(model="battle", stream=True)
    ask = await at.worker.asked()
    await ask.say(TextDelta("b", 1), SideFailed(failure_of(UpstreamFailed("no"))))
    ask.end.set_result(Finish("stop", 1))
    *chunks, done = frames((await wire.answer())[2])
    ends = [(one["index"], one["finish_reason"]) for each in chunks for one in each["choices"]]
    assert ends == [(0, None), (1, None), (1, None), (0, "error"), (1, "stop")]
    assert done == "[DONE]"
