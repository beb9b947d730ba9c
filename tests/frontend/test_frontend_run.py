"""frontend run: the role in a process of its own, with a scripted master at its link."""

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripted import Ask, Master, Wire, Worker, play, roster, state, until

from arenad import link
from arenad.schema.config import ApiConfig, ChatConfig, QueueConfig
from arenad.schema.control import StateNow
from arenad.schema.frame import Body
from arenad.schema.process import (
    Drain,
    Drained,
    FrontendBeat,
    FrontendSettings,
    Hello,
    Ready,
    Roster,
    Stop,
    Welcome,
)

CHILD = Path(__file__).with_name("frontend_child.py")
BODY = b'{"model":"echo","messages":[{"role":"user","content":"hi"}],"stream":%s}'


class Frontend:
    """The process as its master sees it."""

    def __init__(self, process: Process, api: tuple[str, int], gui: tuple[str, int]) -> None:
        self.process = process
        self.api = api
        self.gui = gui
        self.link: link.Link
        self.master = Master()
        self.notes: list[Body] = []

    async def said(self, kind: type[Body]) -> Body:
        """The next note of this kind."""
        await until(lambda: any(isinstance(note, kind) for note in self.notes))
        found = next(note for note in self.notes if isinstance(note, kind))
        self.notes.remove(found)
        return found

    async def left(self) -> tuple[int, list[str]]:
        """Its exit code, and the modules that it imported while it served."""
        out, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, json.loads(out)


@asynccontextmanager
async def frontend() -> AsyncIterator[Frontend]:
    """A process that has been welcomed and is ready."""
    ours, theirs = socket.socketpair()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [listener.getsockname() for listener in listeners]
    fds = [end.fileno() for end in (theirs, *listeners)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), *map(str, fds), pass_fds=fds, stdout=PIPE
    )
    for end in (theirs, *listeners):
        end.close()
    made = Frontend(process, *addresses)
    made.link = await link.adopt(
        ours, "the frontend", serve=made.master.serve, on_note=made.notes.append
    )
    try:
        await made.said(Hello)
        settings = FrontendSettings(
            api=ApiConfig(), queue=QueueConfig(), chat=ChatConfig(), gui_address="", files_dir=""
        )
        made.link.note(Welcome("info", frontend=settings))
        await made.said(Ready)
        yield made
    finally:
        made.link.close()
        await made.link.lost.wait()
        if process.returncode is None:
            await process.communicate()


@asynccontextmanager
async def with_worker(folder: Path) -> AsyncIterator[tuple[Frontend, Worker]]:
    """A frontend that has one instance."""
    worker = await Worker(folder, "w1").listen()
    try:
        async with frontend() as made:
            made.link.note(roster(worker))
            yield made, worker
    finally:
        worker.die()


