"""Battles and two models side by side, on the real demo arena in a real Chromium."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from real_browser import Arena, arena_in, demo_profile, tell, until

from arenad.demo.variants import VARIANTS, Ways
from arenad.errors import ModelNotFound, ProfileOutdated, TimedOut, UpstreamFailed
from arenad.schema.chat import (
    Began,
    Chat,
    Event,
    Finish,
    Heartbeat,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
)
from arenad.schema.profile import Modes, Profile
from arenad.worker.sites.page_driven import PageSite

ECHO, INSTANT = "demo-echo", "demo-echo-instant"


def chat(text: str, model: str = "battle", other: str = "", **given: Any) -> Chat:
    """A battle, or a chat with two models side by side, or with one."""
    mode = "battle" if model == "battle" else "side_by_side" if other else "direct"
    deadlines = {"first_event_timeout_s": 30.0, "idle_timeout_s": 30.0, "total_timeout_s": 50.0}
    fields: dict[str, Any] = {"mode": mode, "model_b": other} | deadlines | given
    return Chat("r1", model, (Turn(role="user", text=text),), **fields)


class Heard:
    """All that a chat said, by its sides."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.last: Finish | None = None

    async def emit(self, event: Event) -> None:
        if not isinstance(event, Heartbeat | Began):
            self.events.append(event)

    def text(self, side: int = 0) -> str:
        return "".join(e.text for e in self.events if isinstance(e, TextDelta) and e.side == side)

    def failures(self) -> list[tuple[int, str]]:
        return [(e.side, e.failure.kind) for e in self.events if isinstance(e, SideFailed)]


async def ask(site: PageSite, wish: Chat) -> Heard:
    """Perform a chat to its end."""
    heard = Heard()
    heard.last = await site.chat(wish, heard.emit)
    return heard


def profile_of(ways: Ways) -> Profile:
    """The demo's profile with the addresses of a dated variant."""
    shipped, replace = demo_profile(), msgspec.structs.replace
    pair, battle = shipped.modes.side_by_side, shipped.modes.battle
    assert pair is not None
    assert battle is not None
    modes = Modes(
        side_by_side=replace(pair, start_path=ways.side_by_side),
        battle=replace(battle, start_path=ways.battle),
    )
    return replace(shipped, start_path=ways.direct, modes=modes)


@asynccontextmanager
async def speaking(arena: Arena, name: str) -> AsyncIterator[PageSite]:
    """The arena's page at another date."""
    body = json.dumps({"variant": name})
    async with aiohttp.request("PUT", f"{arena.address}/demo/variant", data=body) as answer:
        assert answer.status == 200
    site = PageSite(arena.page, profile_of(VARIANTS[name].ways), arena.address)
    await site.open()
    yield site


SHOWN = """[...document.querySelectorAll("article[data-role=assistant]")].map(
    (article) => [article.dataset.side, article.querySelector(":scope > .text").textContent.trim(),
                  article.dataset.messageId])"""


def test_every_dated_variant_in_every_mode(tmp_path: Path) -> None:
    """Direct, side by side, battle: each side is what the page shows on it, and nobody votes."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            for name in VARIANTS:
                async with speaking(arena, name) as site:
                    assert (await ask(site, chat("one two", ECHO))).text() == "one two"
                    pair = await ask(site, chat("three four", ECHO, "demo-reasoning"))
                    assert [pair.text(side) for side in (0, 1)] == ["three four"] * 2
                    assert {e.side for e in pair.events if isinstance(e, ReasoningDelta)} == {1}
                    assert (pair.last, pair.events[-1]) == (Finish("stop"), Finish("stop", 1))
                    battle = await ask(site, chat("Hello, and what of Ada?"))
                    shown = await arena.page.evaluate(SHOWN)
                    said = [battle.text(0).strip(), battle.text(1).strip()]
                    told = zip("ab", said, site.message_id.split(", "), strict=True)
                    assert shown == [list(each) for each in told], name
                    assert all(said)
            async with aiohttp.request("GET", f"{arena.address}/demo/tally") as answer:
                assert not (await answer.json()).get("votes")

    tell(story())


def test_models_say_in_which_modes_they_can_be_asked(tmp_path: Path) -> None:
    """A battle is one more; two models are asked for by their names, of which each must be there."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            *others, battle = arena.site.models
            assert (battle.id, battle.modes, battle.capabilities) == (
                "battle",
                ("battle",),
                ("text",),
            )
            assert {model.modes for model in others} == {("direct", "side_by_side")}
            for wish, named in (
                (chat("hi", ECHO, "nobody"), "'nobody' for side_by_side"),
                (chat("hi", ECHO, mode="battle"), "'demo-echo' for battle"),
                (chat("hi", "battle", mode="direct"), "'battle'"),
            ):
                with pytest.raises(ModelNotFound, match=f"the site has no model {named}"):
                    await arena.site.chat(wish, Heard().emit)

    tell(story())


