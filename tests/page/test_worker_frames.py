"""When a page is drawn: a real headless shell, whose pages move only by our frames."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import real_browser
from msgspec.structs import replace
from real_browser import arena_in, hang, processes, tell, until

from arenad.schema.chat import Chat, Event, Finish, TextDelta, Turn
from arenad.schema.view import Mouse
from arenad.worker import frame_rate
from arenad.worker.browser import Browser, launch
from arenad.worker.frame_rate import Pace
from arenad.worker.gestures import command
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserGone, PagePort

COUNTING = """data:text/html,<!doctype html><title>0</title><button>press</button><script>
const count = () => { document.title = Number(document.title) + 1; requestAnimationFrame(count); };
requestAnimationFrame(count);
</script>"""
NEVER = Pace(1e-6)
CONFIG = real_browser.CONFIG


@asynccontextmanager
async def drawn_by_us(folder: Path) -> AsyncIterator[tuple[Browser, Page]]:
    """A page that counts its frames."""
    browser = await launch(CONFIG, folder / "scratch", "test")
    try:
        page = await browser.page()
        assert isinstance(page, Page)
        await page.open(COUNTING)
        yield browser, page
    finally:
        await browser.close()


async def frames(page: PagePort) -> int:
    """How many it has counted so far."""
    return int(str(await page.evaluate("document.title")))


async def moves(page: PagePort) -> None:
    """Until there were some more; the story's own deadline ends a wait in vain."""
    before = await frames(page)
    while await frames(page) < before + 3:
        pass


async def comes_to_rest(page: PagePort) -> None:
    """Until no frame is under way any more."""
    later = "new Promise((resolve) => setTimeout(() => resolve(document.title), 300))"
    while str(await frames(page)) != await page.evaluate(later):
        pass


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page at rest is never drawn."""
    monkeypatch.setitem(frame_rate.PACES, "resting", NEVER)


@pytest.mark.usefixtures("rests")
def test_a_page_is_drawn_while_it_is_acted_on_and_not_at_rest(tmp_path: Path) -> None:
    """Whoever says nothing has it drawn; a person who acts, or looks, too."""

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (_, page):
            await moves(page)
            page.draw_for("resting")
            await comes_to_rest(page)
            page.draw_for("acting")
            await moves(page)
            page.draw_for("resting")
            await comes_to_rest(page)
            cast = page.screencast()
            await cast.begin()
            await moves(page)
            await until(lambda: cast.picture is not None)
            await cast.end()
            await comes_to_rest(page)

    tell(story())


def test_what_a_person_does_is_done_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A movement of the mouse reaches a page with the next frame only, so it brings some."""
    monkeypatch.setitem(frame_rate.PACES, "resting", Pace(NEVER.hz, settle_s=1.0, settling_hz=60.0))

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (_, page):
            page.draw_for("resting")
            await comes_to_rest(page)
            done = asyncio.Event()
            move = command(Mouse(kind="move", x=5, y=5))
            page.dispatch(*move, lambda _: done.set())
            await done.wait()

    tell(story())


def test_a_page_that_is_slow_to_settle_is_drawn_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that took longer than all of the time to settle was the last one, half way."""
    monkeypatch.setitem(frame_rate.PACES, "resting", Pace(NEVER.hz, settle_s=0.3, settling_hz=60.0))
    slow = """requestAnimationFrame(() => {
        const end = performance.now() + 500;
        while (performance.now() < end);
        requestAnimationFrame(() => { document.title = 'settled'; });
    }); 0"""

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (_, page):
            await page.open("data:text/html,<!doctype html><title>begins</title>")
            page.draw_for("resting")
            await page.evaluate(slow)
            while await page.evaluate("document.title") != "settled":
                pass

    tell(story())


@pytest.mark.usefixtures("rests")
def test_chats_need_no_frames_for_their_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read from the network is read while nothing is drawn; the next chat is acted again."""
    monkeypatch.setitem(frame_rate.PACES, "streaming", NEVER)
    monkeypatch.setattr(real_browser, "CONFIG", CONFIG)

    async def story() -> None:
        texts: list[str] = []

        async def emit(event: Event) -> None:
            if isinstance(event, TextDelta):
                texts.append(event.text)

        async with arena_in(tmp_path) as arena:
            for text in ("one two three", "four five six"):
                given = Chat("r1", "demo-echo", (Turn(role="user", text=text),), 30.0, 30.0, 50.0)
                assert await arena.site.chat(given, emit) == Finish("stop")
        assert "".join(texts) == "one two threefour five six"

    tell(story())


