"""A whole worker, from hello to its end, with a real browser and the test as its master."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from real_browser import (
    CONFIG,
    ENOUGH_S,
    hang,
    processes_of,
    serving,
    serving_demo,
    tell,
    until,
)
from whole_worker import whole_worker

from arenad import child, link
from arenad.errors import Resting, UpstreamFailed, WorkerLost
from arenad.schema.chat import Began, Chat, Finish, TextDelta, Turn
from arenad.schema.config import BrowserConfig
from arenad.schema.frame import Body
from arenad.schema.process import (
    Beat,
    Condition,
    Drain,
    Drained,
    ModelsAre,
    Ready,
    SessionIs,
    Stop,
)
from arenad.worker import run, session
from arenad.worker.page_port import BrowserError
from arenad.worker.serve import ChatServer
from arenad.worker.sites import driver
from arenad.worker.sites.page_driven import PageSite


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """The worker sets up the log of its process, which here is that of the tests."""
    root, own = logging.getLogger(), logging.getLogger("arenad")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def _chat(model: str, text: str = "one two") -> Chat:
    turn = Turn(role="user", text=text)
    return Chat("r1", model, (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S)


async def _whole(stream: link.Stream) -> tuple[str, Body]:
    """An answer's text and its end."""
    text, body = "", await stream.receive(ENOUGH_S)
    while isinstance(body, TextDelta | Began):
        text += body.text if isinstance(body, TextDelta) else ""
        body = await stream.receive(ENOUGH_S)
    return text, body


def test_a_worker_lives_and_leaves(tmp_path: Path) -> None:
    """Ready with its models, a chat, beats with its cost, drained, stopped: nothing is left."""

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, life):
            ready = await master.hear(Ready)
            assert isinstance(ready, Ready)
            assert "demo-echo" in [model.id for model in ready.models]
            assert master.socket_path.stat().st_mode & 0o777 == 0o600
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            stream = frontend.stream(_chat("demo-echo"))
            assert await _whole(stream) == ("one two", Finish("stop"))
            await until(lambda: any(_is_beat_after_chat(note) for note in master.heard))
            master.worker.note(Drain())
            await master.hear(Drained)
            master.worker.note(Stop())
            assert await life == child.EXIT_ASKED
            assert (master.last_condition()).condition == "ready"
            frontend.close()

    tell(story())


def _is_beat_after_chat(note: Body) -> bool:
    if not isinstance(note, Beat) or not note.answered:
        return False
    assert note.processes > 1
    assert note.memory_bytes > 0
    assert note.descriptors > 10
    assert note.readings > 0
    return True


@pytest.mark.parametrize("victim", ["browser", "renderer"])
def test_a_worker_tells_its_browsers_death(tmp_path: Path, victim: str) -> None:
    """The chat that ran is lost, for another instance to take; the reason says what died."""

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, life):
            await master.hear(Ready)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            stream = frontend.stream(_chat("demo-slow-start"))
            [browser] = psutil.Process().children()
            await until(lambda: any(isinstance(n, Beat) and n.busy for n in master.heard))
            for process in [browser] if victim == "browser" else processes_of(browser, victim):
                process.send_signal(signal.SIGKILL)
            with pytest.raises(WorkerLost):
                await _whole(stream)
            assert await life == child.EXIT_BROKEN
            said = master.last_condition()
            wanted = {
                "browser": "the browser ended (killed by SIGKILL)",
                "renderer": "the page crashed",
            }
            assert (said.condition, said.reason) == ("broken", wanted[victim])
            frontend.close()

    tell(story())


def test_a_worker_tells_a_page_that_hangs(tmp_path: Path) -> None:
    """A page without a sign of life is the end of its worker, within the probe's time."""

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, life):
            await master.hear(Ready)
            [browser] = psutil.Process().children()
            hung = list(processes_of(browser, "renderer"))
            for renderer in hung:
                hang(renderer)
            try:
                assert await life == child.EXIT_BROKEN
                said = master.last_condition()
                assert said.reason == "the browser's renderer process is stopped"
            finally:
                for renderer in hung:  # nobody here does what the master does for its workers
                    renderer.kill()

    tell(story())


