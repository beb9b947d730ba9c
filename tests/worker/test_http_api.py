"""An OpenAI-compatible upstream as a site, against a real one on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from openai_upstream import Upstream, serving_upstream

from arenad.errors import RequestError
from arenad.schema.chat import Chat, Event, Finish, ReasoningDelta, TextDelta, Turn
from arenad.schema.config import BrowserConfig, HealthConfig
from arenad.schema.process import WorkerSettings
from arenad.schema.profile import Landmarks, Limits, ModelRules, Profile, StreamRules
from arenad.worker.calling import Calling
from arenad.worker.sites.http_api import ApiSite

ENOUGH_S = 20.0
KEY = "sk-THE-KEY"


def _profile(models: ModelRules | None = None, prompt_chars: int = 0) -> Profile:
    return Profile(
        version=1,
        name="up",
        kind="openai-http",
        landmarks=Landmarks(prompt=()),
        stream=StreamRules(url_pattern="."),
        models=models or ModelRules(),
        limits=Limits(prompt_chars=prompt_chars),
    )


@contextlib.asynccontextmanager
async def _site(url: str, profile: Profile | None = None, key: str = "") -> AsyncIterator[ApiSite]:
    """On the footing that a worker gives to it."""
    settings = WorkerSettings(
        socket_path="",
        scratch_dir="",
        browser=BrowserConfig(),
        profile=profile or _profile(),
        site_url=url,
        health=HealthConfig(),
        slots=1,
        site_key=key,
    )
    footing = Calling(settings, "w1")
    try:
        yield await footing.start()
    finally:
        await footing.close()


def _chat(model: str, *texts: str, first_s: float = ENOUGH_S, idle_s: float = ENOUGH_S) -> Chat:
    turns = tuple(Turn(role="user", text=text) for text in texts or ("one two",))
    return Chat("r1", model, turns, first_s, idle_s, ENOUGH_S)


async def _answer(site: ApiSite, chat: Chat) -> tuple[list[Event], Finish | RequestError]:
    """The events, and how it ended."""
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    try:
        return events, await site.chat(chat, emit)
    except RequestError as error:
        return events, error


def _text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def _opened(
    upstream: Upstream, chat: Chat, key: str = ""
) -> tuple[list[Event], Finish | RequestError]:
    """Open the site, which then offers the wanted model, and perform one chat."""
    upstream.models = (chat.model,)
    async with _site(upstream.url, key=key) as site:
        await site.open()
        return await _answer(site, chat)


def test_an_answer_streams() -> None:
    """Piece by piece, to the letter, with the conversation as it was."""

    async def story() -> None:
        async with serving_upstream() as upstream, _site(upstream.url) as site:
            await site.open()
            assert "echo" in [model.id for model in site.models]
            assert site.models[0].owner == "tests"
            long = "naïve 漢字 🙂 " * 5000
            events, end = await _answer(site, _chat("echo", "before", long))
            assert (_text(events), end) == (long, Finish("stop"))
            said = [each["content"] for each in upstream.asked[0]["messages"]]
            assert said == ["before", long]
            assert await site.stop()

    asyncio.run(story())


@pytest.mark.parametrize(("model", "reason"), [("whole", "length"), ("thinking", "stop")])
def test_reasoning_comes_too(model: str, reason: str) -> None:
    """In a stream, and from an upstream that answers in one piece though it was asked to stream."""

    async def story() -> None:
        async with serving_upstream() as upstream:
            events, end = await _opened(upstream, _chat(model))
            assert (_text(events), end) == ("one two", Finish(reason))
            assert ReasoningDelta("hm") in events

    asyncio.run(story())


@pytest.mark.parametrize(
    ("model", "kind", "told"),
    [
        ("cut", "upstream", "cut"),
        ("unfinished", "upstream", "cut off before its end"),
        ("failing", "upstream", "out of memory"),
        ("401", "needs_login", "refused as 401"),
        ("429", "resting", "refused as 429"),
        ("500", "upstream", "refused as 500"),
        ("302", "profile_outdated", "/elsewhere"),
        ("code-context_length_exceeded", "chat_full", "as coded"),
        ("code-other", "invalid_request", "as coded"),
    ],
)
def test_what_is_no_answer_is_an_error(model: str, kind: str, told: str) -> None:
    """Never a false end; what came before is passed on."""

    async def story() -> None:
        async with serving_upstream() as upstream:
            events, end = await _opened(upstream, _chat(model))
            assert isinstance(end, RequestError)
            assert end.kind == kind
            assert told in end.message
            assert "one two".startswith(_text(events))
            assert bool(events) == (model in ("cut", "unfinished", "failing"))
            assert end.retry_after_s == (2.0 if model == "429" else None)
            assert end.param == ("messages" if model.startswith("code-") else None)

    asyncio.run(story())


@pytest.mark.parametrize(("model", "told"), [("silent", "nothing came"), ("pausing", "paused")])
def test_silence_has_a_deadline(model: str, told: str) -> None:
    """Before the first event, and between two; the upstream sees that nobody listens any more."""

    async def story() -> None:
        async with serving_upstream() as upstream:
            first_s, idle_s = (0.2, ENOUGH_S) if model == "silent" else (ENOUGH_S, 0.2)
            chat = _chat(model, first_s=first_s, idle_s=idle_s)
            _, end = await _opened(upstream, chat)
            assert isinstance(end, RequestError)
            assert end.kind == "timeout"
            assert told in end.message
            assert await asyncio.to_thread(upstream.left.acquire, timeout=ENOUGH_S)

    asyncio.run(story())


@pytest.mark.parametrize("model", ["silent", "slow"])
def test_who_leaves_hangs_up(model: str) -> None:
    """A cancel reaches the upstream, before its answer has begun and in the middle of it."""

    async def story() -> None:
        async with serving_upstream() as upstream, _site(upstream.url) as site:
            await site.open()
            chat = asyncio.get_running_loop().create_task(_answer(site, _chat(model)))
            assert await asyncio.to_thread(upstream.under_way.acquire, timeout=ENOUGH_S)
            chat.cancel()
            with pytest.raises(asyncio.CancelledError):
                await chat
            assert await asyncio.to_thread(upstream.left.acquire, timeout=ENOUGH_S)
            assert await site.stop()

    asyncio.run(story())


def test_a_key_opens_and_is_never_shown() -> None:
    """Not even where the upstream repeats it."""

    async def story() -> None:
        async with serving_upstream(KEY) as upstream:
            events, end = await _opened(upstream, _chat("echo"), key=KEY)
            assert (_text(events), end) == ("one two", Finish("stop"))
            upstream.key = "another"
            async with _site(upstream.url, key=KEY) as site:
                with pytest.raises(RequestError, match="Incorrect API key: Bearer …") as raised:
                    await site.look()
                assert raised.value.kind == "needs_login"
                assert KEY not in str(raised.value)

    asyncio.run(story())


def test_not_even_the_head_of_a_key_is_shown() -> None:
    """An error's text is cut to length, which may be in the middle of the key."""

    async def story() -> None:
        async with serving_upstream("another") as upstream, _site(upstream.url, key=KEY) as site:
            for chars in range(240, 280):
                upstream.words = "x" * chars
                with pytest.raises(RequestError) as raised:
                    await site.look()
                assert KEY[:4] not in str(raised.value)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, "away"),
        (400, "away"),
        (403, "needs_login"),
        (429, "resting"),
        (404, "profile_outdated"),
    ],
)
def test_a_look_tells_what_keeps_a_chat_from_beginning(status: int, kind: str) -> None:
    """All of these are waited out; none ends the worker."""

    async def story() -> None:
        async with serving_upstream() as upstream, _site(upstream.url) as site:
            upstream.models_status = status
            with pytest.raises(RequestError) as raised:
                await site.look()
            assert raised.value.kind == kind
            upstream.models_status = 200
            await site.look()
            assert site.models

    asyncio.run(story())