MOVES = """Promise.race([
    new Promise((resolve) => requestAnimationFrame(() => resolve(true))),
    new Promise((resolve) => setTimeout(() => resolve(false), 20000)),
])"""


def test_a_page_that_scrolls_with_a_long_answer_is_drawn_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame of the scroll and one of the page waited for each other, for good."""
    monkeypatch.setitem(frame_rate.PACES, "streaming", Pace(60.0, share=1.0))

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            for number in range(3):
                turn = Turn(role="user", text="1000000 1")
                given = Chat(f"r{number}", "demo-long", (turn,), 30.0, 30.0, 50.0)
                coming = asyncio.Event()

                async def emit(event: Event, coming: asyncio.Event = coming) -> None:
                    if isinstance(event, TextDelta):
                        coming.set()

                chat = asyncio.ensure_future(arena.site.chat(given, emit))
                await coming.wait()
                await asyncio.sleep(0.7)  # it has been drawn meanwhile, and scrolled to its end
                chat.cancel()
                await asyncio.wait([chat])
                arena.page.draw_for("acting")  # at rest the next frame may be a minute away
                assert await arena.page.evaluate(MOVES, 30.0)

    tell(story())


def test_frames_go_on_without_their_process(tmp_path: Path) -> None:
    """The one that draws may be killed while it draws; the browser makes another one."""

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (browser, page):
            (drawer,) = processes(browser, "gpu-process")
            hang(drawer)
            drawer.send_signal(signal.SIGKILL)
            await asyncio.to_thread(drawer.wait, 10)
            await moves(page)

    tell(story())


def test_a_page_that_hangs_gives_no_sign_of_life(tmp_path: Path) -> None:
    """Frames of a page that does not move end as ever, which tells of the browser alone."""

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (browser, page):
            await page.open("data:text/html,<p>still")
            await page.evaluate("1")
            drawn = browser.heard
            await until(lambda: browser.heard > drawn + 30)  # what the page itself had to draw
            hanging = asyncio.ensure_future(page.evaluate("for (;;);"))
            await asyncio.sleep(0)  # it is on its way
            page_before, browser_before = page.heard, browser.heard
            await until(lambda: browser.heard > browser_before + 30)
            assert page.heard == page_before
            assert not hanging.done()
            hanging.cancel()

    tell(story())


def test_pages_of_one_browser_are_never_drawn_at_once(tmp_path: Path) -> None:
    """Its drawing process would end itself, and the third time the browser."""

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (browser, first):
            there: list[PagePort] = [first]
            for _ in range(10):
                there.append(await browser.page())
                await there[-1].open(COUNTING)
                await moves(there[0])
                await there.pop(0).close()

    tell(story())


def test_a_page_that_owes_a_frame_lets_others_be_drawn_once_it_is_closed(tmp_path: Path) -> None:
    """It hangs with the turn in its hand; the process that draws lives on."""

    async def story() -> None:
        async with drawn_by_us(tmp_path) as (browser, hung):
            other = await browser.page()
            await other.open(COUNTING)
            await moves(other)
            hanging = asyncio.ensure_future(hung.evaluate("for (;;);"))
            await comes_to_rest(other)
            (drawer,) = processes(browser, "gpu-process")
            await hung.close()
            await moves(other)
            assert processes(browser, "gpu-process") == [drawer]
            with pytest.raises(BrowserGone):
                await hanging

    tell(story())


def test_a_browser_draws_by_itself_where_it_is_told_so(tmp_path: Path) -> None:
    """By configuration, or where it cannot be told otherwise."""

    async def story() -> None:
        for number, config in enumerate(
            (
                replace(CONFIG, pace_frames=False),
                replace(CONFIG, args=("--site-per-process",)),
            )
        ):
            browser = await launch(config, tmp_path / str(number), "test")
            try:
                page = await browser.page()
                await page.open(COUNTING)
                page.draw_for("resting")
                assert isinstance(page, Page)
                await moves(page)
            finally:
                await browser.close()

    tell(story())
