"""Real links to workers and masters whose every word is in the test's hand."""

import asyncio
import contextlib
import functools
import inspect
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar

import uvloop
from aiohttp import web

from arenad import link
from arenad.errors import RequestError
from arenad.frontend.account import Account
from arenad.frontend.api import Api
from arenad.frontend.dispatch import Dispatch
from arenad.frontend.door import Door
from arenad.frontend.entrance import Entrance
from arenad.frontend.gui import Gui
from arenad.frontend.keys import Keyring
from arenad.frontend.pool import Pool
from arenad.frontend.recording import Recording
from arenad.frontend.view import LiveView
from arenad.frontend.vocabulary import Wish
from arenad.schema.chat import Chat, Event, Finish, Held, Mode, TextDelta, Turn
from arenad.schema.config import ApiConfig, ChatConfig, FilesConfig, QueueConfig
from arenad.schema.control import Done, State, Traffic, Watch
from arenad.schema.frame import Body
from arenad.schema.process import FrontendSettings, Model, Roster, Seat

WHOLE = [TextDelta("thrée"), Finish("stop")]
"""The answer that most stories tell."""

DEADLINE_S = 30.0
"""No story takes so long; one that hangs ends with it."""


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a story on the loop that the daemon uses."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                await story
        finally:
            await Wire.close_all()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    """Let everybody else run until the condition holds."""
    while not condition():  # noqa: ASYNC110 - nothing signals the insides of what is tested
        await asyncio.sleep(0)


class Ask:
    """One chat that reached a worker; the test performs it."""

    def __init__(self, served: link.Served) -> None:
        self.chat: Chat = served.body
        self.cancelled = asyncio.Event()
        self.said = asyncio.Queue[Event]()
        self.end: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._served = served

    async def say(self, *events: Event) -> None:
        for event in events:
            await self._served.item(event)

    def finish(self, reason: str = "stop") -> None:
        self.end.set_result(Finish(reason))

    def fail(self, error: Exception) -> None:
        self.end.set_exception(error)

    async def tell(self, text: str) -> None:
        """A whole answer."""
        await self.say(TextDelta(text))
        self.finish()


class Worker:
    """A worker's socket, without a browser behind it."""

    def __init__(self, folder: Path, name: str, generation: int = 1, slots: int = 1) -> None:
        self.name = name
        self.generation = generation
        self.path = str(folder / f"{name}-{generation}.sock")
        self.slots = slots
        self.condition = "ready"
        self.models = ("echo",)
        self.proxy = ""
        self.links: list[link.Link] = []
        self._asks = asyncio.Queue[Ask]()
        self._server: asyncio.Server | None = None

    async def listen(self) -> "Worker":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._link, self.path)
        return self

    def _link(self) -> link.Link:
        self.links.append(link.Link("the frontend", self._serve))
        return self.links[-1]

    async def _serve(self, served: link.Served) -> Body:
        ask = Ask(served)
        self._asks.put_nowait(ask)
        try:
            return await ask.end
        except asyncio.CancelledError:
            ask.cancelled.set()
            raise

    def hold(self, *conversations: str) -> None:
        """Tell that these can be gone on with here."""
        for each in self.links:
            each.note(Held(conversations))

    async def asked(self) -> Ask:
        """The next chat that arrives."""
        return await self._asks.get()

    @property
    def is_asked(self) -> bool:
        return not self._asks.empty()

    def die(self) -> None:
        """Close every socket, as the kernel does for a dead process."""
        if self._server is not None:
            self._server.close()
            self._server = None
            Path(self.path).unlink(missing_ok=True)
        for each in self.links:
            each.close()

    @property
    def seat(self) -> Seat:
        return Seat(
            name=self.name,
            generation=self.generation,
            socket_path=self.path,
            slots=self.slots,
            condition=self.condition,
            models=tuple(Model(id=name, modes=self._modes_of(name)) for name in self.models),
            proxy=self.proxy,
        )

    @staticmethod
    def _modes_of(name: str) -> tuple[Mode, ...]:
        return ("battle",) if name == "battle" else ("direct", "side_by_side")


def roster(*workers: Worker, starting: int = 0) -> Roster:
    return Roster(tuple(worker.seat for worker in workers), starting)


def wish(text: str = "hello", model: str = "echo") -> Wish:
    turns = (Turn(role="user", text=text),)
    return Wish(model=model, turns=turns, stream=True, include_usage=False, ignored=())