def test_an_upstream_that_is_not_there_is_away() -> None:
    """It may come back on the same address; a chat meanwhile fails for another instance to take."""

    async def story() -> None:
        async with serving_upstream() as upstream, _site(upstream.url) as site:
            await site.open()
            await upstream.stop()
            with pytest.raises(RequestError, match="the upstream is not there") as raised:
                await site.look()
            assert raised.value.kind == "away"
            _, end = await _answer(site, _chat("echo"))
            assert isinstance(end, RequestError)
            assert (end.kind, end.elsewhere) == ("upstream", True)
            await upstream.start()
            await site.look()
            assert await _answer(site, _chat("echo", "x")) == ([TextDelta("x")], Finish("stop"))

    asyncio.run(story())


def test_named_models_need_no_list() -> None:
    """The profile's names, and an alias, which the upstream never hears."""
    rules = ModelRules(names=("echo",), aliases={"mine": "echo"})

    async def story() -> None:
        async with (
            serving_upstream() as upstream,
            _site(upstream.url, _profile(rules)) as site,
        ):
            upstream.models_status = 404
            await site.open()
            assert [model.id for model in site.models] == ["echo", "mine"]
            assert (await _answer(site, _chat("mine")))[1] == Finish("stop")
            assert upstream.asked[0]["model"] == "echo"

    asyncio.run(story())


def test_what_cannot_be_taken_is_not_sent() -> None:
    """A model that is not there, and a conversation over the profile's limit."""

    async def story() -> None:
        async with (
            serving_upstream() as upstream,
            _site(upstream.url, _profile(prompt_chars=5)) as site,
        ):
            await site.open()
            ends = [
                (await _answer(site, chat))[1]
                for chat in (_chat("nope"), _chat("echo", "abc", "def"))
            ]
            kinds = [end.kind for end in ends if isinstance(end, RequestError)]
            assert kinds == ["model_not_found", "chat_full"]
            assert upstream.asked == []

    asyncio.run(story())


def test_a_list_that_is_none_is_told() -> None:
    """Something else answers at the address."""

    async def story() -> None:
        async with serving_upstream() as upstream, _site(upstream.url) as site:
            upstream.models = ()
            with pytest.raises(RequestError, match="/models has no list at data") as raised:
                await site.open()
            assert raised.value.kind == "profile_outdated"

    asyncio.run(story())


def test_the_client_keeps_no_connection() -> None:
    """What an upstream hangs up on between two chats fails none of them."""

    async def story() -> None:
        async with serving_upstream() as upstream, _site(upstream.url) as site:
            await site.open()
            assert isinstance(site._client, aiohttp.ClientSession)
            connector = site._client.connector
            assert isinstance(connector, aiohttp.TCPConnector)
            assert connector.force_close

    asyncio.run(story())
