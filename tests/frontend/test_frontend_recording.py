"""How a frontend tells the recorder of ended requests, whatever becomes of the recorder."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripted import Wire, Worker, api_serving, play, stage, until

from arenad import link
from arenad.errors import TimedOut
from arenad.frontend.account import Account
from arenad.frontend.recording import Recording
from arenad.schema.chat import TextDelta
from arenad.schema.frame import Body
from arenad.schema.history import Remember, Remembered, RequestEnded


class Recorder:
    """The master's listening socket, and a recorder behind it that comes and goes."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "recorder.sock")
        self.heard: list[Remember] = []
        self.links: list[link.Link] = []
        self._server: asyncio.Server | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.setblocking(False)

    def _link(self) -> link.Link:
        self.links.append(link.Link("the frontend", on_note=self._on_note))
        return self.links[-1]

    def _on_note(self, body: Body) -> None:
        assert isinstance(body, Remember)
        self.heard.append(body)

    def answer(self) -> None:
        """All that was heard is on disk."""
        last = self.heard[-1]
        self.links[-1].note(Remembered(last.source, last.first + len(last.entries) - 1))

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._link, sock=self._listener.dup())

    def die(self) -> None:
        """The process is gone; the master's socket is not."""
        if self._server is not None:
            self._server.close()
        for each in self.links:
            each.close()

    def close(self) -> None:
        self.die()
        self._listener.close()

    @property
    def ids(self) -> list[list[str]]:
        """The requests of each batch."""
        return [
            [each.request_id for each in batch.entries if isinstance(each, RequestEnded)]
            for batch in self.heard
        ]


@asynccontextmanager
async def recorder(folder: Path) -> AsyncIterator[tuple[Recorder, Recording]]:
    made = Recorder(folder)
    recording = Recording(made.path, "frontend-1")
    recording.start()
    try:
        yield made, recording
    finally:
        await recording.close()
        made.close()


def put(recording: Recording, *names: str) -> None:
    for name in names:
        recording.put(Account(name, "echo", streams=False), "answered")


def test_one_batch_after_the_other(tmp_path: Path) -> None:
    """What ends while one is under way goes with the next."""

    async def story() -> None:
        async with recorder(tmp_path) as (far, recording):
            await far.begin()
            put(recording, "a")
            await until(lambda: far.heard)
            put(recording, "b", "c")
            far.answer()
            await until(lambda: len(far.heard) == 2)
            assert far.ids == [["a"], ["b", "c"]]
            assert [batch.first for batch in far.heard] == [1, 2]
            assert len({batch.source for batch in far.heard}) == 1

    play(story())


def test_a_recorder_that_is_not_there_yet(tmp_path: Path) -> None:
    """The connection waits in the master's socket; nothing has to be tried again."""

    async def story() -> None:
        async with recorder(tmp_path) as (far, recording):
            put(recording, "a")
            await until(lambda: recording._link is not None)
            put(recording, "b")
            await far.begin()
            await until(lambda: far.heard)
            assert far.ids[0][0] == "a"

    play(story())


def test_a_recorder_that_dies(tmp_path: Path) -> None:
    """The next one is sent what the dead one had not answered, under the same numbers."""

    async def story() -> None:
        async with recorder(tmp_path) as (far, recording):
            await far.begin()
            put(recording, "a")
            await until(lambda: far.heard)
            put(recording, "b")
            far.die()
            await far.begin()
            await until(lambda: len(far.heard) == 2)
            assert far.ids == [["a"], ["a", "b"]]
            assert [batch.first for batch in far.heard] == [1, 1]

    play(story())


def test_the_last_ones_are_said_on_leaving(tmp_path: Path) -> None:
    """Without waiting for an answer, and without a recorder: they wait in its socket."""

    async def story() -> None:
        async with recorder(tmp_path) as (far, recording):
            await far.begin()
            put(recording, "a")
            await until(lambda: far.heard)
            put(recording, "b")
            await recording.close()
            await until(lambda: len(far.heard) == 2)
            assert far.ids == [["a"], ["b"]]

            far.die()
            late = Recording(far.path, "frontend-2")
            put(late, "c")
            await late.close()
            await far.begin()
            await until(lambda: len(far.heard) == 3)
            assert far.ids[-1] == ["c"]

    play(story())


def test_without_a_recorder_nothing_is_kept() -> None:
    """An empty path: no task, no entry."""

    async def story() -> None:
        recording = Recording("", "frontend-1")
        recording.start()
        put(recording, "a")
        assert len(recording._outbox) == 0
        await recording.close()

    play(story())


async def chat(address: tuple[str, int], text: str, **fields: object) -> Wire:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
    wire = await Wire.to(address)
    wire.send(
        "POST /v1/chat/completions",
        json.dumps(body).encode(),
        Host="127.0.0.1",
        Content_Type="application/json",
    )
    return wire


def test_what_the_endpoint_tells(tmp_path: Path) -> None:
    """An answer, a failure in mid-stream, a retry that failed, a client that left: never its text."""

    async def story() -> None:
        async with recorder(tmp_path) as (far, recording), stage(tmp_path) as scene:
            await far.begin()
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            async with api_serving(scene, recording=recording) as (_, address):
                found = await _entries(far, address, worker)
            ok, cut, failed, left = found
            assert (ok.outcome, ok.error, ok.chars, ok.instance) == ("answered", "", 6, "w1")
            assert (cut.outcome, cut.error, cut.streams, cut.chars) == (
                "failed",
                "timeout",
                True,
                3,
            )
            assert (failed.outcome, failed.error) == ("failed", "timeout")
            assert (failed.asked, failed.first_event_s) == (1, None)
            assert (left.outcome, left.error) == ("cancelled", "")
            assert "SECRET" not in repr(far.heard)

    async def _entries(
        far: Recorder, address: tuple[str, int], worker: Worker
    ) -> list[RequestEnded]:
        found: list[RequestEnded] = []

        async def ended() -> None:
            count = len(far.heard)
            await until(lambda: len(far.heard) > count)
            found.extend(far.heard[-1].entries)
            far.answer()

        await chat(address, "SECRET 1")
        await (await worker.asked()).tell("SECRET")
        await ended()
        await chat(address, "SECRET 2", stream=True)
        ask = await worker.asked()
        await ask.say(TextDelta("SEC"))
        ask.fail(TimedOut("too slow"))
        await ended()
        await chat(address, "SECRET 3")
        (await worker.asked()).fail(TimedOut("too slow"))
        await ended()
        wire = await chat(address, "SECRET 4")
        await worker.asked()
        wire.leave()
        await ended()
        return found

    play(story())
