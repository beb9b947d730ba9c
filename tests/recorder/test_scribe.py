"""The recorder's body between real links and a real file."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from disks import FULL, line, lines, no_file_grows

from arenad import link
from arenad.errors import RequestError
from arenad.recorder import scribe as module
from arenad.recorder.scribe import Scribe
from arenad.recorder.store import Store
from arenad.schema.config import HistoryConfig
from arenad.schema.frame import Body
from arenad.schema.history import GetHistory, HistoryPage, Remember, Remembered
from arenad.schema.process import SessionIs, Stop

ENOUGH_S = 20.0


class Scene:
    """A scribe that writes, and the far end of one link to it."""

    def __init__(self, folder: Path) -> None:
        self.told: list[SessionIs] = []
        self.heard: asyncio.Queue[Body] = asyncio.Queue()
        self.store = Store(folder, HistoryConfig())
        self.scribe = Scribe(self.store, self.told.append)
        self.links: list[link.Link] = []
        self.tasks = link.Tasks()
        self.writing = self.tasks.start(self.scribe.write(), "write")

    async def connect(self) -> link.Link:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        for end in (ours, theirs):
            end.setblocking(False)
        _, served = await loop.create_unix_connection(self.scribe.link, sock=theirs)
        sender = await link.adopt(ours, "the recorder", on_note=self.heard.put_nowait)
        self.links += [served, sender]
        return sender

    async def end(self) -> None:
        await self.scribe.finish(self.writing)
        await self.tasks.close()
        for each in self.links:
            each.close()
            await each.lost.wait()

    async def hear(self) -> Body:
        return await asyncio.wait_for(self.heard.get(), ENOUGH_S)

    async def until_told(self, condition: str) -> str:
        async with asyncio.timeout(ENOUGH_S):
            while not (found := [each.reason for each in self.told if each.condition == condition]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # nothing tells of it but the list
        return found[-1]

    async def texts(self) -> list[str]:
        page = await self.scribe.serve(link.Served(link.Link("me"), 1, GetHistory("story")))
        assert isinstance(page, HistoryPage)
        return [each.text for each in page.entries]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    made = Scene(folder)
    try:
        yield made
    finally:
        await made.end()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once, for the machine's sake not in a loop."""
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(module, "RETRY_LIMIT_S", 0.1)


def test_an_answer_when_it_is_on_disk(tmp_path: Path) -> None:
    """The number of the last entry, once another reader of the file would find it."""

    async def play() -> None:
        async with scene(tmp_path) as each:
            sender = await each.connect()
            sender.note(lines("a", 1, 3))
            assert await each.hear() == Remembered("a", 3)
            other = Store(tmp_path, HistoryConfig())
            assert len(other.read(GetHistory("story")).entries) == 3
            other.close()

    asyncio.run(play())


def test_trouble_is_told_once_and_passes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While nothing can be written nobody is answered; afterwards it goes on by itself."""

    async def play() -> None:
        async with scene(tmp_path) as each:
            sender = await each.connect()
            sender.note(lines("a", 1, 1))
            await each.hear()
            with no_file_grows(4096):
                sender.note(lines("a", 2, 50, FULL))
                assert "history.db: the disk refuses" in await each.until_told("broken")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(each.heard.get(), 0.5)  # several tries of the scribe
                assert caplog.text.count("history is not being recorded") == 1
            assert await each.hear() == Remembered("a", 51)
            assert await each.until_told("ready") == "history is being recorded again"
            assert len(await each.texts()) >= 1

    asyncio.run(play())


def test_trouble_is_told_at_the_start(tmp_path: Path) -> None:
    """Before the first entry comes: the file is opened at once, and tried again."""

    async def play() -> None:
        async with scene(tmp_path / "later") as each:
            assert "check that the folder is there" in await each.until_told("broken")
            (tmp_path / "later").mkdir()
            await each.until_told("ready")

    asyncio.run(play())


def test_the_last_entries_are_written(tmp_path: Path) -> None:
    """What has arrived when it is time to leave is on disk afterwards."""

    async def play() -> None:
        each = Scene(tmp_path)
        sender = await each.connect()
        sender.note(lines("a", 1, 1))
        await each.hear()
        each.scribe.take(sender, lines("a", 2, 2))
        await each.end()
        assert each.writing.done()
        with pytest.raises(RequestError, match="just leaving"):
            await each.texts()
        assert len(Store(tmp_path, HistoryConfig()).read(GetHistory("story")).entries) == 3

    asyncio.run(play())


def test_leaving_with_a_disk_that_takes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One more try, then it is said how much is lost."""

    async def play() -> None:
        each = Scene(tmp_path / "nowhere")
        await each.until_told("broken")
        each.scribe.take(link.Link("me"), lines("a", 1, 7))
        async with asyncio.timeout(module.FINAL_S):
            await each.end()

    asyncio.run(play())
    assert "7 entries are not written" in caplog.text


def test_a_sender_that_does_not_wait_is_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits here is bounded by senders that send one batch at a time; others are a bug."""

    async def play() -> None:
        async with scene(tmp_path / "nowhere") as each:
            sender = await each.connect()
            for number in range(1, module.MAX_WAITING + 2):
                sender.note(Remember("a", number, (line(number),)))
            await asyncio.wait_for(sender.lost.wait(), ENOUGH_S)

    asyncio.run(play())
    assert "sends without waiting for answers" in caplog.text


def test_other_words_are_nothing_to_it(tmp_path: Path) -> None:
    """A note that is no batch is passed over, a call that is no question is refused."""

    async def play() -> None:
        async with scene(tmp_path) as each:
            sender = await each.connect()
            sender.note(Stop())
            sender.note(lines("a", 1, 1))
            assert await each.hear() == Remembered("a", 1)
            with pytest.raises(RequestError, match="not served here"):
                await each.scribe.serve(link.Served(sender, 1, Stop()))

    asyncio.run(play())


def test_a_question_that_cannot_be_answered(tmp_path: Path) -> None:
    """Whoever asks hears why."""

    async def play() -> None:
        async with scene(tmp_path / "nowhere") as each:
            with pytest.raises(RequestError, match="the history cannot be read"):
                await each.texts()

    asyncio.run(play())