class Stage:
    """A dispatch and its workers."""

    def __init__(self, folder: Path, dispatch: Dispatch) -> None:
        self.folder = folder
        self.dispatch = dispatch
        self.workers: list[Worker] = []
        self._tasks: list[asyncio.Task[list[Body]]] = []

    async def worker(self, name: str, **traits: Any) -> Worker:
        worker = await Worker(self.folder, name, **traits).listen()
        self.workers.append(worker)
        return worker

    async def staff(self, *names: str) -> list[Worker]:
        """A worker for each name, all of them in the roster."""
        workers = [await self.worker(name) for name in names]
        if workers:
            await self.enlist(*workers)
        return workers

    async def busy_first(self) -> list[Worker]:
        """All workers, once a chat has reached one of them: that one first."""
        await until(lambda: any(worker.is_asked for worker in self.workers))
        return sorted(self.workers, key=lambda worker: not worker.is_asked)

    async def enlist(self, *workers: Worker, starting: int = 0) -> None:
        """Send the roster and wait until the links stand."""
        self.dispatch.on_roster(roster(*workers, starting=starting))
        pool = self.dispatch.pool
        await until(lambda: all((w.name, w.generation) in pool.linked for w in workers))

    def ask(
        self, text: str = "hello", model: str = "echo", owner: str = ""
    ) -> "asyncio.Task[list[Body]]":
        """A request that collects its whole answer."""
        return self.send(wish(text, model), owner)

    def send(self, wish: Wish, owner: str = "") -> "asyncio.Task[list[Body]]":
        """The same with any wish."""

        async def collect() -> list[Body]:
            name = wish.turns[-1].text
            account = Account(name, wish.model, streams=wish.stream, owner=owner)
            async with contextlib.aclosing(self.dispatch.answer(wish, name, account)) as events:
                return [event async for event in events]

        task = asyncio.get_running_loop().create_task(collect())
        self._tasks.append(task)
        return task

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.dispatch.close()
        for worker in self.workers:
            worker.die()
        assert not self.dispatch.seats.busy(), "a seat leaked"
        assert not self.dispatch.seats.queued, "a ticket leaked"
        assert not self.dispatch.seats._places, "somebody did not leave"


@contextlib.asynccontextmanager
async def stage(
    folder: Path, queue: QueueConfig | None = None, chat: ChatConfig | None = None
) -> AsyncIterator[Stage]:
    made = Stage(folder, Dispatch(queue or QueueConfig(), chat or ChatConfig()))
    try:
        yield made
    finally:
        await made.close()


Story = Callable[..., Coroutine[Any, Any, None]]


def as_test(
    setting: Callable[[Path], contextlib.AbstractAsyncContextManager[Sequence[Any]]],
) -> Callable[[Story], Callable[..., None]]:
    """Make a test of a story: it is given what the setting, made in a folder, holds for it.

    What the story wants of pytest are its keyword-only parameters.
    """

    def made(story: Story) -> Callable[..., None]:
        @functools.wraps(story)
        def test(tmp_path: Path, **given: Any) -> None:
            async def whole() -> None:
                async with setting(tmp_path) as there:
                    await story(*there, **given)

            play(whole())

        wanted = inspect.signature(story).parameters.values()
        given = [each for each in wanted if each.kind is each.KEYWORD_ONLY]
        folder = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = inspect.Signature([folder, *given])
        return test

    return made


def staged(
    *names: str, queue: QueueConfig | None = None, chat: ChatConfig | None = None
) -> Callable[[Story], Callable[..., None]]:
    """Make a test of a story on a stage of its own, with a listed worker for each name."""

    @contextlib.asynccontextmanager
    async def setting(folder: Path) -> AsyncIterator[Sequence[Any]]:
        async with stage(folder, queue, chat) as scene:
            yield scene, *await scene.staff(*names)

    return as_test(setting)