def test_a_page_stays_in_its_mode(tmp_path: Path) -> None:
    """The second battle is a new chat on the same document, in which nothing of the first is."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            await ask(arena.site, chat("my name is Ada"))
            await arena.page.evaluate("globalThis.arenad.mark = 'here'")
            await ask(arena.site, chat("again"))
            assert await arena.page.evaluate("arenad.mark") == "here"
            assert await arena.page.evaluate("document.querySelectorAll('article').length") == 3

    tell(story())


def test_a_page_is_in_a_mode_only_once_it_has_opened(tmp_path: Path) -> None:
    """After an opening that failed, and after a person went elsewhere, it is opened again."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            site, driver = arena.site, arena.site._drivers["battle"]
            path, driver._url = driver._url, f"{arena.address}/nowhere"
            with pytest.raises(ProfileOutdated, match="answered with 404"):
                await ask(site, chat("hi"))
            driver._url = path
            assert (await ask(site, chat("hi"))).last == Finish("stop")
            assert (await ask(site, chat("one", INSTANT))).text() == "one"
            await arena.page.open(path)
            site.touched()
            assert (await ask(site, chat("two", INSTANT))).text() == "two"

    tell(story())


def test_one_side_alone(tmp_path: Path) -> None:
    """It counts as the only one; the other one, which runs on unread, ends with the next chat."""

    async def story() -> None:
        async with arena_in(tmp_path, chunks_per_s=20.0) as arena:
            long = "word " * 400
            first = await ask(arena.site, chat(long, ECHO, INSTANT, battle_target="B"))
            assert (first.text(), first.last, first.events[1:]) == (long, Finish("stop"), [])
            assert (await arena.stats())["running"] == 1
            second = await ask(arena.site, chat("hi", INSTANT, ECHO, battle_target="A"))
            assert (second.text(), second.last) == ("hi", Finish("stop"))
            await arena.stats_become(running=0, stopped=1)
            heard = await ask(arena.site, chat("hi [[demo:one-side]]", battle_target="A"))
            assert heard.last == Finish("stop")
            with pytest.raises(UpstreamFailed, match="overloaded"):
                await ask(arena.site, chat("hi [[demo:one-side]]", battle_target="B"))
            assert (await ask(arena.site, chat("next", INSTANT))).text() == "next"

    tell(story())


def test_a_failed_side_does_not_take_the_other_along(tmp_path: Path) -> None:
    """By the model's own error, by silence, by a cut: the whole side ends as it should."""

    async def story() -> None:
        # Words come slowly: of an answer that is cut as soon as it begins, a browser may tell nothing.
        async with arena_in(tmp_path, chunks_per_s=50.0) as arena:
            site = arena.site
            failed = await ask(site, chat("hi there [[demo:one-side]]", ECHO, ECHO))
            assert (failed.text(), failed.last) == ("hi there", Finish("stop"))
            assert failed.failures() == [(1, "upstream")]
            silent = chat("hi there", INSTANT, "demo-slow-start", idle_timeout_s=0.4)
            silent = await ask(site, silent)
            assert (silent.text(), silent.last) == ("hi there", Finish("stop"))
            assert silent.failures() == [(1, "timeout")]
            long = "word " * 100
            cut = await ask(site, chat(f"{long}[[demo:cut=1100]]", ECHO, INSTANT))
            assert (cut.text(1).strip(), cut.last) == (long.strip(), Finish("stop", 1))
            assert 0 < len(cut.text()) < len(long)
            assert cut.failures() == [(0, "upstream")]
            assert (await ask(site, chat("next", INSTANT))).text() == "next"

    tell(story())


def test_a_battle_fails_when_both_sides_do(tmp_path: Path) -> None:
    """With the first one's error, by its name; a silence of both is the site's."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            with pytest.raises(UpstreamFailed, match=r"side A: .*overloaded"):
                await ask(arena.site, chat("hi there [[demo:model-error]]"))
            slow = chat("hi there [[demo:stall=9]]", ECHO, ECHO, idle_timeout_s=0.4)
            with pytest.raises(TimedOut, match="the answer paused"):
                await ask(arena.site, slow)
            await arena.site.open()
            assert (await ask(arena.site, chat("next", INSTANT))).text() == "next"

    tell(story())


def test_leaving_a_battle_stops_both_sides(tmp_path: Path) -> None:
    """The page's own stop button; then the next battle, and a direct chat, are performed."""

    async def story() -> None:
        async with arena_in(tmp_path, chunks_per_s=5.0) as arena:
            heard = Heard()
            wish = chat("word " * 1000, ECHO, "demo-reasoning")
            task = asyncio.get_running_loop().create_task(arena.site.chat(wish, heard.emit))
            await until(lambda: {0, 1} <= {getattr(e, "side", 0) for e in heard.events})
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await arena.site.stop()
            await arena.stats_become(running=0, stopped=1)
            pair = await ask(arena.site, chat("hi", INSTANT, INSTANT))
            assert [pair.text(side) for side in (0, 1)] == ["hi"] * 2
            assert (await ask(arena.site, chat("next", INSTANT))).text() == "next"

    tell(story())
