"""The page-driven site against the real demo arena in a real Chromium."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from other_pages import STOP, STREAMS, rules
from real_browser import Arena, arena_in, page_in, processes, serving_demo, tell, until

from arenad.demo import catalog, models
from arenad.errors import (
    InvalidRequest,
    ModelNotFound,
    ProfileOutdated,
    RequestError,
    TimedOut,
    WorkerLost,
)
from arenad.schema.chat import Began, Chat, Event, Finish, Role, TextDelta, Turn
from arenad.schema.profile import Landmarks, ModelRules, Profile, Step
from arenad.worker.devtools import OnReply, Params
from arenad.worker.page import Page
from arenad.worker.sites import driver
from arenad.worker.sites.page_driven import PageSite

TRICKY = (
    'Crème brûlée 競技場 👩‍💻 🏳️‍🌈 שלום\n```python\nprint("a\\b\\n")\n```\n<b>&amp;</b> \x0b\x01 end'
)


def chat(model: str, *texts: str, **deadlines: float) -> Chat:
    """A chat whose turns alternate and end with the user's."""
    roles: tuple[Role, Role] = ("assistant", "user")
    turns = [
        Turn(role=roles[(len(texts) - place) % 2], text=text) for place, text in enumerate(texts)
    ]
    given = {"first_event_timeout_s": 30.0, "idle_timeout_s": 30.0, "total_timeout_s": 50.0}
    return Chat("r1", model, tuple(turns), **(given | deadlines))


async def _ignore(event: Event) -> None:
    del event


async def _said(site: PageSite, wish: Chat) -> str:
    """The whole text of an answer that ended as it should."""
    texts: list[str] = []

    async def emit(event: Event) -> None:
        assert isinstance(event, TextDelta | Began)
        if isinstance(event, TextDelta):
            texts.append(event.text)

    assert await site.chat(wish, emit) == Finish("stop")
    return "".join(texts)


def test_site_learns_the_models(tmp_path: Path) -> None:
    """Opening the page past its terms reads the models that it lists; a battle is one more."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            names = [model.id for model in arena.site.models]
            assert names == [*(entry.public_name for entry in catalog.CATALOG), "battle"]
            assert arena.site.models[0].owner == "arenad"

    tell(story())


def test_text_comes_back_intact(tmp_path: Path) -> None:
    """Typed and pasted prompts, tiny answers that end at once, and a megabyte: all to the letter."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            site = arena.site
            for number in range(20):
                text = f"{number} é"
                assert await _said(site, chat("demo-echo-instant", text)) == text
            assert await _said(site, chat("demo-echo", TRICKY)) == TRICKY
            pasted = TRICKY * 50
            assert await _said(site, chat("demo-echo-instant", pasted)) == pasted
            long = await _said(site, chat("demo-long", "1000000 5"))
            assert long == models.long_text(1_000_000, 5)

    tell(story())


def test_few_words_with_the_browser_bring_a_prompt_to_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a round trip: a new chat, its model, the prompt, and a press that sends it."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            await _said(arena.site, chat("demo-echo-instant", "before"))
            told: list[str] = []
            send = arena.browser.devtools.send

            def noting(session: str, method: str, params: Params, on_reply: OnReply) -> int:
                if method != "HeadlessExperimental.beginFrame":  # which waits for nobody
                    told.append(method)
                return send(session, method, params, on_reply)

            monkeypatch.setattr(arena.browser.devtools, "send", noting)
            await _said(arena.site, chat("demo-echo-instant", "after"))
            told = told[: told.index("Network.streamResourceContent")]
            press = ["Input.dispatchMouseEvent"] * 2  # both are on their way at once
            look = "Runtime.evaluate"
            assert told == [
                *(look, *press),  # a new chat
                *(look, *press, look, *press),  # what is chosen there; the list; its option
                *(look, "Input.insertText"),
                *(look, *press),  # what stands there, and where it is sent
            ]

    tell(story())