# -- the servers ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, limits: ApiConfig | None = None
) -> AsyncIterator[tuple[str, int]]:
    """The application on a free port of loopback, as the frontend runs it."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    door = Door(listener, Entrance(runner.server, limits or ApiConfig()))
    try:
        yield address
    finally:
        door.close()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def api_serving(
    scene: Stage,
    chat: ChatConfig | None = None,
    limits: ApiConfig | None = None,
    recording: Recording | None = None,
    files: FilesConfig | None = None,
    files_dir: str = "",
    **more: Any,
) -> AsyncIterator[tuple[Api, tuple[str, int]]]:
    settings = FrontendSettings(
        api=limits or ApiConfig(max_body_bytes=1024 * 1024),
        queue=QueueConfig(),
        chat=chat or scene.dispatch.chat,
        gui_address="",
        files_dir=files_dir,
        files=files or FilesConfig(),
        **more,
    )
    api = Api(scene.dispatch, settings, recording or Recording("", "frontend-1"))
    async with serving(api.app(), settings.api) as address:
        yield api, address
    await api.close()


class Wire:
    """One HTTP connection of which every byte is the test's."""

    _open: ClassVar[list["Wire"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(self)
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, address: tuple[str, int]) -> "Wire":
        return cls(*await asyncio.open_connection(*address))

    @classmethod
    async def slow(cls, address: tuple[str, int]) -> "Wire":
        """One that takes nothing before it is told to, with buffers as small as they get."""
        end = socket.socket()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.setblocking(False)
        await asyncio.get_running_loop().sock_connect(end, address)
        wire = cls(*await asyncio.open_connection(sock=end, limit=1024))
        wire.writer.transport.pause_reading()
        return wire

    def upgrade(self, path: str) -> None:
        """Ask for a WebSocket (RFC 6455, 4.1)."""
        self.send(
            f"GET {path} HTTP/1.1",
            Host="localhost",
            Connection="Upgrade",
            Upgrade="websocket",
            Sec_WebSocket_Version="13",
            Sec_WebSocket_Key="x3JJHMbDL1EzLkh9GBhXDw==",
        )

    def send(self, head: str, body: bytes = b"", **headers: str) -> None:
        lines = [head, *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
        if body and "Content_Length" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): text for name, text in pairs}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        if "content-length" in headers:
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readuntil(b"\n"), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return status, headers, body

    def leave(self) -> None:
        self.writer.transport.abort()

    @classmethod
    async def close_all(cls) -> None:
        """At the end of a story."""
        while cls._open:
            wire = cls._open.pop()
            wire.leave()
            with contextlib.suppress(OSError):
                await wire.writer.wait_closed()


# -- the master -----------------------------------------------------------------------------------


def state(verdict: str = "well") -> State:
    return State(
        word="well",
        verdict=verdict,
        version="0",
        pid=1,
        uptime_s=0.0,
        site="demo",
        api_url="",
        gui_url="",
        instances_wanted=1,
        instances_max=2,
        children=(),
        traffic=Traffic(),
        story=(),
    )


class Master:
    """The other end of a frontend's link: notes what is asked, says what the test says."""

    def __init__(self) -> None:
        self.asked = 0
        self.watches = 0
        self.commands: list[Body] = []
        self.answer: Body | RequestError = Done("done")
        self._told = asyncio.Queue[Body | RequestError]()

    async def serve(self, served: link.Served) -> Body:
        if isinstance(served.body, Watch):
            return await self._watched(served)
        self.commands.append(served.body)
        if isinstance(self.answer, RequestError):
            raise self.answer
        return self.answer

    async def _watched(self, served: link.Served) -> Body:
        self.asked += 1
        self.watches += 1
        try:
            while True:
                told = await self._told.get()
                if isinstance(told, RequestError):
                    raise told
                if isinstance(told, Done):
                    return told
                await served.item(told)
        finally:
            self.watches -= 1

    def tell(self, body: Body | RequestError) -> None:
        """Say this to whoever watches."""
        self._told.put_nowait(body)


@contextlib.asynccontextmanager
async def gui_serving(
    pool: Pool | None = None,
    keys: Keyring | None = None,
) -> AsyncIterator[tuple[Gui, Master, link.Link, tuple[str, int]]]:
    """The dashboard, the master behind it and the link between them as the master has it."""
    ours, theirs = socket.socketpair()
    master = Master()
    end = await link.adopt(ours, "the frontend", serve=master.serve)
    way = await link.adopt(theirs, "the master")
    gui = Gui(way, LiveView(pool or Pool()), keys)
    async with serving(gui.app()) as address:
        try:
            yield gui, master, end, address
        finally:
            await gui.close()
    for each in (end, way):
        each.close()
        await each.lost.wait()