async def get(wire: Wire, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    wire.send(f"GET {path} HTTP/1.1", Host="localhost", **headers)
    return await wire.answer()


async def chat(made: Frontend, worker: Worker, stream: bytes = b"false") -> tuple[Wire, Ask]:
    wire = await Wire.to(made.api)
    wire.send("POST /v1/chat/completions HTTP/1.1", BODY % stream, Host="localhost")
    return wire, await worker.asked()


def test_it_serves_before_there_is_anybody_to_ask() -> None:
    """Healthy at once, ready only with an instance; the dashboard is there from the first moment."""

    async def story() -> None:
        async with frontend() as made:
            wire = await Wire.to(made.api)
            assert [(await get(wire, path))[0] for path in ("/healthz", "/readyz")] == [200, 503]
            assert (await get(await Wire.to(made.gui), "/gui/dashboard"))[0] == 200
            made.link.note(Stop())
            assert (await made.left())[0] == 0

    play(story())


def test_a_roster_makes_it_ready_and_a_chat_is_counted(tmp_path: Path) -> None:
    """The beat says what is carried, while it is carried and after."""

    async def story() -> None:
        async with with_worker(tmp_path) as (made, worker):
            wire, ask = await chat(made, worker)
            await until(
                lambda: any(isinstance(n, FrontendBeat) and n.busy == {"w1": 1} for n in made.notes)
            )
            await ask.tell("a")
            assert (await wire.answer())[0] == 200
            await until(
                lambda: any(
                    isinstance(n, FrontendBeat) and (n.accepted, n.answered, n.busy) == (1, 1, {})
                    for n in made.notes
                )
            )
            made.link.note(Stop())
            assert (await made.left())[0] == 0

    play(story())


def test_a_drain_lets_everybody_finish(tmp_path: Path) -> None:
    """Nobody new gets in; who runs and who waits is answered, then told to reconnect; then Drained."""

    async def story() -> None:
        async with with_worker(tmp_path) as (made, worker):
            idle = await Wire.to(made.api)
            assert (await get(idle, "/healthz"))[1].get("connection") != "close"
            running, ask = await chat(made, worker, b"true")
            queued = await Wire.to(made.api)
            queued.send("POST /v1/chat/completions HTTP/1.1", BODY % b"false", Host="localhost")
            await until(
                lambda: any(isinstance(n, FrontendBeat) and n.queued == 1 for n in made.notes)
            )
            made.link.note(Drain())
            while (await get(idle, "/readyz"))[0] == 200:
                idle = await Wire.to(made.api)
            try:
                late = await Wire.to(made.api)
                assert await late.reader.read() == b""  # was in the backlog
            except OSError:
                pass
            assert not any(isinstance(note, Drained) for note in made.notes)
            await ask.tell("a")
            assert (await running.answer())[2].endswith(b"data: [DONE]\n\n")
            await (await worker.asked()).tell("b")
            status, headers, _ = await queued.answer()
            assert (status, headers["connection"]) == (200, "close")
            await made.said(Drained)
            made.link.note(Stop())
            assert (await made.left())[0] == 0

    play(story())


def test_it_does_not_outlive_its_master() -> None:
    """EOF on the link is a word to leave."""

    async def story() -> None:
        async with frontend() as made:
            made.link.close()
            assert (await made.left())[0] == 0

    play(story())


def test_nothing_is_imported_while_it_serves(tmp_path: Path) -> None:
    """After its rights are dropped, the interpreter's folder may be unreadable."""

    async def story() -> None:
        async with with_worker(tmp_path) as (made, worker):
            for stream in (b"true", b"false"):
                wire, ask = await chat(made, worker, stream)
                await ask.tell("thrée")
                assert (await wire.answer())[0] == 200
            for text in (b"{", b"\xff\xfe{\x00", b'{"model":7}', b"x" * 10):
                wire = await Wire.to(made.api)
                wire.send("POST /v1/chat/completions HTTP/1.1", text, Host="localhost")
                assert (await wire.answer())[0] == 400
            for path in ("/v1/models", "/v1/models/echo", "/v1/models/%C3%A9", "/nowhere?a=%20b"):
                wire = await Wire.to(made.api)
                await get(wire, path, Accept="text/html", Accept_Encoding="gzip, deflate, br")
            for host in ("évil.example", "xn--e1afmkfd", "[::1]", "1.2.3.4"):
                await get_with_host(made.api, host)
            await a_viewer(made)
            gone, ask = await chat(made, worker, b"true")
            gone.leave()
            await ask.cancelled.wait()
            worker.die()
            made.link.note(Roster((), 0))
            wire = await Wire.to(made.api)
            wire.send("POST /v1/chat/completions HTTP/1.1", BODY % b"true", Host="localhost")
            assert (await wire.answer())[0] in (502, 503)
            made.link.note(Stop())
            assert await made.left() == (0, [])

    play(story())


async def get_with_host(address: tuple[str, int], host: str) -> None:
    wire = await Wire.to(address)
    wire.send("GET /healthz HTTP/1.1", Host=host)
    await wire.head()


async def a_viewer(made: Frontend) -> None:
    """Static files, an action, garbage, and a dashboard that watches and leaves."""
    for path in ("/", "/gui/dashboard", "/gui/static/icon.svg", "/gui/static/css/base.css"):
        await get(await Wire.to(made.gui), path)
    wire = await Wire.to(made.gui)
    headers = {"Content_Type": "application/json; charset=utf-16", "Host": "localhost"}
    wire.send("POST /gui/api/scale HTTP/1.1", b'{"instances":2}', **headers)
    assert (await wire.answer())[0] == 200
    wire = await Wire.to(made.gui)
    wire.writer.write(b"\x16\x03\x01 no http at all\r\n\r\n")
    await wire.head()
    viewer = await Wire.to(made.gui)
    viewer.send(
        "GET /gui/ws HTTP/1.1",
        Host="localhost",
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="x3JJHMbDL1EzLkh9GBhXDw==",
        Sec_WebSocket_Extensions="permessage-deflate",
    )
    made.master.tell(StateNow(state("x" * 100_000)))
    assert (await viewer.head())[0] == 101
    await viewer.reader.readexactly(100_000)
    viewer.leave()


def test_later_settings_are_taken_while_it_runs(tmp_path: Path) -> None:
    """A second welcome changes the limits from the next request on; who is in stays in."""

    async def story() -> None:
        async with with_worker(tmp_path) as (made, worker):
            first, ask = await chat(made, worker)
            settings = FrontendSettings(
                api=ApiConfig(),
                queue=QueueConfig(limit=1, wait_s=0.1),
                chat=ChatConfig(),
                gui_address="",
                files_dir="",
            )
            made.link.note(Welcome("info", frontend=settings))
            made.link.note(roster(worker))  # its answer comes after the settings were taken
            await until(lambda: any(isinstance(note, FrontendBeat) for note in made.notes))
            second = await Wire.to(made.api)
            second.send("POST /v1/chat/completions HTTP/1.1", BODY % b"false", Host="localhost")
            status, _, body = await second.answer()
            assert (status, b"within 0.1 s" in body) == (429, True)
            await ask.tell("a")
            assert (await first.answer())[0] == 200

    play(story())
