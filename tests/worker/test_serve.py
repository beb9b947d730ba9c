"""Chats over a real Unix socket, with a site that does what the test tells it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from scripted_browser import ENOUGH_S, tell

from arenad import link
from arenad.errors import (
    Busy,
    ContentRejected,
    LinkLost,
    NeedsLogin,
    ProfileOutdated,
    RequestError,
    Resting,
    TimedOut,
    UpstreamFailed,
    WorkerLost,
)
from arenad.link import Link, Stream
from arenad.schema.chat import AskHeld, Began, Chat, Event, Finish, Held, TextDelta, Turn
from arenad.schema.control import GetState
from arenad.schema.frame import Body
from arenad.worker import session
from arenad.worker.serve import ChatServer, Work

Emit = Callable[[Event], Awaitable[None]]


def _chat(name: str = "r1", first_event_s: float = ENOUGH_S) -> Chat:
    return Chat(name, "m", (Turn(role="user", text="hi"),), first_event_s, ENOUGH_S, ENOUGH_S)


class ScriptedSite:
    """A site whose chats say a word, wait for `go`, and end as the test says."""

    together = 1

    def __init__(self) -> None:
        self.ending: Finish | Exception = Finish("stop")
        self.go = asyncio.Event()
        self.go.set()
        self.stop_go = asyncio.Event()
        self.stop_go.set()
        self.stops = True
        self.chats: list[Chat] = []
        self.stopped = 0

    async def chat(self, chat: Chat, emit: Emit) -> Finish:
        self.chats.append(chat)
        await emit(TextDelta("word"))
        await self.go.wait()
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending

    async def stop(self) -> bool:
        self.stopped += 1
        await self.stop_go.wait()
        return self.stops


class Instance:
    """A server on a socket, what its session was told, and links to it."""

    def __init__(self, path: Path, slots: int) -> None:
        self.path = path
        self.site = ScriptedSite()
        self.events: asyncio.Queue[session.Event] = asyncio.Queue()
        self.recovery = asyncio.Event()
        self.recovery.set()
        self.server = ChatServer(self.site, slots, self._on_session)

    async def _on_session(self, event: session.Event, reason: str, rest_s: float | None) -> None:
        del reason, rest_s
        self.events.put_nowait(event)
        await self.recovery.wait()

    async def connect(self) -> Link:
        return await link.connect(str(self.path), "the worker", ENOUGH_S)


@asynccontextmanager
async def _instance(folder: Path, slots: int = 1) -> AsyncIterator[Instance]:
    instance = Instance(folder / "w.sock", slots)
    loop = asyncio.get_running_loop()
    listener = await loop.create_unix_server(instance.server.link, instance.path)
    try:
        yield instance
    finally:
        listener.close()
        await instance.server.close()
        if os.path.exists(instance.path):  # noqa: PTH110, ASYNC240 - a test's own folder
            os.unlink(instance.path)  # noqa: PTH108


async def _ending(stream: Stream) -> object:
    """The END's body after the one word, or the error it carried."""
    assert await stream.receive(ENOUGH_S) == TextDelta("word")
    try:
        return await stream.receive(ENOUGH_S)
    except RequestError as error:
        return type(error)


def test_a_chat_is_served(tmp_path: Path) -> None:
    """Events, then the finish; it is counted, and the session hears of it."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            frontend = await instance.connect()
            assert await _ending(frontend.stream(_chat())) == Finish("stop")
            assert await instance.events.get() is session.Event.CHAT_DONE
            server = instance.server
            assert (server.busy, server.answered, server.failed) == (0, 1, 0)
            assert server.idle.is_set()
            [served] = instance.site.chats
            assert 0 < served.total_timeout_s <= ENOUGH_S
            frontend.close()

    tell(story())


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (UpstreamFailed("x"), session.Event.CHAT_FAILED),
        (TimedOut("x"), session.Event.CHAT_FAILED),
        (WorkerLost("x"), session.Event.BROKE),
        (Resting("x", retry_after_s=3), session.Event.REFUSED),
        (NeedsLogin("x"), session.Event.LOGIN_WALL),
        (ProfileOutdated("x"), session.Event.CHAT_LANDMARK_GONE),
        (ContentRejected("x"), None),
    ],
)
def test_failures_reach_client_and_session(
    tmp_path: Path, error: RequestError, event: session.Event | None
) -> None:
    """The client gets its error; the session hears of what speaks against the page."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            frontend = await instance.connect()
            instance.site.ending = error
            assert await _ending(frontend.stream(_chat())) is type(error)
            instance.site.ending = Finish("stop")
            assert await _ending(frontend.stream(_chat())) == Finish("stop")
            assert instance.server.failed == 1
            told = [await instance.events.get()]
            if event is not None:
                told.append(await instance.events.get())
            assert told == [*([event] if event else []), session.Event.CHAT_DONE]
            frontend.close()

    tell(story())