def test_a_chat_on_a_page_that_was_not_opened_opens_it(tmp_path: Path) -> None:
    """After a renewal whose opening failed the page is blank, and the profile not to blame for that."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            await _said(arena.site, chat("demo-echo-instant", "before"))
            arena.site.move(await Page.create(arena.browser.devtools))
            assert await _said(arena.site, chat("demo-echo-instant", "after")) == "after"

    tell(story())


def test_history_is_folded_into_a_new_chat(tmp_path: Path) -> None:
    """Every turn reaches the site, and nothing of the chat before."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            await _said(arena.site, chat("demo-echo-instant", "secret"))
            folded = await _said(arena.site, chat("demo-echo-instant", "one", "two", "three"))
            assert folded == "User:\none\n\nAssistant:\ntwo\n\nUser:\nthree\n\nAssistant:"

    tell(story())


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (chat("no-such-model", "hi"), ModelNotFound),
        (chat("demo-echo", " \n\ufeff"), InvalidRequest),
        (chat("demo-echo", "x" * (4 * 1024 * 1024 + 1)), InvalidRequest),
    ],
    ids=["unknown model", "nothing to send", "too long for the site"],
)
def test_bad_chats_are_the_clients_fault(
    tmp_path: Path, wish: Chat, error: type[RequestError]
) -> None:
    """What the client did wrong is said as such, and the page performs the next chat."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            with pytest.raises(error):
                await arena.site.chat(wish, _ignore)
            assert await _said(arena.site, chat("demo-echo", "next")) == "next"

    tell(story())


def test_deadlines_of_a_chat(tmp_path: Path) -> None:
    """A line without an event is no first event; each deadline says which one it was."""

    async def story() -> None:
        async with arena_in(tmp_path, chunks_per_s=0.5) as arena:
            for wish, said in (
                (chat("demo-slow-start", "hi", first_event_timeout_s=1.5), "nothing came within"),
                (chat("demo-echo", "one two", idle_timeout_s=0.2), "the answer paused"),
                (chat("demo-echo", "one two", total_timeout_s=1.0), "the whole answer"),
            ):
                with pytest.raises(TimedOut, match=said):
                    await arena.site.chat(wish, _ignore)
                await arena.site.open()
            await arena.stats_become(running=0, left=3)

    tell(story())


SOCKET = Profile(
    version=1,
    name="socket",
    start_path="/other/websocket",
    landmarks=Landmarks(
        prompt="textarea",
        send='role=button[name="Send message"]',
        stop=STOP,
        model_picker="select#model",
    ),
    new_chat=(Step(press_if="#nothing"),),
    models=ModelRules(options="select#model >> option"),
    stream=rules(STREAMS["websocket"]),
)
"""A page whose chats all go on in one document, over one socket."""


def test_an_unread_answer_on_a_socket_is_stopped(tmp_path: Path) -> None:
    """Before the next chat, which the page would not take meanwhile; a socket tells no end by itself."""

    async def story() -> None:
        async with serving_demo(chunks_per_s=20.0) as address, page_in(tmp_path) as page:
            site = PageSite(page, SOCKET, address)
            await site.open()
            long = chat("demo-echo", "word " * 1000, total_timeout_s=1.0)
            with pytest.raises(TimedOut):
                await site.chat(long, _ignore)
            assert await _said(site, chat("demo-echo-instant", "next")) == "next"
            assert page.documents == 1

    tell(story())


def test_a_slow_client_is_not_the_sites_pause(tmp_path: Path) -> None:
    """While the client is waited for, no deadline of the site's runs."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            wish = chat("demo-echo", "one two", idle_timeout_s=0.3)

            async def emit(event: Event) -> None:
                del event
                await asyncio.sleep(0.5)  # the slow client itself

            assert await arena.site.chat(wish, emit) == Finish("stop")

    tell(story())


PHASES: dict[str, Callable[[PageSite, list[Event]], bool]] = {
    "before anything": lambda _site, _events: True,
    "writing": lambda site, _events: site._is_half_written,
    "pressing send": lambda site, _events: site._capture is not None,
    "sent": lambda site, _events: site._capture is not None and bool(site._capture._request),
    "head": lambda site, _events: site._capture is not None and bool(site._capture.status),
    "in the stream": lambda _site, events: any(isinstance(each, TextDelta) for each in events),
}


@pytest.mark.parametrize("phase", PHASES)
def test_cancel_leaves_a_usable_page(tmp_path: Path, phase: str) -> None:
    """Wherever a chat is cancelled, the site's answer ends and the next chat is performed."""

    async def story() -> None:
        async with arena_in(tmp_path, chunks_per_s=5.0) as arena:
            site, events = arena.site, list[Event]()

            async def emit(event: Event) -> None:
                events.append(event)

            wish = chat("demo-echo", " ".join(["word"] * 1000))
            task = asyncio.get_running_loop().create_task(site.chat(wish, emit))
            await until(lambda: PHASES[phase](site, events) or task.done())
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await site.stop()
            await arena.stats_become(running=0, finished=0)
            assert await _said(site, chat("demo-echo", "next")) == "next"
            assert (await arena.stats())["finished"] == 1

    tell(story())


def test_stop_after_the_end_does_nothing(tmp_path: Path) -> None:
    """A cancel that came too late finds an answer that is over."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            assert await arena.site.stop()
            await _said(arena.site, chat("demo-echo", "hi"))
            assert await arena.site.stop()
            stats = await arena.stats()
            assert (stats["finished"], stats["stopped"]) == (1, 0)

    tell(story())


@pytest.mark.parametrize("victim", ["browser", "renderer"])
def test_death_in_a_chat_is_a_lost_worker(tmp_path: Path, victim: str) -> None:
    """A browser or page that dies ends the chat at once, as an error that allows another instance."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            task = asyncio.get_running_loop().create_task(
                arena.site.chat(chat("demo-slow-start", "hi"), _ignore)
            )
            await arena.stats_become(running=1)
            _kill(arena, victim)
            with pytest.raises(WorkerLost):
                await task
            with pytest.raises(WorkerLost):
                await arena.site.chat(chat("demo-echo", "hi"), _ignore)
            assert not await arena.site.stop()

    tell(story())


def _kill(arena: Arena, victim: str) -> None:
    if victim == "browser":
        signal.pidfd_send_signal(arena.browser._pidfd, signal.SIGKILL)
    for renderer in processes(arena.browser, "renderer") if victim == "renderer" else ():
        renderer.kill()


def test_a_missing_landmark_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the page has changed, the error says which landmark is gone."""
    monkeypatch.setattr(driver, "LANDMARK_TIMEOUT_S", 0.3)

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            await arena.page.evaluate("document.querySelector('[role=combobox]').remove()")
            with pytest.raises(ProfileOutdated, match="model_picker"):
                await arena.site.chat(chat("demo-long", "hi"), _ignore)

    tell(story())