PROMPT = '<textarea name="text"></textarea>'
LOSES_ITS_PROMPT = (
    f"{PROMPT}<script>setTimeout(() => document.querySelector('textarea').remove(), 500)</script>"
)
HANGS = f"{PROMPT}<script>setTimeout(() => {{ for (;;); }}, 500)</script>"


@asynccontextmanager
async def _serving_pages(*bodies: str) -> AsyncIterator[str]:
    """A site whose page is another one at each visit; the last one stays."""
    left = list(bodies)

    async def page(_: web.Request) -> web.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        models = '<script>var all = {"initialModels": [{"publicName": "m"}]}</script>'
        return web.Response(text=f"<!doctype html>{body}{models}", content_type="text/html")

    async with serving(web.get("/text/direct", page)) as address:
        yield address


def test_a_page_that_loses_its_prompt_is_opened_anew(tmp_path: Path) -> None:
    """The instance says which landmark is gone, and is ready again on the fresh page."""

    async def story() -> None:
        pages = _serving_pages(LOSES_ITS_PROMPT, PROMPT)
        async with pages as address, whole_worker(tmp_path, address) as (master, _life):
            await until(lambda: any(_is("ready", "opened anew", note) for note in master.heard))
            gone = 'the landmark prompt (textarea[name="text"]'
            assert any(_is("opening", gone, note) for note in master.heard)
            master.worker.note(Stop())

    tell(story())


def test_a_page_without_its_prompt_is_outdated_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened anew once, then after pauses; the browser stays, and the reason names the landmark."""
    monkeypatch.setattr(driver, "LANDMARK_TIMEOUT_S", 0.5)
    monkeypatch.setattr(session, "FIRST_PAUSE_S", 0.3)

    async def story() -> None:
        pages = _serving_pages(LOSES_ITS_PROMPT, "no prompt", "no prompt", PROMPT)
        async with pages as address, whole_worker(tmp_path, address) as (master, _life):
            await until(lambda: any(_is("ready", "opened anew", note) for note in master.heard))
            assert master.conditions() == ["opening", "ready", "opening", "outdated", "ready"]
            gone = 'the landmark prompt (textarea[name="text"]'
            assert any(_is("outdated", gone, note) for note in master.heard)
            master.worker.note(Stop())

    tell(story())


CLEARED = (
    f"{PROMPT}<script>setTimeout(() => document.querySelector('.wall').remove(), 1500)</script>"
)
WALLS = {
    "needs_login": "<form class=wall><input type=password></form>",
    "needs_human": "<dialog open id=check class=wall></dialog>",
}


@pytest.mark.parametrize("condition", WALLS)
def test_what_only_a_person_may_clear_is_waited_for(tmp_path: Path, condition: str) -> None:
    """Ready as a process, with the sign's name; then ready as an instance, without any reload."""

    async def story() -> None:
        pages = _serving_pages(f"{WALLS[condition]}{CLEARED}", "a second visit")
        async with pages as address, whole_worker(tmp_path, address) as (master, _life):
            assert await master.hear(Ready) == Ready(())
            await until(lambda: master.conditions()[-1:] == ["ready"])
            assert master.conditions() == ["opening", condition, "ready"]
            sign = "login_wall" if condition == "needs_login" else "check"
            walls = [note for note in master.heard if _is(condition, "the site shows", note)]
            assert len(walls) == 1
            assert f"the sign {sign} " in str(walls[0])
            told = await master.hear(ModelsAre)
            assert isinstance(told, ModelsAre)
            assert [model.id for model in told.models] == ["m", "battle"]
            master.worker.note(Stop())

    tell(story())