def test_a_bug_in_a_site_frees_the_page(tmp_path: Path) -> None:
    """Even an error that nobody expected is answered, and leaves slot and page free."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            frontend = await instance.connect()
            instance.site.ending = ValueError("a bug")
            assert await _ending(frontend.stream(_chat())) is RequestError
            instance.site.ending = Finish("stop")
            assert await _ending(frontend.stream(_chat())) == Finish("stop")
            assert instance.site.stopped == 1
            frontend.close()

    tell(story())


def test_what_fails_after_a_chat_is_heard_of(tmp_path: Path) -> None:
    """Nobody waits for the recovery, so its errors are the guard's; the page is free after it."""

    async def story() -> None:
        heard: list[str] = []

        async def guard(work: Work) -> None:
            try:
                await work()
            except ValueError as error:
                heard.append(str(error))

        async def fails(event: session.Event, reason: str, rest_s: float | None) -> None:
            raise ValueError(f"{event.value}, {reason}, {rest_s}")

        async def not_stopped() -> bool:
            raise ValueError("stop")

        path, site = tmp_path / "w.sock", ScriptedSite()
        server = ChatServer(site, 1, fails, guard=guard)
        site.stop = not_stopped
        listener = await asyncio.get_running_loop().create_unix_server(server.link, path)
        frontend = await link.connect(str(path), "the worker", ENOUGH_S)
        assert await _ending(frontend.stream(_chat())) == Finish("stop")
        site.ending = ValueError("a bug")
        assert await _ending(frontend.stream(_chat())) is RequestError
        async with server.page_turn():
            frontend.close()
        listener.close()
        await server.close()
        assert heard == ["chat done, , None", "stop"]

    tell(story())


def test_slots_are_kept_to(tmp_path: Path) -> None:
    """Who comes when all are taken is told so at once, and so is everybody while it drains."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            frontend = await instance.connect()
            instance.site.go.clear()
            first = frontend.stream(_chat())
            assert await first.receive(ENOUGH_S) == TextDelta("word")
            assert (instance.server.busy, instance.server.idle.is_set()) == (1, False)
            with pytest.raises(Busy):
                await frontend.call(_chat("r2"), ENOUGH_S)
            instance.server.refuse_new()
            instance.site.go.set()
            assert await first.receive(ENOUGH_S) == Finish("stop")
            await instance.server.idle.wait()
            with pytest.raises(Busy):
                await frontend.call(_chat("r3"), ENOUGH_S)
            with pytest.raises(RequestError, match="not served"):
                await frontend.call(GetState(), ENOUGH_S)
            frontend.close()

    tell(story())


def test_the_page_takes_turns(tmp_path: Path) -> None:
    """With more slots than pages chats wait for one another, for no longer than they may."""

    async def story() -> None:
        async with _instance(tmp_path, slots=3) as instance:
            frontend = await instance.connect()
            instance.site.go.clear()
            first, second = frontend.stream(_chat("r1")), frontend.stream(_chat("r2"))
            assert await first.receive(ENOUGH_S) == TextDelta("word")
            with pytest.raises(TimedOut, match="not free"):
                await frontend.call(_chat("r3", first_event_s=0.05), ENOUGH_S)
            instance.site.go.set()
            assert await first.receive(ENOUGH_S) == Finish("stop")
            assert await _ending(second) == Finish("stop")
            assert [chat.request_id for chat in instance.site.chats] == ["r1", "r2"]
            assert instance.site.chats[1].first_event_timeout_s < ENOUGH_S - 0.01
            frontend.close()

    tell(story())


def test_the_next_chat_waits_for_the_recovery(tmp_path: Path) -> None:
    """The client of a failed chat has its error at once; the page is free when it is mended."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            frontend = await instance.connect()
            instance.recovery.clear()
            instance.site.ending = UpstreamFailed("x")
            assert await _ending(frontend.stream(_chat("r1"))) is UpstreamFailed
            assert instance.server.idle.is_set()
            with pytest.raises(TimedOut):
                await frontend.call(_chat("r2", first_event_s=0.05), ENOUGH_S)
            instance.site.ending = Finish("stop")
            instance.recovery.set()
            assert await _ending(frontend.stream(_chat("r3"))) == Finish("stop")
            frontend.close()

    tell(story())


