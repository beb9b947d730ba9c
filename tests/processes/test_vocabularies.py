"""The endpoint's other vocabularies through the whole daemon, with the real clients of each."""

import asyncio
import base64
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import official
import openai
import pytest
from anthropic.types import MessageParam
from chats import client
from daemon import Daemon, running, until

from arenad.demo.drawing import picture

ECHO = "demo-echo"
TEXT = (
    "汉字かな — “quoted”\n\n```python\nprint(1)\n```\ndata: [DONE]\n\nevent: message_stop 👩‍👩‍👧‍👦"
)
PICTURE = picture("rings")
THINKING: Any = {"type": "adaptive"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One instance against the built-in demo arena; one request may wait."""
    with running(1, queue={"limit": 1}) as daemon:
        yield daemon


def claude(daemon: Daemon) -> anthropic.AsyncAnthropic:
    """A client that does not retry by itself: what fails must be seen."""
    return anthropic.AsyncAnthropic(
        base_url=daemon.api_url, api_key="none", max_retries=0, timeout=90
    )


def user(content: Any) -> MessageParam:
    return {"role": "user", "content": content}


async def whole(daemon: Daemon, *messages: MessageParam, **more: Any) -> anthropic.types.Message:
    async with claude(daemon) as each:
        given: dict[str, Any] = {"model": ECHO, "max_tokens": 1000, "messages": messages} | more
        return await each.messages.create(**given)


async def streamed(daemon: Daemon, text: str, **more: Any) -> anthropic.types.Message:
    async with claude(daemon) as each:
        given: dict[str, Any] = {"model": ECHO, "max_tokens": 1000, "messages": [user(text)]}
        async with each.messages.stream(**given | more) as stream:
            return await stream.get_final_message()


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def stats(daemon: Daemon) -> dict[str, int]:
    with urllib.request.urlopen(f"{daemon.demo_url}/demo/stats", timeout=5) as answer:
        return json.load(answer)


LEAST: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [user("PROMPT")]},
    "/v1/completions": {"prompt": "PROMPT"},
    "/v1/images/generations": {"prompt": "PROMPT"},
    "/v1/responses": {"input": "PROMPT"},
    "/v1/messages": {"messages": [user("PROMPT")], "max_tokens": 1000},
}
"""The least that each path takes, for any prompt."""

LEAST_EVENTS = {"/v1/images/generations": 1}
"""Of a whole stream, where there may be fewer than three."""


def asked(daemon: Daemon, path: str, prompt: str, **more: Any) -> tuple[int, bytes]:
    """Status and body, as they come."""
    body = json.dumps(LEAST[path] | more).replace('"PROMPT"', json.dumps(prompt)).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{daemon.api_url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("path", LEAST)
@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        (ECHO, TEXT),
        ("demo-reasoning", TEXT),
        ("demo-image", "a circle"),
        ("demo-search", "two words"),
        (ECHO, "word " * 100 + "[[demo:filtered]]"),
        (ECHO, "word " * 100 + "[[demo:cut=200]]"),
        ("gpt-none", "x"),
    ],
)
def test_answers_are_as_their_makers_describe(
    daemon: Daemon, path: str, model: str, prompt: str
) -> None:
    """Each event and each object, by OpenAI's and Anthropic's own schemas; errors, too."""
    place = official.PLACES[path]
    status, body = asked(daemon, path, prompt, model=model, stream=True)
    if status == 200:
        count, faults = official.faults_of_stream(place, body)
        assert (count >= LEAST_EVENTS.get(path, 3), faults) == (True, [])
    else:
        assert not official.faults_of(place, status, body)
    assert not official.faults_of(place, *asked(daemon, path, prompt, model=model))


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_models_are_as_their_makers_describe(daemon: Daemon, headers: dict[str, str]) -> None:
    """The list, and one of it, for whoever asks."""
    for path in ("/v1/models", f"/v1/models/{ECHO}"):
        place = official.place_of(path, headers)
        request = urllib.request.Request(f"{daemon.api_url}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert place
            assert not official.faults_of(place, 200, answer.read())
    assert ECHO in asyncio.run(names_of_models(daemon))


async def names_of_models(daemon: Daemon) -> list[str]:
    async with claude(daemon) as each:
        return [model.display_name async for model in each.models.list()]


def test_messages_stream_and_come_whole(daemon: Daemon) -> None:
    """What the model sent, character by character, its reason and its numbers."""
    for message in (
        asyncio.run(streamed(daemon, TEXT)),
        asyncio.run(whole(daemon, user(TEXT))),
    ):
        assert text_of(message) == TEXT
        assert (message.stop_reason, message.model, message.role) == ("end_turn", ECHO, "assistant")
        assert message.usage.output_tokens > 10


def test_reasoning_is_thinking(daemon: Daemon) -> None:
    """Streamed and whole the same; and only for who asks for it."""
    ask = {"model": "demo-reasoning"}
    one = asyncio.run(streamed(daemon, "why?", thinking=THINKING, **ask))
    other = asyncio.run(whole(daemon, user("why?"), thinking=THINKING, **ask))
    for message in (one, other):
        thinking, text = message.content
        assert thinking.type == "thinking"
        assert thinking.thinking
        assert text.type == "text"
    silent = asyncio.run(whole(daemon, user("why?"), **ask))
    assert [block.type for block in silent.content] == ["text"]


def test_system_and_pictures_reach_the_page(daemon: Daemon) -> None:
    """The site sees the words of both roles, and the very bytes."""
    source = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(PICTURE).decode(),
    }
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "look"}]
    told = text_of(asyncio.run(whole(daemon, user(blocks), model="demo-files")))
    assert json.loads(told)["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert "be brief" in text_of(asyncio.run(whole(daemon, user("look"), system="be brief")))


def test_a_conversation_goes_on(daemon: Daemon) -> None:
    """The blocks of an answer, sent back as they came, are known again, thinking and all."""

    async def talk() -> str:
        async with claude(daemon) as each:
            ask: dict[str, Any] = {
                "model": "demo-reasoning",
                "max_tokens": 1000,
                "thinking": THINKING,
                "system": "be brief",
            }
            first = await each.messages.create(messages=[user("one")], **ask)
            said: list[MessageParam] = [
                user("one"),
                {"role": "assistant", "content": first.content},
                user("two"),
            ]
            raw = await each.messages.with_raw_response.create(messages=said, **ask)
            return raw.headers["x-arenad-conversation"]

    assert asyncio.run(talk()) == "continued"


def test_a_battle_has_one_author(daemon: Daemon) -> None:
    """Of two models side by side the first one is told, or the one that is wanted."""
    pair = f"demo-eliza,{ECHO}"
    assert text_of(asyncio.run(whole(daemon, user("a b"), model=pair))) != "a b"
    message = asyncio.run(streamed(daemon, "a b", model=pair, extra_body={"battle_target": "B"}))
    assert text_of(message) == "a b"


def test_a_failure_has_the_clients_own_name(daemon: Daemon) -> None:
    """No such model, a field that is refused, a full queue, and a site that cuts its answer."""
    with pytest.raises(anthropic.NotFoundError, match="gpt-none") as told:
        asyncio.run(streamed(daemon, "x", model="gpt-none"))
    assert (told.value.type, told.value.error_code) == ("not_found_error", "model_not_found")
    with pytest.raises(anthropic.BadRequestError, match="tools: is"):
        asyncio.run(whole(daemon, user("x"), tools=[{"name": "f", "input_schema": {}}]))

    async def crowd() -> list[Any]:
        slow = [streamed(daemon, "word " * 40) for _ in range(6)]
        return await asyncio.gather(*slow, return_exceptions=True)

    answers = asyncio.run(crowd())
    refused = [each for each in answers if isinstance(each, anthropic.RateLimitError)]
    assert {each.type for each in refused} == {"rate_limit_error"}
    assert len(answers) > len(refused) > 0
    assert all(isinstance(each, anthropic.types.Message) for each in answers if each not in refused)

    long = "word " * 100 + "[[demo:cut=200]]"
    with pytest.raises(anthropic.APIStatusError) as cut:
        asyncio.run(streamed(daemon, long))
    assert cut.value.type == "api_error"
    with pytest.raises(anthropic.InternalServerError):
        asyncio.run(whole(daemon, user(long)))


@pytest.mark.parametrize("after_first", [True, False])
def test_a_client_that_leaves_stops_the_page(daemon: Daemon, after_first: bool) -> None:
    """In mid-stream, and while it waits for a whole one."""
    ended = stats(daemon)["stopped"] + stats(daemon)["left"]

    async def leave() -> None:
        async with claude(daemon) as each:
            asking = each.messages.create(
                model=ECHO, max_tokens=999, messages=[user("word " * 400)], stream=after_first
            )
            if after_first:
                async with await asking as stream:
                    async for event in stream:
                        if event.type == "content_block_delta":
                            return
            task = asyncio.ensure_future(asking)
            await asyncio.to_thread(until, lambda: stats(daemon)["running"] > 0, "the site answers")
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(leave())
    now = lambda: stats(daemon)["stopped"] + stats(daemon)["left"]  # noqa: E731
    until(lambda: now() > ended, "the site stops")
    until(lambda: stats(daemon)["running"] == 0, "nothing runs at the site")


def test_completions_stream_and_come_whole(daemon: Daemon) -> None:
    """The legacy call, and its errors."""

    async def ask() -> None:
        async with client(daemon.api_url) as each:
            answer = await each.completions.create(model=ECHO, prompt=TEXT)
            assert answer.choices[0].text == TEXT
            stream = await each.completions.create(model=ECHO, prompt=[TEXT], stream=True)
            choices = [chunk.choices[0] async for chunk in stream]
            assert "".join(choice.text for choice in choices) == TEXT
            assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
            with pytest.raises(openai.NotFoundError) as told:
                await each.completions.create(model="gpt-none", prompt="x")
            assert told.value.code == "model_not_found"
            with pytest.raises(openai.BadRequestError, match="echo: is"):
                await each.completions.create(model=ECHO, prompt="x", echo=True)
            cut = await each.completions.create(
                model=ECHO, prompt="word " * 100 + "[[demo:cut=200]]", stream=True
            )
            with pytest.raises(openai.APIError):
                async for _ in cut:
                    pass

    asyncio.run(ask())


def test_responses_stream_and_come_whole(daemon: Daemon) -> None:
    """An input and its answer, which goes on when it is sent back; and an error."""

    async def ask() -> None:
        async with client(daemon.api_url) as each:
            async with each.responses.stream(model=ECHO, input=TEXT) as stream:
                async for _ in stream:
                    pass
                assert (await stream.get_final_response()).output_text == TEXT
            first = await each.responses.create(model=ECHO, input=TEXT)
            assert first.output_text == TEXT
            said: Any = [{"role": "user", "content": TEXT}, *first.output]
            raw = await each.responses.with_raw_response.create(
                model=ECHO, input=[*said, {"role": "user", "content": "on"}]
            )
            assert raw.headers["x-arenad-conversation"] == "continued"
            with pytest.raises(openai.NotFoundError) as told:
                await each.responses.create(model="gpt-none", input="x")
            assert told.value.code == "model_not_found"

    asyncio.run(ask())


def test_a_stop_sequence_stops_the_page(daemon: Daemon) -> None:
    """The site answers no more, and the next chat is served."""
    stopped = stats(daemon)["stopped"]
    text = "word " * 20 + "STOP " * 400
    message = asyncio.run(streamed(daemon, text, stop_sequences=["STOP"]))
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")
    assert text_of(message) == "word " * 20
    until(lambda: stats(daemon)["stopped"] > stopped, "the page stops the site")
    message = asyncio.run(whole(daemon, user("word " * 400), max_tokens=5))
    assert (message.stop_reason, text_of(message)) == ("max_tokens", "word word word word word")
    assert text_of(asyncio.run(whole(daemon, user(TEXT)))) == TEXT


def test_tokens_are_counted(daemon: Daemon) -> None:
    """An estimate, and no chat."""

    async def count() -> int:
        async with claude(daemon) as each:
            answer = await each.messages.count_tokens(model=ECHO, messages=[user("x" * 400)])
            return answer.input_tokens

    assert asyncio.run(count()) == 56