def test_a_refused_page_rests_for_as_long_as_it_says(tmp_path: Path) -> None:
    """429 with Retry-After in place of the page: told to the master in seconds, then tried again."""
    visits: list[float] = []

    async def page(_: web.Request) -> web.Response:
        visits.append(asyncio.get_running_loop().time())
        if len(visits) == 1:
            return web.Response(status=429, headers={"Retry-After": "1"}, text="wait")
        models = '<script>var all = {"initialModels": [{"publicName": "m"}]}</script>'
        return web.Response(text=f"<!doctype html>{PROMPT}{models}", content_type="text/html")

    async def story() -> None:
        site = serving(web.get("/text/direct", page))
        async with site as address, whole_worker(tmp_path, address) as (master, _life):
            await until(lambda: master.conditions()[-1:] == ["ready"])
            (rest,) = [note for note in master.heard if _is("resting", "", note)]
            assert isinstance(rest, SessionIs)
            assert rest.resting_s == 1.0
            assert rest.reason == "the site answered its page with 429 (tried again in 1 s)"
            assert visits[1] - visits[0] > 1.0
            assert len(visits) == 2
            master.worker.note(Stop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "LANDMARK_TIMEOUT_S", 0.2)
        tell(story())


def test_what_cannot_be_mended_after_a_chat_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for that any more, so it must not be lost: the master hears why."""

    async def fails(_: object) -> None:
        raise BrowserError("the page cannot be opened")

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, life):
            await master.hear(Ready)
            monkeypatch.setattr(PageSite, "open", fails)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            with pytest.raises(UpstreamFailed):
                await _whole(frontend.stream(_chat("demo-echo", "[[demo:500]]")))
            assert await life == child.EXIT_BROKEN
            assert master.last_condition().reason == "the page cannot be opened"
            frontend.close()

    tell(story())


def test_a_pause_that_ends_during_a_chat_is_slept_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look is put off until the chat has ended, without asking in a circle for that."""
    turns: list[Condition] = []
    wait = run.Worker._until_next_look

    async def counted(worker: run.Worker, chats: ChatServer) -> None:
        if chats.busy:
            turns.append(worker._session.condition)
        await wait(worker, chats)

    monkeypatch.setattr(run.Worker, "_until_next_look", counted)

    async def story() -> None:
        async with (
            serving_demo(chunks_per_s=5.0) as address,
            whole_worker(tmp_path, address) as (master, _life),
        ):
            await master.hear(Ready)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            with pytest.raises(Resting):
                await _whole(frontend.stream(_chat("demo-echo", "[[demo:429=1]]")))
            await until(lambda: master.last_condition().condition == "resting")
            said, _ = await _whole(frontend.stream(_chat("demo-echo", "a b c d e f g h i j k l")))
            assert said == "a b c d e f g h i j k l"
            assert "resting" in turns
            assert len(turns) < 200
            frontend.close()
            master.worker.note(Stop())

    tell(story())


def test_a_page_that_is_busy_for_ever_is_told(tmp_path: Path) -> None:
    """A script without end: the browser answers, the page does not."""

    async def story() -> None:
        async with (
            _serving_pages(HANGS) as address,
            whole_worker(tmp_path, address) as (master, life),
        ):
            assert await life == child.EXIT_BROKEN
            assert master.last_condition().reason == "the page gave no sign of life for 0.5 s"

    tell(story())


def _is(condition: str, reason: str, note: Body) -> bool:
    return (
        isinstance(note, SessionIs)
        and note.condition == condition
        and note.reason.startswith(reason)
    )


@pytest.mark.parametrize(
    ("browser", "site", "reason"),
    [
        (BrowserConfig(path="/nowhere"), "http://127.0.0.1:9/", "/nowhere is no program"),
        (CONFIG, "http://127.0.0.1:9/", "does not open: net::ERR_"),
    ],
    ids=["no browser", "no site"],
)
def test_a_start_that_fails_says_why(
    tmp_path: Path, browser: BrowserConfig, site: str, reason: str
) -> None:
    """The master hears the reason, and the exit code says that a new start may help."""

    async def story() -> None:
        async with whole_worker(tmp_path, site, browser) as (master, life):
            assert await life == child.EXIT_BROKEN
            said = master.last_condition()
            assert said.condition == "broken"
            assert reason in said.reason

    tell(story())


def test_a_stop_in_the_middle_of_a_start_is_heard(tmp_path: Path) -> None:
    """Not after the start's own deadlines, but now."""

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, life):
            await until(lambda: bool(psutil.Process().children()))
            master.worker.note(Stop())
            assert await life == child.EXIT_ASKED
            assert not any(isinstance(note, Ready) for note in master.heard)

    tell(story())