@pytest.mark.parametrize("leaves", ["cancels", "hangs up"])
@pytest.mark.parametrize("stops", [True, False])
def test_who_leaves_stops_the_page(tmp_path: Path, leaves: str, stops: bool) -> None:
    """A cancel and a lost frontend both stop the answer, before the next chat begins."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            leaver, frontend = await instance.connect(), await instance.connect()
            instance.site.go.clear()
            instance.site.stop_go.clear()
            instance.site.stops = stops
            stream = leaver.stream(_chat("r1"))
            assert await stream.receive(ENOUGH_S) == TextDelta("word")
            if leaves == "cancels":
                stream.cancel()
            else:
                leaver.close()
            await instance.server.idle.wait()
            following = frontend.stream(_chat("r2"))
            instance.site.go.set()
            instance.site.stop_go.set()
            assert await _ending(following) == Finish("stop")
            assert instance.site.stopped == 1
            if not stops:
                assert await instance.events.get() is session.Event.NOT_STOPPED
            assert await instance.events.get() is session.Event.CHAT_DONE
            leaver.close()
            frontend.close()

    tell(story())


def test_who_leaves_the_queue_takes_nothing_along(tmp_path: Path) -> None:
    """A chat cancelled while it waits for the page never touches it, and blocks nobody."""

    async def story() -> None:
        async with _instance(tmp_path, slots=3) as instance:
            frontend = await instance.connect()
            instance.site.go.clear()
            first, second = frontend.stream(_chat("r1")), frontend.stream(_chat("r2"))
            assert await first.receive(ENOUGH_S) == TextDelta("word")
            second.cancel()
            third = frontend.stream(_chat("r3"))
            instance.site.go.set()
            assert await first.receive(ENOUGH_S) == Finish("stop")
            assert await _ending(third) == Finish("stop")
            assert [chat.request_id for chat in instance.site.chats] == ["r1", "r3"]
            assert instance.site.stopped == 0
            frontend.close()

    tell(story())


def test_closing_hangs_up_on_running_chats(tmp_path: Path) -> None:
    """A frontend sees the end of the link, which it may retry on, and no task is left behind."""

    async def story() -> None:
        before = asyncio.all_tasks()
        async with _instance(tmp_path, slots=2) as instance:
            frontend = await instance.connect()
            instance.site.go.clear()
            instance.site.stop_go.clear()
            streams = [frontend.stream(_chat(name)) for name in ("r1", "r2")]
            assert await streams[0].receive(ENOUGH_S) == TextDelta("word")
            await instance.server.close()
            for stream in streams:
                with pytest.raises(LinkLost):
                    await stream.receive(ENOUGH_S)
            assert instance.server.busy == 0
            assert asyncio.all_tasks() == before

    tell(story())


def test_frontends_hear_what_is_held(tmp_path: Path) -> None:
    """Who asks is told what there is, and everybody every change, before a chat's own end."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            heard: asyncio.Queue[Body] = asyncio.Queue()
            instance.server.tell_held(("k1",))
            path = str(instance.path)
            frontend = await link.connect(path, "the worker", ENOUGH_S, heard.put_nowait)
            frontend.note(AskHeld())
            assert await heard.get() == Held(("k1",))
            instance.site.go.clear()
            stream = frontend.stream(_chat())
            assert await stream.receive(ENOUGH_S) == TextDelta("word")
            instance.server.tell_held(("k2", "k3"))
            instance.site.go.set()
            assert await stream.receive(ENOUGH_S) == Finish("stop")
            assert heard.get_nowait() == Held(("k2", "k3"))

    tell(story())


def test_a_name_is_no_answer_yet(tmp_path: Path) -> None:
    """A page that has only sent a message gets no more patience than an idle one."""

    async def story() -> None:
        async with _instance(tmp_path) as instance:
            marks: list[bool] = []

            async def chat(chat: Chat, emit: Emit) -> Finish:
                del chat
                for event in (Began("new"), TextDelta("word"), Began("new", "s1")):
                    await emit(event)
                    marks.append(instance.server.is_answering)
                return Finish("stop")

            instance.site.chat = chat
            stream = (await instance.connect()).stream(_chat())
            while not stream.ended:
                await stream.receive(ENOUGH_S)
            assert marks == [False, True, True]

    tell(story())
