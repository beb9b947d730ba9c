"""What the demo arena can refuse, as the driven page meets it: each fault is its own error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from real_browser import Arena, arena_in, browser_in, demo_profile, serving_demo, tell

from arenad import profiles
from arenad.errors import (
    ContentRejected,
    Expired,
    NeedsHuman,
    NeedsLogin,
    RequestError,
    Resting,
    UpstreamFailed,
)
from arenad.schema.chat import Chat, Event, Finish, Turn
from arenad.worker.page import Page
from arenad.worker.sites.page_driven import PageSite


def wish(text: str) -> Chat:
    turn = Turn(role="user", text=text)
    return Chat("r1", "demo-echo-instant", (turn,), 20.0, 20.0, 40.0)


async def ignore(event: Event) -> None:
    del event


async def ends(site: PageSite, text: str) -> Finish | RequestError:
    """How a chat ended."""
    try:
        return await site.chat(wish(text), ignore)
    except RequestError as error:
        return error


REFUSED: list[tuple[str, type[RequestError], float | None]] = [
    ("429=7", Resting, 7.0),
    ("429", Resting, None),
    ("429-prompt", ContentRejected, None),
    ("422", ContentRejected, None),
    ("401", NeedsLogin, None),
    ("401-foreign", Expired, None),
    ("403-score", NeedsHuman, None),
    ("500", UpstreamFailed, None),
]


def test_each_refusal_is_its_own_error(tmp_path: Path) -> None:
    """By status, words and head; and the page performs the next chat."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            for fault, kind, rest_s in REFUSED:
                error = await ends(arena.site, f"hello [[demo:{fault}]]")
                assert type(error) is kind, (fault, error)
                assert isinstance(error, RequestError)
                assert error.retry_after_s == rest_s, fault
            assert await ends(arena.site, "hello") == Finish("stop")

    tell(story())


def test_a_check_within_the_page_waits_for_a_person(tmp_path: Path) -> None:
    """The chat ends as such, a look says the same, and after the click all is well again."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            error = await ends(arena.site, "hello [[demo:403-check]]")
            assert isinstance(error, NeedsHuman)
            with pytest.raises(NeedsHuman, match="the site shows the sign check"):
                await arena.site.look()
            await _click(arena.page, "dialog[open] >> #person")
            await _usable(arena.site)
            assert await ends(arena.site, "hello") == Finish("stop")

    tell(story())


@asynccontextmanager
async def _before(folder: Path, fault: str) -> AsyncIterator[Arena]:
    """An arena with a fault at its gate, not opened yet."""
    async with serving_demo() as address, browser_in(folder) as browser:
        arena = Arena(address, browser, await Page.create(browser.devtools))
        profile = replace(demo_profile(), start_path=f"/text/direct?demo-fault={fault}")
        arena.site = PageSite(arena.page, profile, address)
        yield arena


def test_a_challenge_page_waits_for_a_person(tmp_path: Path) -> None:
    """The edge's own page: told by its sign; cleared by a click, the site is there by itself."""

    async def story() -> None:
        async with _before(tmp_path, "challenge") as arena:
            with pytest.raises(NeedsHuman, match="the site shows the sign challenge"):
                await arena.site.open()
            await _click(arena.page, "#person")
            await _usable(arena.site)
            await arena.site.learn_models()
            assert await ends(arena.site, "hello") == Finish("stop")

    tell(story())


def test_a_login_wall_waits_for_a_person(tmp_path: Path) -> None:
    """A form with a password: filled in by somebody, the page is the site's again."""

    async def story() -> None:
        async with _before(tmp_path, "login") as arena:
            with pytest.raises(NeedsLogin, match="the site shows the sign login_page"):
                await arena.site.open()
            await arena.page.write("name", "input[name=name]", "demo", 5)
            await arena.page.write("password", "input[type=password]", "demo", 5)
            await _click(arena.page, "role=button")
            await _usable(arena.site)
            await arena.site.learn_models()
            assert await ends(arena.site, "hello") == Finish("stop")

    tell(story())


def test_a_block_is_told(tmp_path: Path) -> None:
    """Nothing to wait for, and nothing that could be cleared: a person has to see it."""

    async def story() -> None:
        async with _before(tmp_path, "block") as arena:
            with pytest.raises(NeedsHuman, match="the site shows the sign blocked"):
                await arena.site.open()

    tell(story())


def test_a_real_limit_says_when_it_ends(tmp_path: Path) -> None:
    """Counted by address: the first that is too many is told the rest of the window."""

    async def story() -> None:
        async with _before(tmp_path, "rate-limit=2") as arena:
            await arena.site.open()
            assert await ends(arena.site, "one") == Finish("stop")
            assert await ends(arena.site, "two") == Finish("stop")
            error = await ends(arena.site, "three")
            assert isinstance(error, Resting)
            assert error.retry_after_s is not None
            assert 0 < error.retry_after_s <= 10

    tell(story())


VARIANTS = {
    "2025-07": "/?mode=direct",
    "2025-08": "/?mode=direct",
    "2025-09": "/?mode=direct",
    "2025-11": "/?mode=direct",
    "2026": "/text/direct?x",
}


def test_the_arenas_profile_fits_each_dated_variant(tmp_path: Path) -> None:
    """Models under each anchor, bodies and addresses of each date; only the start page is told."""

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            for variant, path in VARIANTS.items():
                page = await Page.create(browser.devtools)
                start = f"{path}&demo-variant={variant}"
                site = PageSite(page, replace(profiles.load("lmarena"), start_path=start), address)
                await site.open()
                assert "demo-echo-instant" in {model.id for model in site.models}
                assert await ends(site, "hello") == Finish("stop"), variant

    tell(story())


async def _click(page: Page, place: str) -> None:
    """What a person does; nothing in arenad does it."""
    await page.press("a person's click", place, 5)


async def _usable(site: PageSite) -> None:
    """Until a look finds nothing in the way; the story's own deadline ends a wait in vain."""
    while True:
        try:
            await site.look()
        except RequestError:
            await asyncio.sleep(0)
        else:
            return
